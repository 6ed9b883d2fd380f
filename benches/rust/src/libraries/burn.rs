//! burn's programs.

use super::{Stepped, Training};
use crate::case::{Batch, CLASSES, Case, Gpt, Inputs, Kind, Network, Rule, VOCABULARY};
use burn::module::{ModuleVisitor, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Embedding, EmbeddingConfig, Gru, GruConfig, LayerNorm, LayerNormConfig,
    Linear, LinearConfig, Lstm, LstmConfig, PaddingConfig2d,
};
use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::prelude::*;
use burn::tensor::activation::{gelu, relu};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;

/// A model, and its scores as a function of it. The model is away while the optimizer has it.
struct Run<M, F> {
    model: Option<M>,
    scores: F,
    targets: Tensor<1, Int>,
    loss: CrossEntropyLoss,
    optimizer: ModuleOptimizer,
    rate: f64,
}

impl<M: Module, F: Fn(&M) -> Tensor<2>> Training for Run<M, F> {
    fn step(&mut self, read: bool) -> Stepped {
        let model = self.model.take().ok_or("an earlier step failed")?;
        let loss = self.loss.forward((self.scores)(&model), self.targets.clone());
        let value = read.then(|| loss.clone().into_scalar());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        self.model = Some(self.optimizer.step(self.rate, model, gradients));
        Ok(value)
    }
    fn parameters(&self) -> usize {
        let mut trained = Trained(0);
        if let Some(model) = &self.model {
            model.visit(&mut trained);
        }
        trained.0
    }
}

/// Counts the numbers that have gradients: `num_params` has the running statistics of batch norm too.
struct Trained(usize);

impl ModuleVisitor for Trained {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        if tensor.is_require_grad() {
            self.0 += tensor.shape().num_elements();
        }
    }
}

pub fn build(case: &Case) -> Box<dyn Training> {
    let device = Device::flex().autodiff();
    device.seed(0);
    let batch = case.batch();
    match case.network {
        Network::Mlp(sizes) => {
            let x = numbers::<2>(&batch, &device);
            run(case, &batch, &device, Mlp::new(sizes, &device), move |model| model.forward(x.clone()))
        }
        Network::Lenet => {
            let x = numbers::<4>(&batch, &device);
            run(case, &batch, &device, Lenet::new(&device), move |model| model.forward(x.clone()))
        }
        Network::Resnet8 => {
            let x = numbers::<4>(&batch, &device);
            run(case, &batch, &device, Resnet8::new(&device), move |model| model.forward(x.clone()))
        }
        Network::Gpt(gpt) => {
            let x = tokens(&batch, &device);
            run(case, &batch, &device, Model::new(gpt, &device), move |model| model.forward(x.clone()))
        }
        Network::Recurrent { kind, inputs, hidden, .. } => {
            let x = numbers::<3>(&batch, &device);
            run(case, &batch, &device, Recurrent::new(kind, inputs, hidden, &device), move |model| model.forward(x.clone()))
        }
    }
}

fn run<M: Module + 'static>(
    case: &Case,
    batch: &Batch,
    device: &Device,
    model: M,
    scores: impl Fn(&M) -> Tensor<2> + 'static,
) -> Box<dyn Training> {
    let targets = Tensor::from_data(TensorData::new(batch.targets.clone(), [batch.targets.len()]), device);
    // Its own defaults for epsilon and weight decay are other than those of the rest of the field.
    let optimizer = match case.rule {
        Rule::Sgd => SgdConfig::new().init(),
        Rule::Adam => AdamConfig::new().with_epsilon(1e-8).init(),
        Rule::AdamW => AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.01).init(),
    };
    let loss = CrossEntropyLossConfig::new().init(device);
    Box::new(Run { model: Some(model), scores, targets, loss, optimizer, rate: case.rule.learning_rate() })
}

fn numbers<const D: usize>(batch: &Batch, device: &Device) -> Tensor<D> {
    let Inputs::Numbers(values) = &batch.inputs else { panic!("the network takes numbers") };
    Tensor::from_data(TensorData::new(values.clone(), batch.shape.clone()), device)
}

fn tokens(batch: &Batch, device: &Device) -> Tensor<2, Int> {
    let Inputs::Tokens(values) = &batch.inputs else { panic!("the network takes characters") };
    Tensor::from_data(TensorData::new(values.clone(), batch.shape.clone()), device)
}

fn linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    LinearConfig::new(inputs, outputs).init(device)
}

#[derive(Module, Debug)]
struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    fn new(sizes: &[usize], device: &Device) -> Mlp {
        Mlp { layers: sizes.windows(2).map(|pair| linear(pair[0], pair[1], device)).collect() }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.layers[0].forward(x);
        self.layers[1..].iter().fold(x, |x, layer| layer.forward(relu(x)))
    }
}

#[derive(Module, Debug)]
struct Lenet {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    drop1: Dropout,
    drop2: Dropout,
    fc1: Linear,
    fc2: Linear,
}

