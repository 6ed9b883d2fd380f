//! Trains a variational autoencoder on handwritten digits, and draws digits that nobody has written.
//!
//! ```text
//! cargo run --release --example vae
//! cargo run --release --example vae -- --epochs 200 --latent 16
//! ```
//!
//! Kingma and Welling (2013), "Auto-Encoding Variational Bayes".

mod support;

use clap::Parser;
use rushlight::data::{DataLoader, TensorDataset, digits};
use rushlight::nn::{Forward, Linear, Module, ReLU, Sequential};
use rushlight::optim::{Adam, AdamOptions, Optimizer};
use rushlight::{Result, Tensor, no_grad, ops, seq};
use std::path::PathBuf;
use support::{Common, Outcome, draw_curves, draw_images, numbered, progress};

#[derive(Parser)]
#[command(about = "Trains a variational autoencoder on handwritten digits")]
struct Args {
    /// Passes over the images
    #[arg(long, default_value_t = 60)]
    epochs: usize,
    /// Images per step
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// Learning rate
    #[arg(long, default_value_t = 0.001)]
    lr: f64,
    /// Numbers that an image is coded in
    #[arg(long, default_value_t = 8)]
    latent: usize,
    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "vae-out")]
    out: PathBuf,
    #[command(flatten)]
    common: Common,
}

const SIDE: usize = 8;
const PIXELS: usize = SIDE * SIDE;

/// Images `[n, 64]` to the logits of their pixels, by way of a few numbers each.
#[derive(Module)]
struct Vae {
    encoder: Sequential,
    mean: Linear,
    log_variance: Linear,
    decoder: Sequential,
}

impl Vae {
    fn new(latent: usize) -> Vae {
        const HIDDEN: usize = 256;
        Vae {
            encoder: seq![Linear::new(PIXELS, HIDDEN), ReLU, Linear::new(HIDDEN, HIDDEN), ReLU],
            mean: Linear::new(HIDDEN, latent),
            log_variance: Linear::new(HIDDEN, latent),
            decoder: seq![Linear::new(latent, HIDDEN), ReLU, Linear::new(HIDDEN, HIDDEN), ReLU, Linear::new(HIDDEN, PIXELS)],
        }
    }

    /// The logits, and the mean and the logarithm of the variance of the code, which is drawn from that normal distribution.
    fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
        let h = self.encoder.forward(x)?;
        let (mean, log_variance) = (self.mean.forward(&h)?, self.log_variance.forward(&h)?);
        let z = &mean + (&log_variance * 0.5).exp() * ops::randn_like(&mean, None, None)?;
        Ok((self.decoder.forward(&z)?, mean, log_variance))
    }

    /// The negative evidence lower bound of one image, on average: what reconstruction and code cost, in nats.
    fn loss(&self, x: &Tensor) -> Result<Tensor> {
        let (logits, mean, log_variance) = self.forward(x)?;
        let reconstruction = ops::binary_cross_entropy_with_logits(&logits, x, None, "sum", None)?;
        let divergence = ops::sum(&(mean.square() + log_variance.exp() - &log_variance - 1.0), None)? * 0.5;
        Ok((reconstruction + divergence) / x.size(0))
    }
}

fn main() -> Outcome {
    let args = Args::parse();
    let epochs = if args.common.quick { 3 } else { args.epochs };
    std::fs::create_dir_all(&args.out)?;
    args.common.start();

    let images = digits()?.images.reshape([-1, PIXELS as i64]);
    let loader = DataLoader::builder(TensorDataset::new(images.clone())?).batch_size(args.batch_size).shuffle(true).build()?;
    let model = Vae::new(args.latent);
    let mut optimizer = Adam::new(model.parameters(), AdamOptions { lr: args.lr, ..Default::default() });
    let (mut losses, bar) = (Vec::new(), progress(epochs * loader.len()));
    for epoch in 1..=epochs {
        let mut total = 0.0;
        for batch in &loader {
            let x = batch?;
            let loss = model.loss(&x)?;
            optimizer.zero_grad();
            loss.try_backward()?;
            optimizer.step()?;
            total += x.size(0) as f64 * loss.item::<f64>();
            bar.set_message(format!("epoch {epoch}, loss {:.2} nats", loss.item::<f64>()));
            bar.inc(1);
        }
        losses.push(total / images.size(0) as f64);
    }
    bar.finish();

    model.eval();
    let _guard = no_grad();
    let some = ops::narrow(&images, 0, 0, 12)?;
    let again = ops::sigmoid(&model.forward(&some)?.0)?;
    let drawn = ops::sigmoid(&model.decoder.forward(&Tensor::randn([36, args.latent]))?)?;
    let pictures = ops::cat(&[some, again, drawn], 0)?.to_vec::<f32>();
    let rows: Vec<Vec<Vec<f32>>> =
        pictures.chunks(12 * PIXELS).map(|row| row.chunks(PIXELS).map(<[f32]>::to_vec).collect()).collect();
    draw_images(&args.out.join("digits.svg"), SIDE, &rows)?;
    draw_curves(&args.out.join("loss.svg"), "negative evidence lower bound", "epoch", &[("nats", numbered(&losses))])?;
    println!("loss {:.2} → {:.2} nats", losses[0], losses[epochs - 1]);
    println!("{}: digits, their reconstructions, and three rows of new ones", args.out.join("digits.svg").display());
    Ok(())
}
