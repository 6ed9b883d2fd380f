//! Trains a small convolutional network on real handwritten digits, and shows what it has learnt.
//!
//! ```text
//! cargo run --release --example digits
//! cargo run --release --example digits -- --epochs 10 --lr 0.001 --out runs/a
//! cargo run --release --example digits -- --resume runs/a/checkpoint.safetensors --out runs/a
//! ```
//!
//! The same seed gives the same weights to the bit, at any number of threads; a run that was interrupted and resumed ends with the same
//! weights as one that was not.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use plotters::prelude::*;
use rushlight::data::{DataLoader, Digits, digits};
use rushlight::io::{Checkpoint, safetensors};
use rushlight::nn::{Conv2d, Dropout, Forward, Linear, MaxPool2d, Module};
use rushlight::optim::{AdamW, AdamWOptions, CosineLr, Optimizer, Scheduler};
use rushlight::train::{ConfusionMatrix, accuracy};
use rushlight::{Generator, Result, State, Tensor, no_grad, ops};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Parser)]
#[command(about = "Trains a small convolutional network on real handwritten digits")]
struct Args {
    /// Passes over the training set [default: 30]
    #[arg(long)]
    epochs: Option<usize>,
    /// Images per step [default: 32]
    #[arg(long)]
    batch_size: Option<usize>,
    /// Peak learning rate [default: 0.003]
    #[arg(long)]
    lr: Option<f64>,
    /// Seed of the weights, the order of the images and dropout [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Threads to compute with [default: one for each core]
    #[arg(long)]
    threads: Option<usize>,
    /// Go on from this checkpoint, with its settings
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "digits-out")]
    out: PathBuf,
    /// Stop after this many epochs, as if interrupted
    #[arg(long, value_name = "EPOCHS")]
    stop_after: Option<usize>,
}

/// What decides the result of a run; a checkpoint holds it.
struct Settings {
    epochs: usize,
    batch_size: usize,
    lr: f64,
    seed: u64,
}

impl Settings {
    fn new(args: &Args) -> Settings {
        Settings {
            epochs: args.epochs.unwrap_or(30),
            batch_size: args.batch_size.unwrap_or(32),
            lr: args.lr.unwrap_or(0.003),
            seed: args.seed.unwrap_or(0),
        }
    }
    fn state(&self) -> State {
        State::map()
            .with("epochs", self.epochs)
            .with("batch_size", self.batch_size)
            .with("lr", self.lr)
            .with("seed", self.seed as i64)
    }
    /// The settings of a checkpoint, unless the command line asks for others: a run cannot go on as another one.
    fn resumed(saved: &State, args: &Args) -> Result<Settings> {
        let saved = Settings {
            epochs: saved.read("epochs", State::as_usize)?,
            batch_size: saved.read("batch_size", State::as_usize)?,
            lr: saved.read("lr", State::as_f64)?,
            seed: saved.read("seed", State::as_i64)? as u64,
        };
        let differs = args.epochs.is_some_and(|e| e != saved.epochs)
            || args.batch_size.is_some_and(|b| b != saved.batch_size)
            || args.lr.is_some_and(|l| l != saved.lr)
            || args.seed.is_some_and(|s| s != saved.seed);
        if differs {
            return Err(rushlight::Error::value(format!(
                "--resume continues a run with its own settings: --epochs {} --batch-size {} --lr {} --seed {}; leave these flags out",
                saved.epochs, saved.batch_size, saved.lr, saved.seed
            )));
        }
        Ok(saved)
    }
}

/// Two convolutions and two linear layers: 8 × 8 pixels to 10 classes.
#[derive(Module)]
struct Net {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    dropout: Dropout,
    fc1: Linear,
    fc2: Linear,
}

impl Net {
    fn new() -> Net {
        Net {
            conv1: Conv2d::builder(1, 32, 3).padding(1).build(),
            conv2: Conv2d::builder(32, 64, 3).padding(1).build(),
            pool: MaxPool2d::new(2),
            dropout: Dropout::new(0.3),
            fc1: Linear::new(64 * 4 * 4, 128),
            fc2: Linear::new(128, 10),
        }
    }
}

impl Forward for Net {
    /// Images `[n, 1, 8, 8]` to scores `[n, 10]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = ops::relu(&self.conv1.forward(x)?)?;
        let x = ops::relu(&self.conv2.forward(&x)?)?;
        let x = self.dropout.forward(&ops::flatten(&self.pool.forward(&x)?, 1, -1)?)?;
        let x = self.dropout.forward(&ops::relu(&self.fc1.forward(&x)?)?)?;
        self.fc2.forward(&x)
    }
}