impl Lenet {
    fn new(device: &Device) -> Lenet {
        Lenet {
            conv1: Conv2dConfig::new([1, 32], [3, 3]).init(device),
            conv2: Conv2dConfig::new([32, 64], [3, 3]).init(device),
            pool: MaxPool2dConfig::new([2, 2]).init(),
            drop1: DropoutConfig::new(0.25).init(),
            drop2: DropoutConfig::new(0.5).init(),
            fc1: linear(9216, 128, device),
            fc2: linear(128, CLASSES, device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.conv2.forward(relu(self.conv1.forward(x))));
        let x = self.drop1.forward(self.pool.forward(x)).flatten(1, 3);
        self.fc2.forward(self.drop2.forward(relu(self.fc1.forward(x))))
    }
}

/// A convolution and its batch norm.
#[derive(Module, Debug)]
struct Normed {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Normed {
    fn new(inputs: usize, outputs: usize, kernel: usize, stride: usize, device: &Device) -> Normed {
        let p = kernel / 2;
        let conv = Conv2dConfig::new([inputs, outputs], [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(p, p, p, p))
            .with_bias(false);
        Normed { conv: conv.init(device), norm: BatchNormConfig::new(outputs).init(device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x))
    }
}

/// Two convolutions around which the input is added: as it is, or fitted by a third one.
#[derive(Module, Debug)]
struct Block {
    first: Normed,
    second: Normed,
    short: Option<Normed>,
}

impl Block {
    fn new(inputs: usize, outputs: usize, stride: usize, device: &Device) -> Block {
        let short = (inputs != outputs).then(|| Normed::new(inputs, outputs, 1, stride, device));
        Block {
            first: Normed::new(inputs, outputs, 3, stride, device),
            second: Normed::new(outputs, outputs, 3, 1, device),
            short,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.second.forward(relu(self.first.forward(x.clone())));
        let short = match &self.short {
            Some(short) => short.forward(x),
            None => x,
        };
        relu(y + short)
    }
}

#[derive(Module, Debug)]
struct Resnet8 {
    stem: Normed,
    stages: Vec<Block>,
    pool: AdaptiveAvgPool2d,
    head: Linear,
}

impl Resnet8 {
    fn new(device: &Device) -> Resnet8 {
        Resnet8 {
            stem: Normed::new(3, 16, 3, 1, device),
            stages: vec![Block::new(16, 16, 1, device), Block::new(16, 32, 2, device), Block::new(32, 64, 2, device)],
            pool: AdaptiveAvgPool2dConfig::new([1, 1]).init(),
            head: linear(64, CLASSES, device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let start = relu(self.stem.forward(x));
        let x = self.stages.iter().fold(start, |x, stage| stage.forward(x));
        self.head.forward(self.pool.forward(x).flatten(1, 3))
    }
}

#[derive(Module, Debug)]
struct Layer {
    norm1: LayerNorm,
    qkv: Linear,
    out: Linear,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
    heads: usize,
}

impl Layer {
    fn new(gpt: Gpt, device: &Device) -> Layer {
        let width = gpt.width;
        Layer {
            norm1: LayerNormConfig::new(width).init(device),
            qkv: linear(width, 3 * width, device),
            out: linear(width, width, device),
            norm2: LayerNormConfig::new(width).init(device),
            up: linear(width, 4 * width, device),
            down: linear(4 * width, width, device),
            heads: gpt.heads,
        }
    }

    fn attend(&self, x: Tensor<3>) -> Tensor<3> {
        let [n, t, width] = x.dims();
        let split = |part: Tensor<3>| part.reshape([n, t, self.heads, width / self.heads]).swap_dims(1, 2);
        let parts: [Tensor<3>; 3] = self.qkv.forward(x).chunk(3, 2).try_into().expect("three chunks");
        let [q, k, v] = parts.map(split);
        let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
        let y = attention(q, k, v, None, None, options);
        self.out.forward(y.swap_dims(1, 2).reshape([n, t, width]))
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.attend(self.norm1.forward(x));
        x.clone() + self.down.forward(gelu(self.up.forward(self.norm2.forward(x))))
    }
}

#[derive(Module, Debug)]
struct Model {
    tokens: Embedding,
    places: Embedding,
    layers: Vec<Layer>,
    norm: LayerNorm,
    head: Linear,
}

impl Model {
    fn new(gpt: Gpt, device: &Device) -> Model {
        Model {
            tokens: EmbeddingConfig::new(VOCABULARY, gpt.width).init(device),
            places: EmbeddingConfig::new(gpt.block, gpt.width).init(device),
            layers: (0..gpt.layers).map(|_| Layer::new(gpt, device)).collect(),
            norm: LayerNormConfig::new(gpt.width).init(device),
            head: LinearConfig::new(gpt.width, VOCABULARY).with_bias(false).init(device),
        }
    }

    fn forward(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let places = Tensor::<1, Int>::arange(0..x.dims()[1] as i64, &x.device()).unsqueeze::<2>();
        let start = self.tokens.forward(x) + self.places.forward(places);
        let h = self.layers.iter().fold(start, |h, layer| layer.forward(h));
        self.head.forward(self.norm.forward(h)).flatten(0, 1)
    }
}

#[derive(Module, Debug)]
struct Recurrent {
    lstm: Option<Lstm>,
    gru: Option<Gru>,
    head: Linear,
}

impl Recurrent {
    fn new(kind: Kind, inputs: usize, hidden: usize, device: &Device) -> Recurrent {
        let (lstm, gru) = match kind {
            Kind::Lstm => (Some(LstmConfig::new(inputs, hidden, true).init(device)), None),
            Kind::Gru => (None, Some(GruConfig::new(inputs, hidden, true).init(device))),
        };
        Recurrent { lstm, gru, head: linear(hidden, CLASSES, device) }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let last = match (&self.lstm, &self.gru) {
            (Some(lstm), _) => lstm.forward(x, None).1.hidden,
            (_, Some(gru)) => gru.forward(x, None).slice(s![.., -1, ..]).squeeze_dim(1),
            _ => unreachable!("one of the two is there"),
        };
        self.head.forward(last)
    }
}
