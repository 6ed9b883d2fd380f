//! Trains a small GPT on the characters of a text, and writes more of it.
//!
//! ```text
//! cargo run --release --example char_gpt
//! cargo run --release --example char_gpt -- --text shakespeare.txt --steps 5000 --out runs/shakespeare
//! ```
//!
//! Without `--text` it reads this library's own sources. The architecture is GPT-2's (Radford et al., 2019); the size, 0.8 million
//! parameters, suits a CPU.

mod support;

use clap::Parser;
use rushlight::io::Checkpoint;
use rushlight::nn::{Dropout, Embedding, Forward, GELU, LayerNorm, Linear, Module, Sequential, clip_grad_norm_, init};
use rushlight::optim::{AdamW, AdamWOptions, LambdaLr, Optimizer, ParamGroup, Scheduler};
use rushlight::{Generator, Result, Tensor, no_grad, ops, seq};
use std::collections::BTreeSet;
use std::f64::consts::PI;
use std::path::{Path, PathBuf};
use support::{Common, Outcome, draw_curves, numbered, progress};

#[derive(Parser)]
#[command(about = "Trains a small GPT on the characters of a text, and writes more of it")]
struct Args {
    /// What to learn from; without it, the sources of the library
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Steps of training
    #[arg(long, default_value_t = 2000)]
    steps: usize,
    /// Sequences per step
    #[arg(long, default_value_t = 12)]
    batch_size: usize,
    /// Peak learning rate
    #[arg(long, default_value_t = 0.001)]
    lr: f64,
    /// Characters that the model sees
    #[arg(long, default_value_t = 64)]
    context: usize,
    /// Numbers for each character
    #[arg(long, default_value_t = 128)]
    width: usize,
    /// Heads of attention
    #[arg(long, default_value_t = 4)]
    heads: usize,
    /// Blocks
    #[arg(long, default_value_t = 4)]
    layers: usize,
    /// Probability of dropping a number
    #[arg(long, default_value_t = 0.0)]
    dropout: f64,
    /// Characters to write in the end
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    write: usize,
    /// Below 1: likelier text, above 1: wilder text
    #[arg(long, default_value_t = 0.8)]
    temperature: f64,
    /// Draw among this many likeliest characters
    #[arg(long, default_value_t = 40)]
    top_k: usize,
    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "char-gpt-out")]
    out: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// Causal self-attention, then a network of two layers at each position, each around a residual connection: `[n, t, width]` to the same.
#[derive(Module)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    out: Linear,
    dropout: Dropout,
    norm2: LayerNorm,
    mlp: Sequential,
    heads: usize,
}

impl Block {
    fn new(args: &Args) -> Block {
        let width = args.width;
        Block {
            norm1: LayerNorm::new(width),
            qkv: Linear::builder(width, 3 * width).bias(false).build(),
            out: Linear::builder(width, width).bias(false).build(),
            dropout: Dropout::new(args.dropout),
            norm2: LayerNorm::new(width),
            mlp: seq![Linear::new(width, 4 * width), GELU, Linear::new(4 * width, width), Dropout::new(args.dropout)],
            heads: args.heads,
        }
    }

    fn attend(&self, x: &Tensor) -> Result<Tensor> {
        let [n, t, width] = [0, 1, 2].map(|d| x.size(d) as i64);
        let split = |part: &Tensor| part.reshape([n, t, self.heads as i64, -1]).transpose(1, 2);
        let qkv: Vec<Tensor> = ops::chunk(&self.qkv.forward(x)?, 3, -1)?.iter().map(split).collect();
        let y = ops::scaled_dot_product_attention(&qkv[0], &qkv[1], &qkv[2], None, 0.0, true, None, false)?;
        self.dropout.forward(&self.out.forward(&y.transpose(1, 2).reshape([n, t, width]))?)
    }
}

impl Forward for Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x + self.attend(&self.norm1.forward(x)?)?;
        Ok(&x + self.mlp.forward(&self.norm2.forward(&x)?)?)
    }
}

