//! The training steps: network, batch and update rule of each, said once for all libraries. They are those of
//! `benches/compare/cases/training.py`, except that SGD has no momentum, which candle's lacks.

/// A training step, by the name under which its times are stored.
pub struct Case {
    pub name: &'static str,
    pub network: Network,
    /// Number of samples.
    pub batch: usize,
    pub rule: Rule,
}

#[derive(Clone, Copy)]
pub enum Network {
    /// Linear layers of these sizes with ReLU in between.
    Mlp(&'static [usize]),
    /// The network of PyTorch's MNIST example.
    Lenet,
    /// Three stages of one residual block, with batch norms, for 32x32 images.
    Resnet8,
    /// A character-level language model, as nanoGPT builds it.
    Gpt(Gpt),
    /// A recurrent layer over a sequence, and a linear layer on its last output.
    Recurrent { kind: Kind, inputs: usize, hidden: usize, steps: usize },
}

#[derive(Clone, Copy)]
pub struct Gpt {
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    /// Characters of a sample.
    pub block: usize,
}

#[derive(Clone, Copy)]
pub enum Kind {
    Lstm,
    Gru,
}

#[derive(Clone, Copy)]
pub enum Rule {
    Sgd,
    Adam,
    AdamW,
}

/// Classes of every classifier but the tiny one, whose last layer says.
pub const CLASSES: usize = 10;
/// Characters that a language model knows.
pub const VOCABULARY: usize = 65;

pub const CASES: &[Case] = &[
    Case { name: "MLP 16-32-32-4 b32 Adam", network: Network::Mlp(&[16, 32, 32, 4]), batch: 32, rule: Rule::Adam },
    Case { name: "MLP 784-128-10 b64 SGD", network: Network::Mlp(&[784, 128, 10]), batch: 64, rule: Rule::Sgd },
    Case { name: "MLP 784-256-128-10 b128 Adam", network: Network::Mlp(&[784, 256, 128, 10]), batch: 128, rule: Rule::Adam },
    Case {
        name: "MLP 784-1024-1024-10 b128 AdamW",
        network: Network::Mlp(&[784, 1024, 1024, 10]),
        batch: 128,
        rule: Rule::AdamW,
    },
    Case { name: "CNN of the MNIST example b64 AdamW", network: Network::Lenet, batch: 64, rule: Rule::AdamW },
    Case { name: "ResNet-8 32x32 b32 SGD", network: Network::Resnet8, batch: 32, rule: Rule::Sgd },
    Case {
        name: "GPT d256 L4 H4 T128 b8 AdamW",
        network: Network::Gpt(Gpt { width: 256, layers: 4, heads: 4, block: 128 }),
        batch: 8,
        rule: Rule::AdamW,
    },
    Case {
        name: "GPT d64 L2 H2 T32 b4 AdamW",
        network: Network::Gpt(Gpt { width: 64, layers: 2, heads: 2, block: 32 }),
        batch: 4,
        rule: Rule::AdamW,
    },
    Case {
        name: "LSTM 64-128 T64 b32 Adam",
        network: Network::Recurrent { kind: Kind::Lstm, inputs: 64, hidden: 128, steps: 64 },
        batch: 32,
        rule: Rule::Adam,
    },
    Case {
        name: "GRU 64-128 T64 b32 Adam",
        network: Network::Recurrent { kind: Kind::Gru, inputs: 64, hidden: 128, steps: 64 },
        batch: 32,
        rule: Rule::Adam,
    },
];

impl Rule {
    pub fn learning_rate(self) -> f64 {
        match self {
            Rule::Sgd => 1e-2,
            Rule::Adam | Rule::AdamW => 1e-3,
        }
    }
}

/// What a step learns from: inputs of `shape`, and a class for each sample (for each character, in a language model).
pub struct Batch {
    pub inputs: Inputs,
    pub shape: Vec<usize>,
    pub targets: Vec<i64>,
}

pub enum Inputs {
    Numbers(Vec<f32>),
    Tokens(Vec<i64>),
}

impl Case {
    /// The batch, the same for every library.
    pub fn batch(&self) -> Batch {
        let mut random = Random(0);
        let n = self.batch;
        let (shape, classes) = match self.network {
            Network::Mlp(sizes) => (vec![n, sizes[0]], sizes[sizes.len() - 1]),
            Network::Lenet => (vec![n, 1, 28, 28], CLASSES),
            Network::Resnet8 => (vec![n, 3, 32, 32], CLASSES),
            Network::Recurrent { inputs, steps, .. } => (vec![n, steps, inputs], CLASSES),
            Network::Gpt(gpt) => return text(n, gpt.block, &mut random),
        };
        let numbers = (0..shape.iter().product()).map(|_| random.normal()).collect();
        let targets = (0..n).map(|_| random.below(classes)).collect();
        Batch { inputs: Inputs::Numbers(numbers), shape, targets }
    }
}

/// Texts drawn at random, and for each of their characters the next one.
fn text(batch: usize, block: usize, random: &mut Random) -> Batch {
    let texts: Vec<Vec<i64>> = (0..batch).map(|_| (0..=block).map(|_| random.below(VOCABULARY)).collect()).collect();
    let inputs = texts.iter().flat_map(|t| t[..block].to_vec()).collect();
    let targets = texts.iter().flat_map(|t| t[1..].to_vec()).collect();
    Batch { inputs: Inputs::Tokens(inputs), shape: vec![batch, block], targets }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: usize) -> i64 {
        (self.next() % n as u64) as i64
    }
    /// Normal enough: twelve uniform numbers have a variance of one.
    fn normal(&mut self) -> f32 {
        let sum: f32 = (0..12).map(|_| (self.next() >> 40) as f32 / (1u64 << 24) as f32).sum();
        sum - 6.0
    }
}
