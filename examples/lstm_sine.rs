//! Trains an LSTM to continue sine waves, and lets it go on by itself.
//!
//! ```text
//! cargo run --release --example lstm_sine
//! cargo run --release --example lstm_sine -- --steps 1000 --hidden 64
//! ```

mod support;

use clap::Parser;
use rushlight::nn::{Forward, LSTM, Linear, Module, clip_grad_norm_};
use rushlight::optim::{Adam, AdamOptions, CosineLr, Optimizer, Scheduler};
use rushlight::{Result, Tensor, no_grad, ops};
use std::f64::consts::TAU;
use std::path::PathBuf;
use support::{Common, Outcome, draw_curves, numbered, progress};

#[derive(Parser)]
#[command(about = "Trains an LSTM to continue sine waves")]
struct Args {
    /// Steps of training
    #[arg(long, default_value_t = 300)]
    steps: usize,
    /// Waves per step
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// Peak learning rate
    #[arg(long, default_value_t = 0.01)]
    lr: f64,
    /// Units of each of the two layers
    #[arg(long, default_value_t = 32)]
    hidden: usize,
    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "lstm-sine-out")]
    out: PathBuf,
    #[command(flatten)]
    common: Common,
}

const LENGTH: usize = 160;
const PERIOD: f64 = 25.0;
/// How much of a wave the trained network sees before it goes on alone, and how far it goes.
const SHOWN: usize = 80;
const ALONE: usize = 100;

/// Waves `[n, length]` to the predicted next values.
#[derive(Module)]
struct Continue {
    lstm: LSTM,
    head: Linear,
}

impl Continue {
    fn new(hidden: usize) -> Continue {
        Continue { lstm: LSTM::builder(1, hidden).num_layers(2).batch_first(true).build(), head: Linear::new(hidden, 1) }
    }

    /// Predictions `[n, length + future]`; those of the last `future` steps are made from predictions.
    fn forward(&self, x: &Tensor, future: usize) -> Result<Tensor> {
        let (h, mut state) = self.lstm.forward_from(&ops::unsqueeze(x, -1)?, None)?;
        let mut values = vec![self.head.forward(&h)?];
        for _ in 0..future {
            let last = ops::narrow(&values[values.len() - 1], 1, -1, 1)?;
            let (h, next) = self.lstm.forward_from(&last, Some((&state.0, &state.1)))?;
            values.push(self.head.forward(&h)?);
            state = next;
        }
        ops::squeeze_dim(&ops::cat(&values, 1)?, &[-1])
    }
}

/// Sine waves `[count, length]` with phases drawn at random.
fn waves(count: usize, length: usize) -> Tensor {
    let phase = Tensor::rand([count, 1]) * TAU;
    (phase + Tensor::arange(0..length as i64) * (TAU / PERIOD)).sin()
}

fn main() -> Outcome {
    let args = Args::parse();
    let steps = if args.common.quick { 10 } else { args.steps };
    std::fs::create_dir_all(&args.out)?;
    args.common.start();

    let model = Continue::new(args.hidden);
    let mut optimizer = Adam::new(model.parameters(), AdamOptions { lr: args.lr, ..Default::default() });
    let mut schedule = CosineLr::new(&mut optimizer, steps as u64, 0.0);
    let (mut losses, bar) = (Vec::new(), progress(steps));
    for _ in 0..steps {
        let wave = waves(args.batch_size, LENGTH);
        let (now, next) = (wave.narrow(1, 0, LENGTH as i64 - 1), wave.narrow(1, 1, LENGTH as i64 - 1));
        let loss = ops::mse_loss(&model.forward(&now, 0)?, &next, "mean", None)?;
        optimizer.zero_grad();
        loss.try_backward()?;
        clip_grad_norm_(&model.parameters(), 1.0, 2.0)?;
        optimizer.step()?;
        schedule.step(&mut optimizer)?;
        losses.push(loss.item());
        bar.set_message(format!("loss {:.5}", loss.item::<f64>()));
        bar.inc(1);
    }
    bar.finish();

    let _guard = no_grad();
    let truth = waves(1, SHOWN + ALONE);
    let predicted = model.forward(&truth.narrow(1, 0, SHOWN as i64), ALONE - 1)?.to_f64_vec();
    let truth = truth.to_f64_vec();
    let squares = predicted[SHOWN - 1..].iter().zip(&truth[SHOWN..]).map(|(p, t)| (p - t).powi(2));
    let error = (squares.sum::<f64>() / ALONE as f64).sqrt();
    let predicted = predicted.iter().enumerate().map(|(i, &y)| (i as f64 + 1.0, y)).collect();
    let curves = [("wave", numbered(&truth)), ("predicted, by itself from 80 on", predicted)];
    draw_curves(&args.out.join("wave.svg"), "an LSTM continues a sine wave", "time", &curves)?;
    draw_curves(&args.out.join("loss.svg"), "training loss", "step", &[("mean squared error", numbered(&losses))])?;
    println!("root mean squared error of {ALONE} values on its own: {error:.3}");
    println!("loss {:.5} → {:.5}; results in {}", losses[0], losses[steps - 1], args.out.display());
    Ok(())
}