/// Characters `[n, t]`, as numbers, to the scores of the next ones `[n, t, characters]`.
#[derive(Module)]
struct Gpt {
    token: Embedding,
    position: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    context: usize,
}

impl Gpt {
    fn new(characters: usize, args: &Args) -> Result<Gpt> {
        let model = Gpt {
            token: Embedding::new(characters, args.width),
            position: Embedding::new(args.context, args.width),
            blocks: (0..args.layers).map(|_| Block::new(args)).collect(),
            norm: LayerNorm::new(args.width),
            context: args.context,
        };
        for (name, parameter) in model.named_parameters().into_iter().filter(|(_, p)| p.rank() == 2) {
            // Each block adds twice to the residual stream; what it adds is kept small.
            let residual = name.ends_with("out.weight") || name.ends_with("mlp.2.weight");
            init::normal_(&parameter, 0.0, if residual { 0.02 / (2.0 * args.layers as f64).sqrt() } else { 0.02 })?;
        }
        Ok(model)
    }

    /// Appends `count` characters to `tokens` `[1, t]`, each drawn from the `top_k` likeliest.
    fn write(&self, mut tokens: Tensor, args: &Args) -> Result<Vec<i64>> {
        let _guard = no_grad();
        self.eval();
        for _ in 0..args.write {
            let seen = ops::slice(&tokens, 1, Some(-(self.context as i64)), None, 1)?;
            let scores = ops::select(&self.forward(&seen)?, 1, -1)? / args.temperature;
            let (best, index) = ops::topk(&scores, args.top_k.min(scores.size(-1)) as i64, -1, true, true)?;
            let choice = ops::multinomial(&ops::softmax(&best, -1, None)?, 1, false, None)?;
            tokens = ops::cat(&[tokens, ops::gather(&index, 1, &choice, false)?], 1)?;
        }
        tokens.try_to_vec()
    }

    /// The cross-entropy of sequences drawn with `generator`.
    fn loss(&self, tokens: &Tensor, args: &Args, generator: &Generator) -> Result<Tensor> {
        let (x, y) = batch(tokens, args, generator)?;
        ops::cross_entropy(&self.forward(&x)?.flatten(0, 1), &y.flatten(0, -1), None, -100, "mean", 0.0)
    }

    /// The loss of some sequences that training does not see.
    fn test(&self, tokens: &Tensor, args: &Args) -> Result<f64> {
        let (_guard, generator) = (no_grad(), Generator::new(1));
        self.eval();
        let losses = (0..8).map(|_| Ok(self.loss(tokens, args, &generator)?.item::<f64>()));
        Ok(losses.sum::<Result<f64>>()? / 8.0)
    }
}

impl Forward for Gpt {
    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let places = Tensor::arange(0..tokens.size(1) as i64);
        let start = self.token.forward(tokens)? + self.position.forward(&places)?;
        let x = self.blocks.iter().try_fold(start, |x, block| block.forward(&x))?;
        // The table that reads characters also scores them.
        ops::linear(&self.norm.forward(&x)?, &self.token.weight, None)
    }
}

/// Sequences drawn at random, `[batch, context]`, and the same moved on by one character.
fn batch(tokens: &Tensor, args: &Args, generator: &Generator) -> Result<(Tensor, Tensor)> {
    let starts = ops::randint((tokens.numel() - args.context) as i64, &[args.batch_size as i64, 1], Some(generator), None)?;
    let index = starts + Tensor::arange(0..args.context as i64);
    Ok((ops::take(tokens, &index)?, ops::take(tokens, &(index + 1))?))
}

/// Rust sources of the library, one after the other.
fn sources() -> std::io::Result<String> {
    let mut paths = Vec::new();
    for folder in ["autograd", "data", "nn", "ops", "optim"] {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder))? {
            paths.push(entry?.path());
        }
    }
    paths.retain(|path| path.extension().is_some_and(|e| e == "rs"));
    paths.sort();
    paths.iter().map(std::fs::read_to_string).collect()
}

