//! candle's programs.

use super::{Stepped, Training};
use crate::case::{CLASSES, Case, Gpt, Inputs, Kind, Network, Rule, VOCABULARY};
use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::rnn::{GRU, GRUConfig, LSTM, LSTMConfig, RNN};
use candle_nn::{
    AdamW, BatchNorm, Conv2d, Conv2dConfig, Dropout, Embedding, Linear, Module, Optimizer, ParamsAdamW, SGD, VarBuilder, VarMap,
    batch_norm, conv2d, conv2d_no_bias, embedding, linear, linear_no_bias, loss, ops,
};

const DEVICE: Device = Device::Cpu;

struct Run<O> {
    loss: Box<dyn Fn() -> Result<Tensor>>,
    optimizer: O,
    parameters: usize,
}

impl<O: Optimizer> Training for Run<O> {
    fn step(&mut self, read: bool) -> Stepped {
        let loss = (self.loss)()?;
        let value = read.then(|| loss.to_scalar()).transpose()?;
        self.optimizer.backward_step(&loss)?;
        Ok(value)
    }
    fn parameters(&self) -> usize {
        self.parameters
    }
}

/// A network whose parameters are made in the map.
fn network(case: &Case, vars: VarBuilder) -> Result<Box<dyn Module>> {
    Ok(match case.network {
        Network::Mlp(sizes) => Box::new(Mlp::new(sizes, vars)?),
        Network::Lenet => Box::new(Lenet::new(vars)?),
        Network::Resnet8 => Box::new(Resnet8::new(vars)?),
        Network::Gpt(gpt) => Box::new(Model::new(gpt, vars)?),
        Network::Recurrent { kind, inputs, hidden, .. } => Box::new(Recurrent::new(kind, inputs, hidden, vars)?),
    })
}

pub fn build(case: &Case) -> Result<Box<dyn Training>> {
    let batch = case.batch();
    let shape = batch.shape.as_slice();
    let x = match &batch.inputs {
        Inputs::Numbers(values) => Tensor::from_slice(values, shape, &DEVICE)?,
        Inputs::Tokens(values) => Tensor::from_slice(values, shape, &DEVICE)?.to_dtype(DType::U32)?,
    };
    let targets = Tensor::from_slice(&batch.targets, batch.targets.len(), &DEVICE)?.to_dtype(DType::U32)?;
    let map = VarMap::new();
    let model = network(case, VarBuilder::from_varmap(&map, DType::F32, &DEVICE))?;
    let trained = trained(&map);
    let parameters = trained.iter().map(|v| v.elem_count()).sum();
    let loss = Box::new(move || loss::cross_entropy(&model.forward(&x)?, &targets));
    let lr = case.rule.learning_rate();
    let adam = |weight_decay| ParamsAdamW { lr, weight_decay, ..ParamsAdamW::default() };
    Ok(match case.rule {
        Rule::Sgd => Box::new(Run { loss, optimizer: SGD::new(trained, lr)?, parameters }),
        Rule::Adam => Box::new(Run { loss, optimizer: AdamW::new(trained, adam(0.0))?, parameters }),
        Rule::AdamW => Box::new(Run { loss, optimizer: AdamW::new(trained, adam(0.01))?, parameters }),
    })
}

/// The variables of the map without the running statistics of batch norms, which stand there too.
fn trained(map: &VarMap) -> Vec<Var> {
    let vars = map.data().lock().expect("no other thread holds the map");
    vars.iter().filter(|(name, _)| !name.contains("running_")).map(|(_, var)| var.clone()).collect()
}

struct Mlp(Vec<Linear>);

impl Mlp {
    fn new(sizes: &[usize], vars: VarBuilder) -> Result<Mlp> {
        let layer = |(i, pair): (usize, &[usize])| linear(pair[0], pair[1], vars.pp(i));
        sizes.windows(2).enumerate().map(layer).collect::<Result<_>>().map(Mlp)
    }
}

impl Module for Mlp {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = self.0[0].forward(x)?;
        for layer in &self.0[1..] {
            x = layer.forward(&x.relu()?)?;
        }
        Ok(x)
    }
}

