//! What the examples share: options, a progress bar, and pictures as SVG.
#![allow(dead_code, reason = "no example needs all of it")]

use indicatif::{ProgressBar, ProgressStyle};
use plotters::prelude::*;
use std::ops::Range;
use std::path::Path;

/// How an example ends.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The options that all examples have.
#[derive(clap::Args)]
pub struct Common {
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads to compute with [default: one for each core]
    #[arg(long)]
    threads: Option<usize>,
    /// Only a few steps, to see whether all works
    #[arg(long)]
    pub quick: bool,
}

impl Common {
    /// Sets the seed and the number of threads.
    pub fn start(&self) {
        rushlight::manual_seed(self.seed);
        if let Some(n) = self.threads {
            rushlight::set_num_threads(n);
        }
    }
}

/// A bar for `steps` steps.
pub fn progress(steps: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:30} {pos}/{len}, {msg} [{elapsed} < {eta}]").expect("a template without mistakes");
    ProgressBar::new(steps as u64).with_style(style)
}

/// Values against their numbers.
pub fn numbered(values: &[f64]) -> Vec<(f64, f64)> {
    values.iter().enumerate().map(|(i, &v)| (i as f64, v)).collect()
}

/// Curves in one frame, each with its name.
pub fn draw_curves(path: &Path, title: &str, x_label: &str, curves: &[(&str, Vec<(f64, f64)>)]) -> Outcome {
    let range = |values: &mut dyn Iterator<Item = f64>| -> Range<f64> {
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        if high > low { low..high } else { low - 1.0..low + 1.0 }
    };
    let points = || curves.iter().flat_map(|(_, points)| points);
    let (x, mut y) = (range(&mut points().map(|p| p.0)), range(&mut points().map(|p| p.1)));
    // Room for the names.
    y.end += 0.3 * (y.end - y.start);
    let root = SVGBackend::new(path, (720, 360)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(52)
        .build_cartesian_2d(x, y)?;
    chart.configure_mesh().light_line_style(WHITE).x_desc(x_label).draw()?;
    for ((name, points), colour) in curves.iter().zip([RED, BLUE, BLACK].into_iter().cycle()) {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), &colour))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperRight).background_style(WHITE).draw()?;
    root.present()?;
    Ok(())
}

/// Rows of images, each of `size` × `size` numbers from 0 (white) to 1 (black).
pub fn draw_images(path: &Path, size: usize, rows: &[Vec<Vec<f32>>]) -> Outcome {
    const SCALE: i32 = 5;
    let cell = (size as i32 + 1) * SCALE;
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0) as i32;
    let root =
        SVGBackend::new(path, ((columns * cell + SCALE) as u32, (rows.len() as i32 * cell + SCALE) as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    for (i, row) in rows.iter().enumerate() {
        for (j, image) in row.iter().enumerate() {
            for (k, &ink) in image.iter().enumerate() {
                let x = j as i32 * cell + (k % size) as i32 * SCALE + SCALE;
                let y = i as i32 * cell + (k / size) as i32 * SCALE + SCALE;
                let grey = (255.0 * (1.0 - ink.clamp(0.0, 1.0))) as u8;
                root.draw(&Rectangle::new([(x, y), (x + SCALE, y + SCALE)], RGBColor(grey, grey, grey).filled()))?;
            }
        }
    }
    root.present()?;
    Ok(())
}