/// One point of the learning curve.
struct Epoch {
    loss: f64,
    train_accuracy: f64,
    test_accuracy: f64,
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    if let Some(n) = args.threads {
        rushlight::set_num_threads(n);
    }
    let checkpoint = args.resume.as_ref().map(Checkpoint::load).transpose()?;
    let settings = match &checkpoint {
        Some(c) => Settings::resumed(c.get("settings")?, &args)?,
        None => Settings::new(&args),
    };
    std::fs::create_dir_all(&args.out)?;

    // The split is the same for every seed, so that runs can be compared.
    let (train, test) = digits()?.split(0)?;
    println!("{} training and {} test images, {} threads", train.len(), test.len(), rushlight::num_threads());

    rushlight::manual_seed(settings.seed);
    let model = Net::new();
    let loader = DataLoader::builder(train.dataset()?).batch_size(settings.batch_size).shuffle(true).num_workers(1).build()?;
    let mut optimizer = AdamW::new(model.parameters(), AdamWOptions { lr: settings.lr, ..Default::default() });
    let mut schedule = CosineLr::new(&mut optimizer, (settings.epochs * loader.len()).max(1) as u64, 0.0);
    let mut loader = loader;
    let mut history = Vec::new();
    let mut rng = Generator::default_cpu();
    if let Some(c) = &checkpoint {
        c.restore_module("model", &model)?;
        c.restore("optimizer", &mut optimizer)?;
        c.restore("schedule", &mut schedule)?;
        c.restore("loader", &mut loader)?;
        c.restore("rng", &mut rng)?;
        history = read_history(c.get("history")?)?;
        println!("resumed after epoch {} of {}", history.len(), settings.epochs);
    }

    let start = Instant::now();
    let bar = ProgressBar::new((settings.epochs * loader.len()) as u64).with_position((history.len() * loader.len()) as u64);
    bar.set_style(ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} steps, {msg} [{elapsed} < {eta}]")?);
    let end = args.stop_after.map_or(settings.epochs, |n| settings.epochs.min(n));
    while history.len() < end {
        bar.set_prefix(format!("epoch {:>2}/{}", history.len() + 1, settings.epochs));
        model.train();
        let (began, mut seen, mut loss_sum, mut right) = (Instant::now(), 0, 0.0, 0.0);
        for batch in &loader {
            let (images, labels) = batch?;
            let scores = model.forward(&images)?;
            let loss = cross_entropy(&scores, &labels)?;
            optimizer.zero_grad();
            loss.try_backward()?;
            optimizer.step()?;
            schedule.step(&mut optimizer)?;

            let n = labels.numel() as f64;
            seen += labels.numel();
            loss_sum += n * loss.item::<f64>();
            right += n * accuracy(&scores, &labels)?;
            let rate = seen as f64 / began.elapsed().as_secs_f64();
            bar.set_message(format!(
                "loss {:.4}, accuracy {:.2} %, {rate:.0} images/s",
                loss_sum / seen as f64,
                100.0 * right / seen as f64
            ));
            bar.inc(1);
        }
        let test_accuracy = evaluate(&model, &test)?.accuracy();
        history.push(Epoch { loss: loss_sum / seen as f64, train_accuracy: right / seen as f64, test_accuracy });
        Checkpoint::new()
            .with("settings", settings.state())
            .with("history", write_history(&history))
            .with_module("model", &model)
            .with_part("optimizer", &optimizer)
            .with_part("schedule", &schedule)
            .with_part("loader", &loader)
            .with_part("rng", &rng)
            .save(args.out.join("checkpoint.safetensors"))?;
    }
    bar.finish();

    let weights = args.out.join("digits.safetensors");
    let state = model.state_dict();
    safetensors::save(&weights, state.iter(), &safetensors::Metadata::from([("format".into(), "pt".into())]))?;
    draw_curves(&args.out.join("learning-curve.svg"), &history)?;
    let matrix = evaluate(&model, &test)?;
    print_confusion(&matrix);
    print_samples(&model, &test)?;
    println!(
        "test accuracy {:.2} % after {} epochs, {:.1} s; results in {}",
        100.0 * matrix.accuracy(),
        history.len(),
        start.elapsed().as_secs_f64(),
        args.out.display()
    );
    Ok(())
}

fn cross_entropy(scores: &Tensor, labels: &Tensor) -> Result<Tensor> {
    rushlight::nn::functional::cross_entropy(scores, labels, None, -100, "mean", 0.0)
}