struct Lenet {
    conv1: Conv2d,
    conv2: Conv2d,
    drop1: Dropout,
    drop2: Dropout,
    fc1: Linear,
    fc2: Linear,
}

impl Lenet {
    fn new(vars: VarBuilder) -> Result<Lenet> {
        Ok(Lenet {
            conv1: conv2d(1, 32, 3, Conv2dConfig::default(), vars.pp("conv1"))?,
            conv2: conv2d(32, 64, 3, Conv2dConfig::default(), vars.pp("conv2"))?,
            drop1: Dropout::new(0.25),
            drop2: Dropout::new(0.5),
            fc1: linear(9216, 128, vars.pp("fc1"))?,
            fc2: linear(128, CLASSES, vars.pp("fc2"))?,
        })
    }
}

impl Module for Lenet {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.conv2.forward(&self.conv1.forward(x)?.relu()?)?.relu()?.max_pool2d(2)?;
        let x = self.drop1.forward(&x, true)?.flatten_from(1)?;
        let x = self.drop2.forward(&self.fc1.forward(&x)?.relu()?, true)?;
        self.fc2.forward(&x)
    }
}

/// A convolution and its batch norm.
struct Normed {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Normed {
    fn new(inputs: usize, outputs: usize, kernel: usize, stride: usize, vars: VarBuilder) -> Result<Normed> {
        let config = Conv2dConfig { padding: kernel / 2, stride, ..Default::default() };
        let conv = conv2d_no_bias(inputs, outputs, kernel, config, vars.pp("conv"))?;
        Ok(Normed { conv, norm: batch_norm(outputs, 1e-5, vars.pp("norm"))? })
    }
}

impl Module for Normed {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward_train(&self.conv.forward(x)?)
    }
}

/// Two convolutions around which the input is added: as it is, or fitted by a third one.
struct Block {
    first: Normed,
    second: Normed,
    short: Option<Normed>,
}

impl Block {
    fn new(inputs: usize, outputs: usize, stride: usize, vars: VarBuilder) -> Result<Block> {
        let short = (inputs != outputs).then(|| Normed::new(inputs, outputs, 1, stride, vars.pp("short"))).transpose()?;
        let first = Normed::new(inputs, outputs, 3, stride, vars.pp("first"))?;
        Ok(Block { first, second: Normed::new(outputs, outputs, 3, 1, vars.pp("second"))?, short })
    }
}

impl Module for Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.second.forward(&self.first.forward(x)?.relu()?)?;
        let short = self.short.as_ref().map_or_else(|| Ok(x.clone()), |short| short.forward(x))?;
        (y + short)?.relu()
    }
}

struct Resnet8 {
    stem: Normed,
    stages: [Block; 3],
    head: Linear,
}

impl Resnet8 {
    fn new(vars: VarBuilder) -> Result<Resnet8> {
        let stage = |name, inputs, outputs, stride| Block::new(inputs, outputs, stride, vars.pp(name));
        Ok(Resnet8 {
            stem: Normed::new(3, 16, 3, 1, vars.pp("stem"))?,
            stages: [stage("1", 16, 16, 1)?, stage("2", 16, 32, 2)?, stage("3", 32, 64, 2)?],
            head: linear(64, CLASSES, vars.pp("head"))?,
        })
    }
}

impl Module for Resnet8 {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let start = self.stem.forward(x)?.relu()?;
        let x = self.stages.iter().try_fold(start, |x, stage| stage.forward(&x))?;
        self.head.forward(&x.mean((2, 3))?)
    }
}

/// candle's layer norm module takes a kernel without a derivative, so the parameters stand here by themselves.
struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    fn new(width: usize, vars: VarBuilder) -> Result<LayerNorm> {
        let filled = |name, value| vars.get_with_hints(width, name, candle_nn::Init::Const(value));
        Ok(LayerNorm { weight: filled("weight", 1.0)?, bias: filled("bias", 0.0)? })
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm_slow(x, &self.weight, &self.bias, 1e-5)
    }
}

struct Layer {
    norm1: LayerNorm,
    qkv: Linear,
    out: Linear,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
    heads: usize,
    /// Zero where a character may look, minus infinity where it may not.
    mask: Tensor,
}