/// AdamW with weight decay for matrices; gains and biases are left alone.
fn optimizer(parameters: &[Tensor], lr: f64) -> Result<AdamW> {
    let (matrices, vectors) = parameters.iter().cloned().partition(|p| p.rank() >= 2);
    let group = |params, weight_decay| {
        let options = AdamWOptions { lr, betas: (0.9, 0.99), weight_decay, ..Default::default() };
        ParamGroup { params, options }
    };
    AdamW::with_groups(vec![group(matrices, 0.1), group(vectors, 0.0)])
}

/// The factor of the learning rate: it rises for a twentieth of the steps, and then falls to a tenth as a cosine does.
fn rate(step: u64, steps: usize) -> f64 {
    let (step, steps) = (step as f64, steps as f64);
    ((step + 1.0) / (steps / 20.0).max(1.0)).min(0.1 + 0.45 * (1.0 + (PI * (step / steps).min(1.0)).cos()))
}

fn main() -> Outcome {
    let mut args = Args::parse();
    if args.common.quick {
        (args.steps, args.width, args.layers, args.write) = (20, 32, 2, 20);
    }
    std::fs::create_dir_all(&args.out)?;
    args.common.start();

    let text = args.text.as_ref().map_or_else(sources, std::fs::read_to_string)?;
    let alphabet: Vec<char> = text.chars().collect::<BTreeSet<char>>().into_iter().collect();
    let tokens: Vec<i64> = text.chars().map(|c| alphabet.partition_point(|&a| a < c) as i64).collect();
    let (train, test) = tokens.split_at(tokens.len() * 9 / 10);
    if test.len() <= args.context {
        return Err(
            format!("the text has {} characters; a context of {} needs ten times more", tokens.len(), args.context).into()
        );
    }
    let [train, test] = [train, test].map(|part| Tensor::from_slice(part, part.len()));

    let model = Gpt::new(alphabet.len(), &args)?;
    let parameters = model.parameters();
    let count: usize = parameters.iter().map(Tensor::numel).sum();
    println!("{} characters, {} different ones; {count} parameters", tokens.len(), alphabet.len());
    let mut optimizer = optimizer(&parameters, args.lr)?;
    let mut schedule = LambdaLr::new(&mut optimizer, move |step| rate(step, args.steps));

    let (mut losses, mut tests, bar) = (Vec::new(), vec![(0.0, model.test(&test, &args)?)], progress(args.steps));
    for step in 1..=args.steps {
        model.train();
        let loss = model.loss(&train, &args, &Generator::default_cpu())?;
        optimizer.zero_grad();
        loss.try_backward()?;
        clip_grad_norm_(&parameters, 1.0, 2.0)?;
        optimizer.step()?;
        schedule.step(&mut optimizer)?;
        losses.push(loss.item());
        if step % (args.steps / 20).max(10) == 0 || step == args.steps {
            tests.push((step as f64, model.test(&test, &args)?));
        }
        bar.set_message(format!("loss {:.3}, test {:.3}", loss.item::<f64>(), tests[tests.len() - 1].1));
        bar.inc(1);
    }
    bar.finish();

    let letters: String = alphabet.iter().collect();
    Checkpoint::new().with("alphabet", letters.as_str()).with_module("model", &model).save(args.out.join("model.safetensors"))?;
    let (first, last) = (tests[0].1, tests[tests.len() - 1].1);
    let curves = [("training", numbered(&losses)), ("test", tests)];
    draw_curves(&args.out.join("loss.svg"), "cross-entropy of the next character", "step", &curves)?;
    let written = model.write(test.narrow(0, 0, args.context as i64).reshape([1, -1]), &args)?;
    let (given, written) = written.split_at(args.context);
    let spell = |part: &[i64]| part.iter().map(|&i| alphabet[i as usize]).collect::<String>();
    println!("{}|{}", spell(given), spell(written));
    println!("loss {first:.3} → {last:.3} nats per character; results in {}", args.out.display());
    Ok(())
}