fn evaluate(model: &Net, test: &Digits) -> Result<ConfusionMatrix> {
    let _guard = no_grad();
    model.eval();
    let mut matrix = ConfusionMatrix::new(10);
    matrix.update(&model.forward(&test.images)?, &test.labels)?;
    Ok(matrix)
}

fn write_history(history: &[Epoch]) -> Vec<State> {
    history.iter().map(|e| State::from(vec![e.loss, e.train_accuracy, e.test_accuracy])).collect()
}

fn read_history(state: &State) -> Result<Vec<Epoch>> {
    let epoch = |s: &State| {
        let numbers = s.as_list()?.iter().map(State::as_f64).collect::<Result<Vec<f64>>>()?;
        let [loss, train_accuracy, test_accuracy] = numbers[..] else {
            return Err(rushlight::Error::value(format!("history: expected three numbers, found {}", numbers.len())));
        };
        Ok(Epoch { loss, train_accuracy, test_accuracy })
    };
    state.as_list()?.iter().map(epoch).collect()
}

/// Loss above, accuracies below, over epochs.
fn draw_curves(path: &Path, history: &[Epoch]) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(path, (720, 640)).into_drawing_area();
    root.fill(&WHITE)?;
    let (above, below) = root.split_vertically(320);
    let epochs = 1.0..history.len().max(2) as f64;
    let series = |f: fn(&Epoch) -> f64| history.iter().enumerate().map(move |(i, e)| ((i + 1) as f64, f(e)));

    let highest = history.iter().map(|e| e.loss).fold(0.1, f64::max);
    let mut chart = ChartBuilder::on(&above)
        .caption("training loss", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(48)
        .build_cartesian_2d(epochs.clone(), 0.0..highest)?;
    chart.configure_mesh().x_desc("epoch").y_desc("cross-entropy").draw()?;
    chart.draw_series(LineSeries::new(series(|e| e.loss), &RED))?;

    let lowest = history.iter().map(|e| e.train_accuracy.min(e.test_accuracy)).fold(0.99, f64::min);
    let mut chart = ChartBuilder::on(&below)
        .caption("accuracy", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(48)
        .build_cartesian_2d(epochs, 100.0 * lowest..100.0)?;
    chart.configure_mesh().x_desc("epoch").y_desc("%").draw()?;
    chart
        .draw_series(LineSeries::new(series(|e| 100.0 * e.train_accuracy), &RED))?
        .label("training")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], RED));
    chart
        .draw_series(LineSeries::new(series(|e| 100.0 * e.test_accuracy), &BLUE))?
        .label("test")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], BLUE));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()?;
    root.present()?;
    Ok(())
}

fn print_confusion(matrix: &ConfusionMatrix) {
    println!("\nconfusion matrix (rows: the digit, columns: what it was taken for)");
    println!("     {}", (0..10).map(|p| format!("{p:>4}")).collect::<String>());
    for actual in 0..10 {
        let row: String =
            (0..10).map(|p| matrix.count(actual, p)).map(|n| if n == 0 { "   ·".into() } else { format!("{n:>4}") }).collect();
        println!("{actual:>4} {row}");
    }
}

/// A few test images in the terminal, side by side; the ones that the model gets wrong come first.
fn print_samples(model: &Net, test: &Digits) -> Result<()> {
    let _guard = no_grad();
    let scores = ops::softmax(&model.forward(&test.images)?, -1, None)?;
    let (confidence, predicted) = ops::max_dim(&scores, 1, false)?;
    let (confidence, predicted) = (confidence.try_to_vec::<f32>()?, predicted.try_to_vec::<i64>()?);
    let labels = test.labels.try_to_vec::<i64>()?;
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|&i| predicted[i] == labels[i]);
    let shown = &order[..order.len().min(5)];
    let images: Vec<Vec<f32>> =
        shown.iter().map(|&i| ops::select(&test.images, 0, i as i64)?.try_to_vec::<f32>()).collect::<Result<_>>()?;
    println!();
    for row in 0..8 {
        let line: Vec<String> =
            images.iter().map(|image| image[row * 8..row * 8 + 8].iter().map(|&p| shade(p)).collect()).collect();
        println!("  {}", line.join("    "));
    }
    let captions: Vec<String> = shown
        .iter()
        .map(|&i| format!("{:<16}", format!("{} → {} ({:.0} %)", labels[i], predicted[i], 100.0 * confidence[i])))
        .collect();
    println!("  {}\n", captions.join("    "));
    Ok(())
}

/// Two characters, so that a pixel is about square.
fn shade(pixel: f32) -> &'static str {
    ["  ", "░░", "▒▒", "▓▓", "██"][(pixel * 4.0).round().clamp(0.0, 4.0) as usize]
}
