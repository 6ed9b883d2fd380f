//! Trains a network of nine units to compute the exclusive or, the smallest task that one layer cannot solve, and draws what it answers
//! between and around the four points.
//!
//! ```text
//! cargo run --release --example xor
//! cargo run --release --example xor -- --steps 2000 --lr 0.02
//! ```

mod support;

use clap::Parser;
use plotters::prelude::*;
use rushlight::nn::{Forward, Linear, Module, Sequential, Tanh};
use rushlight::optim::{Adam, AdamOptions, Optimizer};
use rushlight::{Result, Tensor, no_grad, ops, seq};
use std::path::{Path, PathBuf};
use support::{Common, Outcome, draw_curves, numbered, progress};

#[derive(Parser)]
#[command(about = "Trains a network of nine units to compute the exclusive or")]
struct Args {
    /// Steps of training
    #[arg(long, default_value_t = 500)]
    steps: usize,
    /// Learning rate
    #[arg(long, default_value_t = 0.05)]
    lr: f64,
    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "xor-out")]
    out: PathBuf,
    #[command(flatten)]
    common: Common,
}

const POINTS: [f32; 8] = [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
const ANSWERS: [f32; 4] = [0.0, 1.0, 1.0, 0.0];

fn main() -> Outcome {
    let args = Args::parse();
    let steps = if args.common.quick { 20 } else { args.steps };
    std::fs::create_dir_all(&args.out)?;
    args.common.start();

    let (x, y) = (Tensor::from_slice(&POINTS, [4, 2]), Tensor::from_slice(&ANSWERS, [4, 1]));
    let model = seq![Linear::new(2, 8), Tanh, Linear::new(8, 1)];
    let mut optimizer = Adam::new(model.parameters(), AdamOptions { lr: args.lr, ..Default::default() });
    let (mut losses, bar) = (Vec::new(), progress(steps));
    for _ in 0..steps {
        let loss = ops::binary_cross_entropy_with_logits(&model.forward(&x)?, &y, None, "mean", None)?;
        optimizer.zero_grad();
        loss.try_backward()?;
        optimizer.step()?;
        losses.push(loss.item());
        bar.set_message(format!("loss {:.4}", loss.item::<f64>()));
        bar.inc(1);
    }
    bar.finish();

    let answers = answer(&model, &x)?;
    for (point, answer) in POINTS.chunks(2).zip(&answers) {
        println!("{} xor {} = {answer:.3}", point[0], point[1]);
    }
    draw_curves(&args.out.join("loss.svg"), "exclusive or: loss", "step", &[("binary cross-entropy", numbered(&losses))])?;
    draw_surface(&args.out.join("surface.svg"), &model)?;
    let right = answers.iter().zip(ANSWERS).filter(|&(&a, y)| (a > 0.5) == (y > 0.5)).count();
    println!("loss {:.4} → {:.4}, {right} of 4 right; results in {}", losses[0], losses[steps - 1], args.out.display());
    Ok(())
}

/// The probability of "true" at each point.
fn answer(model: &Sequential, points: &Tensor) -> Result<Vec<f32>> {
    let _guard = no_grad();
    ops::sigmoid(&model.forward(points)?)?.try_to_vec()
}

/// From blue (false) to red (true) over the plane, with the four points.
fn draw_surface(path: &Path, model: &Sequential) -> Outcome {
    const SIDE: usize = 60;
    let at = |i: usize| -0.5 + 2.0 * (i as f32 + 0.5) / SIDE as f32;
    let grid: Vec<f32> = (0..SIDE * SIDE).flat_map(|i| [at(i % SIDE), at(i / SIDE)]).collect();
    let answers = answer(model, &Tensor::from_vec(grid, [SIDE * SIDE, 2]))?;

    let root = SVGBackend::new(path, (480, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("a xor b", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(36)
        .build_cartesian_2d(-0.5f32..1.5, -0.5f32..1.5)?;
    chart.configure_mesh().disable_mesh().x_desc("a").y_desc("b").draw()?;
    let half = 1.0 / SIDE as f32;
    chart.draw_series(answers.iter().enumerate().map(|(i, p)| {
        let (x, y) = (at(i % SIDE), at(i / SIDE));
        let colour = RGBColor((70.0 + 170.0 * p) as u8, 110, (240.0 - 170.0 * p) as u8);
        Rectangle::new([(x - half, y - half), (x + half, y + half)], colour.filled())
    }))?;
    chart.draw_series(POINTS.chunks(2).zip(ANSWERS).map(|(p, answer)| {
        let style = if answer > 0.5 { WHITE.filled() } else { BLACK.filled() };
        Circle::new((p[0], p[1]), 6, style)
    }))?;
    root.present()?;
    Ok(())
}
