//! The benchmarks: of the kernels, with their medians as a Markdown table (one row per benchmark, one column per number of threads); of
//! the Python package against PyTorch, which have a harness of their own in `benches/compare`; and of training steps against other Rust
//! libraries, which are a workspace of their own in `benches/rust`.

use clap::Subcommand;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// What can be timed. A further kind is a variant here and a line in [`run`].
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// The main kernels, the overhead of an op, and training steps, in Rust
    Kernels {
        /// Arguments for the harness: a filter, `--quick`, …
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// The same Python programs with PyTorch and with Rushlight, in turn (needs a Python with torch: `PYTHON`, else `.venv`)
    Compare {
        /// Take the package that is in target/develop already
        #[arg(long)]
        no_build: bool,
        /// Arguments for the harness: `--filter REGEX`, `--quick`, `--list`, `--markdown FILE`, …
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// The same training steps with candle, with burn and with Rushlight, in turn
    Rust {
        /// Arguments for the harness: `--filter REGEX`, `--quick`, `--check`, `--list`, `--markdown FILE`, …
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

pub(crate) fn run(what: &Bench) -> Result<(), String> {
    match what {
        Bench::Kernels { args } => kernels(args),
        Bench::Compare { no_build, args } => crate::python::compare(!no_build, args),
        Bench::Rust { args } => rust(args),
    }
}

/// Runs the benchmarks with `args` for the harness, then prints the medians of those that ran.
fn kernels(args: &[String]) -> Result<(), String> {
    // Where the harness leaves its results must not depend on the caller's folder or target directory.
    let home = crate::root().join("target/criterion");
    let start = SystemTime::now();
    let mut command = Command::new(env!("CARGO"));
    command.args(["bench", "-p", "rushlight", "--bench", "kernels", "--"]).args(args).env("CRITERION_HOME", &home);
    crate::step("benchmarks", &mut command)?;
    let mut results = Vec::new();
    collect(&home, start, &mut results)?;
    results.sort_by_key(|r| r.at);
    if !results.is_empty() {
        println!("{}", table(&results));
    }
    Ok(())
}

/// Builds and runs `benches/rust` with `args`.
fn rust(args: &[String]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO"));
    // It runs in the root, like every step, so cargo does not find that workspace's flags and target directory by itself.
    command.args(["--config", "benches/rust/.cargo/config.toml", "run", "--manifest-path", "benches/rust/Cargo.toml"]);
    command.args(["--release", "--quiet", "--"]).args(args);
    crate::step("comparison with candle and burn", &mut command)
}

/// What the harness has left of one benchmark.
struct Outcome {
    /// When it ended: the order in which the benchmarks stand in their source.
    at: SystemTime,
    group: String,
    name: String,
    threads: u64,
    median_ns: f64,
}

/// Finds the results under `folder` that are not older than `start`: others are of runs with other filters, or of renamed benchmarks.
fn collect(folder: &Path, start: SystemTime, into: &mut Vec<Outcome>) -> Result<(), String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for path in entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()) {
        if path.ends_with("new") {
            let at = modified(&path.join("estimates.json"));
            if let Some(at) = at.filter(|&at| at >= start) {
                into.push(read(&path, at)?);
            }
        } else {
            collect(&path, start, into)?;
        }
    }
    Ok(())
}

fn modified(file: &PathBuf) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|m| m.modified()).ok()
}

fn read(folder: &Path, at: SystemTime) -> Result<Outcome, String> {
    let json = |file: &str| -> Result<Value, String> {
        let path = folder.join(file);
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    };
    let (benchmark, estimates) = (json("benchmark.json")?, json("estimates.json")?);
    let text = |field: &str| {
        benchmark[field].as_str().map(String::from).ok_or(format!("{}: no {field} in benchmark.json", folder.display()))
    };
    Ok(Outcome {
        at,
        group: text("group_id")?,
        name: text("function_id")?,
        threads: text("value_str")?.parse().map_err(|e| format!("{}: number of threads: {e}", folder.display()))?,
        median_ns: estimates["median"]["point_estimate"].as_f64().ok_or(format!("{}: no median", folder.display()))?,
    })
}

fn table(results: &[Outcome]) -> String {
    let threads: BTreeSet<u64> = results.iter().map(|r| r.threads).collect();
    let mut out = String::from("\n| benchmark |");
    for n in &threads {
        let _ = write!(out, " {n} thread{} |", if *n == 1 { "" } else { "s" });
    }
    out += "\n|---|";
    out += &"---:|".repeat(threads.len());
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for r in results {
        if !rows.contains(&(&r.group, &r.name)) {
            rows.push((&r.group, &r.name));
        }
    }
    for (group, name) in rows {
        let _ = write!(out, "\n| {group}: {name} |");
        for n in &threads {
            let found = results.iter().find(|r| (&*r.group, &*r.name, r.threads) == (group, name, *n));
            let _ = write!(out, " {} |", found.map_or(String::new(), |r| duration(r.median_ns)));
        }
    }
    out
}

/// Three significant digits and a unit.
fn duration(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let shown: Vec<String> = [7.1234, 87.96, 123.4, 1234.5, 99_960.0, 2.5e6, 3.2e9].map(duration).into();
        assert_eq!(shown, ["7.12 ns", "88.0 ns", "123 ns", "1.23 µs", "100 µs", "2.50 ms", "3.20 s"]);
    }

    #[test]
    fn rows_keep_their_order_and_columns_are_thread_counts() {
        let outcome = |seconds, name: &str, threads, median_ns| Outcome {
            at: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds),
            group: "g".into(),
            name: name.into(),
            threads,
            median_ns,
        };
        let results = [outcome(1, "b", 1, 10.0), outcome(2, "b", 2, 5.0), outcome(3, "a", 1, 7.0)];
        let expected =
            "\n| benchmark | 1 thread | 2 threads |\n|---|---:|---:|\n| g: b | 10.0 ns | 5.00 ns |\n| g: a | 7.00 ns |  |";
        assert_eq!(table(&results), expected);
    }
}
