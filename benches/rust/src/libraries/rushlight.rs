//! Rushlight's programs.

use super::{Stepped, Training};
use crate::case::{CLASSES, Case, Gpt, Inputs, Kind, Network, Rule, VOCABULARY};
use rushlight::nn::{
    AdaptiveAvgPool2d, BatchNorm2d, BoxedForward, Conv2d, Dropout, Embedding, Flatten, Forward, GELU, GRU, LSTM, LayerNorm,
    Linear, MaxPool2d, Module, ReLU, Sequential,
};
use rushlight::optim::{Adam, AdamOptions, AdamW, AdamWOptions, Optimizer, Sgd, SgdOptions};
use rushlight::{Result, Tensor, ops, seq};

struct Run {
    model: BoxedForward,
    x: Tensor,
    targets: Tensor,
    optimizer: Box<dyn Optimizer>,
}

impl Training for Run {
    fn step(&mut self, read: bool) -> Stepped {
        self.optimizer.zero_grad();
        let loss = ops::cross_entropy(&self.model.forward(&self.x)?, &self.targets, None, -100, "mean", 0.0)?;
        let value = read.then(|| loss.item());
        loss.try_backward()?;
        self.optimizer.step()?;
        Ok(value)
    }
    fn parameters(&self) -> usize {
        self.model.parameters().iter().map(Tensor::numel).sum()
    }
}

pub fn build(case: &Case) -> Result<Box<dyn Training>> {
    rushlight::manual_seed(0);
    let batch = case.batch();
    let shape = batch.shape.as_slice();
    let x = match batch.inputs {
        Inputs::Numbers(values) => Tensor::try_from_vec(values, shape)?,
        Inputs::Tokens(values) => Tensor::try_from_vec(values, shape)?,
    };
    let targets = Tensor::from_slice(&batch.targets, batch.targets.len());
    let model: BoxedForward = match case.network {
        Network::Mlp(sizes) => Box::new(mlp(sizes)),
        Network::Lenet => Box::new(lenet()),
        Network::Resnet8 => Box::new(resnet8()),
        Network::Gpt(gpt) => Box::new(Model::new(gpt)),
        Network::Recurrent { kind, inputs, hidden, .. } => Box::new(Recurrent::new(kind, inputs, hidden)),
    };
    let (parameters, lr) = (model.parameters(), case.rule.learning_rate());
    let optimizer: Box<dyn Optimizer> = match case.rule {
        Rule::Sgd => Box::new(Sgd::new(parameters, SgdOptions { lr, ..Default::default() })),
        Rule::Adam => Box::new(Adam::new(parameters, AdamOptions { lr, ..Default::default() })),
        Rule::AdamW => Box::new(AdamW::new(parameters, AdamWOptions { lr, ..Default::default() })),
    };
    Ok(Box::new(Run { model, x, targets, optimizer }))
}

fn mlp(sizes: &[usize]) -> Sequential {
    let mut model = Sequential::new();
    for (i, pair) in sizes.windows(2).enumerate() {
        model = if i == 0 { model } else { model.add(ReLU) };
        model = model.add(Linear::new(pair[0], pair[1]));
    }
    model
}

fn lenet() -> Sequential {
    seq![
        Conv2d::new(1, 32, 3),
        ReLU,
        Conv2d::new(32, 64, 3),
        ReLU,
        MaxPool2d::new(2),
        Dropout::new(0.25),
        Flatten::default(),
        Linear::new(9216, 128),
        ReLU,
        Dropout::new(0.5),
        Linear::new(128, CLASSES),
    ]
}

fn normed(inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Sequential {
    let conv = Conv2d::builder(inputs, outputs, kernel).stride(stride).padding(kernel / 2).bias(false);
    seq![conv.build(), BatchNorm2d::new(outputs)]
}

/// Two convolutions around which the input is added: as it is, or fitted by a third one.
#[derive(Module)]
struct Block {
    first: Sequential,
    second: Sequential,
    short: Sequential,
}

impl Block {
    fn new(inputs: usize, outputs: usize, stride: usize) -> Block {
        let short = if inputs == outputs { Sequential::new() } else { normed(inputs, outputs, 1, stride) };
        Block { first: normed(inputs, outputs, 3, stride), second: normed(outputs, outputs, 3, 1), short }
    }
}

impl Forward for Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.second.forward(&ReLU.forward(&self.first.forward(x)?)?)?;
        ReLU.forward(&(y + self.short.forward(x)?))
    }
}