impl Layer {
    fn new(gpt: Gpt, mask: Tensor, vars: VarBuilder) -> Result<Layer> {
        let width = gpt.width;
        Ok(Layer {
            norm1: LayerNorm::new(width, vars.pp("norm1"))?,
            qkv: linear(width, 3 * width, vars.pp("qkv"))?,
            out: linear(width, width, vars.pp("out"))?,
            norm2: LayerNorm::new(width, vars.pp("norm2"))?,
            up: linear(width, 4 * width, vars.pp("up"))?,
            down: linear(4 * width, width, vars.pp("down"))?,
            heads: gpt.heads,
            mask,
        })
    }

    fn attend(&self, x: &Tensor) -> Result<Tensor> {
        let (n, t, width) = x.dims3()?;
        let size = width / self.heads;
        let split = |part: &Tensor| part.reshape((n, t, self.heads, size))?.transpose(1, 2)?.contiguous();
        let qkv = self.qkv.forward(x)?.chunk(3, D::Minus1)?.iter().map(split).collect::<Result<Vec<_>>>()?;
        let scores = (qkv[0].matmul(&qkv[1].t()?)? * (1.0 / (size as f64).sqrt()))?.broadcast_add(&self.mask)?;
        let y = ops::softmax(&scores, D::Minus1)?.matmul(&qkv[2])?;
        self.out.forward(&y.transpose(1, 2)?.reshape((n, t, width))?)
    }
}

impl Module for Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = (x + self.attend(&self.norm1.forward(x)?)?)?;
        let hidden = self.up.forward(&self.norm2.forward(&x)?)?.gelu_erf()?;
        &x + self.down.forward(&hidden)?
    }
}

struct Model {
    tokens: Embedding,
    places: Embedding,
    layers: Vec<Layer>,
    norm: LayerNorm,
    head: Linear,
}

impl Model {
    fn new(gpt: Gpt, vars: VarBuilder) -> Result<Model> {
        let may = |(row, column)| if column <= row { 0.0 } else { f32::NEG_INFINITY };
        let places = (0..gpt.block).flat_map(|row| (0..gpt.block).map(move |column| (row, column)));
        let mask = Tensor::from_vec(places.map(may).collect(), (gpt.block, gpt.block), &DEVICE)?;
        Ok(Model {
            tokens: embedding(VOCABULARY, gpt.width, vars.pp("tokens"))?,
            places: embedding(gpt.block, gpt.width, vars.pp("places"))?,
            layers: (0..gpt.layers).map(|i| Layer::new(gpt, mask.clone(), vars.pp(i))).collect::<Result<_>>()?,
            norm: LayerNorm::new(gpt.width, vars.pp("norm"))?,
            head: linear_no_bias(gpt.width, VOCABULARY, vars.pp("head"))?,
        })
    }
}

impl Module for Model {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let places = Tensor::arange(0, x.dim(1)? as u32, &DEVICE)?;
        let start = self.tokens.forward(x)?.broadcast_add(&self.places.forward(&places)?)?;
        let h = self.layers.iter().try_fold(start, |h, layer| layer.forward(&h))?;
        self.head.forward(&self.norm.forward(&h)?)?.flatten(0, 1)
    }
}

enum Cells {
    Lstm(LSTM),
    Gru(GRU),
}

struct Recurrent {
    cells: Cells,
    head: Linear,
}

impl Recurrent {
    fn new(kind: Kind, inputs: usize, hidden: usize, vars: VarBuilder) -> Result<Recurrent> {
        let cells = match kind {
            Kind::Lstm => Cells::Lstm(LSTM::new(inputs, hidden, LSTMConfig::default(), vars.pp("cells"))?),
            Kind::Gru => Cells::Gru(GRU::new(inputs, hidden, GRUConfig::default(), vars.pp("cells"))?),
        };
        Ok(Recurrent { cells, head: linear(hidden, CLASSES, vars.pp("head"))? })
    }
}

impl Module for Recurrent {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let last = match &self.cells {
            Cells::Lstm(lstm) => lstm.seq(x)?.pop().map(|state| state.h),
            Cells::Gru(gru) => gru.seq(x)?.pop().map(|state| state.h),
        };
        self.head.forward(&last.expect("a sequence is not empty"))
    }
}
