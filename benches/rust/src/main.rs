//! The same training steps with Rushlight, candle and burn, timed in turn: `cargo xtask bench rust --help`.

mod case;
mod check;
mod libraries;
mod load;
mod machine;
mod report;
mod results;
mod sides;
mod worker;

use clap::Parser;
use libraries::{Error, Library, PEERS};
use regex::Regex;
use results::Results;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask bench rust", about = "Times the same training steps with Rushlight, candle and burn, in turn")]
struct Options {
    /// Only the steps that it matches
    #[arg(long, value_name = "REGEX", default_value = "")]
    filter: Regex,
    /// Numbers of threads
    #[arg(long, value_name = "N,M", value_delimiter = ',', default_values_t = [1, 2])]
    threads: Vec<usize>,
    /// How often each library has its turn; 5, or 2 with --quick
    #[arg(long)]
    rounds: Option<usize>,
    /// Two rounds of short measurements
    #[arg(long)]
    quick: bool,
    /// Name the steps, and stop
    #[arg(long)]
    list: bool,
    /// Time nothing: see that the libraries' networks have the same size, and that their losses fall
    #[arg(long)]
    check: bool,
    /// Store the results
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write them as a page
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Put the new results in place of the old ones in this file of stored results
    #[arg(long, value_name = "FILE")]
    update: Option<PathBuf>,
    /// Measure nothing: take stored results
    #[arg(long, value_name = "FILE")]
    render: Option<PathBuf>,
    /// Be the process of one library
    #[arg(long, hide = true)]
    worker: Option<Library>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, Error> {
    if let Some(library) = options.worker {
        return worker::serve(library).map(|()| ExitCode::SUCCESS);
    }
    let names: Vec<&str> = case::CASES.iter().map(|c| c.name).filter(|name| options.filter.is_match(name)).collect();
    if options.list {
        names.iter().for_each(|name| println!("{name}"));
        return Ok(ExitCode::SUCCESS);
    }
    if options.check {
        let threads = options.threads.iter().copied().max().unwrap_or(1);
        return Ok(if check::run(&names, threads) { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let mut results = match &options.render {
        Some(path) => Results::read(path)?,
        None => measure(&names, options),
    };
    println!("{}", report::text(&results));
    if let Some(path) = &options.update {
        results = if path.exists() { results.over(Results::read(path)?) } else { results };
        results.write(path)?;
    }
    if let Some(path) = &options.json {
        results.write(path)?;
    }
    if let Some(path) = &options.markdown {
        fs::write(path, report::page(&results)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(names: &[&str], options: &Options) -> Results {
    let rounds = options.rounds.unwrap_or(if options.quick { 2 } else { 5 });
    let mut results = Results::new(rounds);
    let mut sides = sides::Sides::default();
    for (i, name) in names.iter().enumerate() {
        for &n in &options.threads {
            let row = sides.time(name, n, rounds, options.quick);
            let ratios = PEERS.map(|peer| format!("{} {}", peer.name(), report::times(row.ratio(peer)))).join(", ");
            eprintln!("[{}/{}] {name}, {}: {ratios}", i + 1, names.len(), report::threads(n));
            results.rows.push(row);
        }
    }
    results
}