fn resnet8() -> Sequential {
    let (one, two, three) = (Block::new(16, 16, 1), Block::new(16, 32, 2), Block::new(32, 64, 2));
    seq![normed(3, 16, 3, 1), ReLU, one, two, three, AdaptiveAvgPool2d::new(1), Flatten::default(), Linear::new(64, CLASSES)]
}

#[derive(Module)]
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
    fn new(gpt: Gpt) -> Layer {
        let width = gpt.width;
        Layer {
            norm1: LayerNorm::new(width),
            qkv: Linear::new(width, 3 * width),
            out: Linear::new(width, width),
            norm2: LayerNorm::new(width),
            up: Linear::new(width, 4 * width),
            down: Linear::new(4 * width, width),
            heads: gpt.heads,
        }
    }

    fn attend(&self, x: &Tensor) -> Result<Tensor> {
        let [n, t, width] = [0, 1, 2].map(|d| x.size(d) as i64);
        let split = |part: &Tensor| part.reshape([n, t, self.heads as i64, -1]).transpose(1, 2);
        let qkv: Vec<Tensor> = ops::chunk(&self.qkv.forward(x)?, 3, -1)?.iter().map(split).collect();
        let y = ops::scaled_dot_product_attention(&qkv[0], &qkv[1], &qkv[2], None, 0.0, true, None, false)?;
        self.out.forward(&y.transpose(1, 2).reshape([n, t, width]))
    }
}

impl Forward for Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x + self.attend(&self.norm1.forward(x)?)?;
        let hidden = GELU.forward(&self.up.forward(&self.norm2.forward(&x)?)?)?;
        Ok(&x + self.down.forward(&hidden)?)
    }
}

#[derive(Module)]
struct Model {
    tokens: Embedding,
    places: Embedding,
    layers: Vec<Layer>,
    norm: LayerNorm,
    head: Linear,
}

impl Model {
    fn new(gpt: Gpt) -> Model {
        Model {
            tokens: Embedding::new(VOCABULARY, gpt.width),
            places: Embedding::new(gpt.block, gpt.width),
            layers: (0..gpt.layers).map(|_| Layer::new(gpt)).collect(),
            norm: LayerNorm::new(gpt.width),
            head: Linear::builder(gpt.width, VOCABULARY).bias(false).build(),
        }
    }
}

impl Forward for Model {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let places = Tensor::arange(0..x.size(1) as i64);
        let start = self.tokens.forward(x)? + self.places.forward(&places)?;
        let h = self.layers.iter().try_fold(start, |h, layer| layer.forward(&h))?;
        ops::flatten(&self.head.forward(&self.norm.forward(&h)?)?, 0, 1)
    }
}

#[derive(Module)]
struct Recurrent {
    lstm: Option<LSTM>,
    gru: Option<GRU>,
    head: Linear,
}

impl Recurrent {
    fn new(kind: Kind, inputs: usize, hidden: usize) -> Recurrent {
        let (lstm, gru) = match kind {
            Kind::Lstm => (Some(LSTM::builder(inputs, hidden).batch_first(true).build()), None),
            Kind::Gru => (None, Some(GRU::builder(inputs, hidden).batch_first(true).build())),
        };
        Recurrent { lstm, gru, head: Linear::new(hidden, CLASSES) }
    }
}

impl Forward for Recurrent {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let outputs = match (&self.lstm, &self.gru) {
            (Some(lstm), _) => lstm.forward_from(x, None)?.0,
            (_, Some(gru)) => gru.forward_from(x, None)?.0,
            _ => x.clone(),
        };
        self.head.forward(&ops::select(&outputs, 1, -1)?)
    }
}
