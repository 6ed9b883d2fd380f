//! The process of one library at one number of threads. It reads requests from its input, one JSON value a line, and answers each with
//! another. A case lives from its request to its answer.

use crate::case::{CASES, Case};
use crate::libraries::{Error, Library, Training};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::io::{BufRead, Write, stdin, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

#[derive(Deserialize, Serialize)]
pub enum Request {
    Time { case: String, quick: bool },
    Check { case: String },
}

#[derive(Deserialize, Serialize)]
pub enum Answer {
    Time { ns: f64 },
    Check(Checked),
    Failed(String),
}

/// What tells whether a library trains, and the same network as the others.
#[derive(Deserialize, Serialize)]
pub struct Checked {
    pub parameters: usize,
    /// The loss of each of [`STEPS`] steps on one batch.
    pub losses: Vec<f32>,
}

pub const STEPS: usize = 20;

pub fn serve(library: Library) -> Result<(), Error> {
    for line in stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        // Where other libraries return an error, burn panics.
        let answer = match catch_unwind(AssertUnwindSafe(|| answer(library, &request))) {
            Ok(Ok(answer)) => answer,
            Ok(Err(e)) => Answer::Failed(e.to_string()),
            Err(panic) => Answer::Failed(text(&*panic)),
        };
        let mut out = stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    Ok(())
}

fn answer(library: Library, request: &Request) -> Result<Answer, Error> {
    match request {
        Request::Time { case, quick } => {
            let mut training = library.build(find(case)?)?;
            Ok(Answer::Time { ns: measure(&mut *training, *quick)?.as_secs_f64() * 1e9 })
        }
        Request::Check { case } => {
            let mut training = library.build(find(case)?)?;
            let parameters = training.parameters();
            let losses = (0..STEPS).map(|_| Ok(training.step(true)?.unwrap_or(f32::NAN)));
            Ok(Answer::Check(Checked { parameters, losses: losses.collect::<Result<_, Error>>()? }))
        }
    }
}

fn find(name: &str) -> Result<&'static Case, Error> {
    Ok(CASES.iter().find(|c| c.name == name).ok_or(format!("no case {name}"))?)
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("panicked").to_string()
}

/// How long one of `calls` steps takes.
fn timed(training: &mut dyn Training, calls: u32) -> Result<Duration, Error> {
    let start = Instant::now();
    for _ in 0..calls {
        training.step(false)?;
    }
    Ok(start.elapsed())
}

/// The time of a step: the smallest of three measurements, since whatever disturbs a measurement makes it longer. Each takes as many
/// steps as last 40 ms. Warming up finds out how many.
fn measure(training: &mut dyn Training, quick: bool) -> Result<Duration, Error> {
    let (target, repeats) = if quick { (Duration::from_millis(15), 2) } else { (Duration::from_millis(40), 3) };
    timed(training, 1)?;
    let (mut calls, mut took) = (1, timed(training, 1)?);
    while took < target / 3 {
        calls *= if took < target / 12 { 4 } else { 2 };
        took = timed(training, calls)?;
    }
    let wanted = (f64::from(calls) * target.as_secs_f64() / took.as_secs_f64()).ceil().max(1.0) as u32;
    let mut best = timed(training, wanted)?;
    for _ in 1..repeats {
        best = best.min(timed(training, wanted)?);
    }
    Ok(best / wanted)
}
