//! Results for the terminal, and as the Markdown page `docs/performance-rust.md`.

use crate::libraries::{LIBRARIES, Library, PEERS};
use crate::results::{Results, Row};
use crate::worker::STEPS;
use std::fmt::Write;

const INTRO: &str = "\
# Performance against other Rust libraries

This page is written by `cargo xtask bench rust --markdown docs/performance-rust.md`, from what it measured; corrections by hand would be lost. A ratio is
the other library's time over Rushlight's: **above 1 Rushlight is faster**.
";

/// The page.
pub fn page(results: &Results) -> String {
    let mut parts = vec![INTRO.to_string(), machine(results), method(results), means(results), "## Training steps\n".to_string()];
    parts.extend(results.threads().into_iter().map(|n| format!("### {}\n\n{}", threads(n), steps(results, n))));
    parts.extend([failures(results), notes(), AGAIN.to_string()]);
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn machine(results: &Results) -> String {
    let mut rows: Vec<Vec<String>> = results.machine.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
    let versions: Vec<String> =
        results.versions.iter().map(|(library, version)| format!("{} {version}", library.name())).collect();
    rows.push(vec!["Libraries".to_string(), versions.join(", ")]);
    format!("## Machine\n\n{}", table(&["", ""], &rows, 2))
}

fn method(results: &Results) -> String {
    format!(
        "\
## Method

The same training steps (forget the gradients, forward pass, loss, backward pass, update) are written with the layers, losses and optimizers of each library, and
run on the same batches in `f32`. All three are compiled in one release build for the processor at hand (`-C target-cpu=native`, as candle's own repository does).
`cargo xtask bench rust --check` verifies that their networks have the same number of parameters, and that the loss falls over {STEPS} steps on one batch.

Each library has its own process for each number of threads (`RUSHLIGHT_NUM_THREADS`, `RAYON_NUM_THREADS`). For a step they take turns, {} rounds, with
a pause of 50 ms in between. In a turn the step is built and warmed up, then measured three times for at least 40 ms, and the smallest time counts;
the tables show the median over the rounds. A ratio between 0.9 and 1.1 is a tie: two runs differ that much.
",
        results.rounds
    )
}

const AGAIN: &str = "\
## Running it again

`cargo xtask bench rust` measures everything; `--filter REGEX` a part, and with `--update results.json` new figures replace single rows of a stored result.
`--render results.json --markdown FILE` writes this page from stored results. The programs are in `benches/rust/src/libraries`.
";

fn means(results: &Results) -> String {
    let counts = results.threads();
    let head: Vec<String> = ["against".to_string()].into_iter().chain(counts.iter().map(|&n| threads(n))).collect();
    let line = |&peer: &Library| {
        let name = format!("{} {}", peer.name(), results.versions.get(&peer).map_or("", String::as_str));
        [name].into_iter().chain(counts.iter().map(|&n| times(results.mean(peer, n)))).collect()
    };
    let rows: Vec<Vec<String>> = PEERS.iter().map(line).collect();
    format!("## Geometric means of the ratios\n\n{}", table(&head, &rows, 1))
}

fn steps(results: &Results, threads: usize) -> String {
    let rows = results.worst_first(threads);
    let mark = |row: &Row| if row.disturbed() { " *" } else { "" };
    let lines: Vec<Vec<String>> = rows.iter().map(|row| [vec![row.case.clone() + mark(row)], cells(row)].concat()).collect();
    let note = if rows.iter().any(|row| row.disturbed()) { "\n\\* Other processes were busy meanwhile.\n" } else { "" };
    table(&["step", "Rushlight", "candle", "ratio", "burn", "ratio"], &lines, 1) + note
}

/// Rushlight's time, then each peer's time and ratio.
fn cells(row: &Row) -> Vec<String> {
    let mut cells = vec![duration(row.median(Library::Rushlight))];
    for peer in PEERS {
        cells.extend([duration(row.median(peer)), times(row.ratio(peer))]);
    }
    cells
}

/// What a library could not run, with what it said; the same at every number of threads is said once.
fn failures(results: &Results) -> String {
    let mut rows: Vec<Vec<String>> = vec![];
    for row in &results.rows {
        for (library, text) in &row.errors {
            let said = text.lines().next().unwrap_or_default().replace('|', "\\|");
            let line = vec![row.case.clone(), library.name().to_string(), said];
            if !rows.contains(&line) {
                rows.push(line);
            }
        }
    }
    if rows.is_empty() {
        String::new()
    } else {
        format!("## Steps that failed\n\n{}", table(&["step", "library", "what it said"], &rows, 3))
    }
}

fn notes() -> String {
    let mut out = String::from("## What the programs do differently\n\n");
    for library in LIBRARIES {
        for note in library.notes() {
            let _ = writeln!(out, "- {}: {note}", library.name());
        }
    }
    out
}

/// A Markdown table; the first `left` columns hold text, the others numbers.
fn table<S: AsRef<str>>(head: &[S], rows: &[Vec<String>], left: usize) -> String {
    let head: Vec<&str> = head.iter().map(AsRef::as_ref).collect();
    let mut out = format!("| {} |\n|{}{}\n", head.join(" | "), "---|".repeat(left), "---:|".repeat(head.len() - left));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out
}

/// The tables for the terminal.
pub fn text(results: &Results) -> String {
    let width = results.rows.iter().map(|row| row.case.chars().count()).max().unwrap_or(0).max(22);
    let line = |name: &str, cells: &[String]| {
        let cells: String = cells.iter().map(|cell| format!("{cell:>11}")).collect();
        format!("{name:width$}{cells}")
    };
    let mut out = String::new();
    for n in results.threads() {
        let _ = writeln!(out, "\n== {}", threads(n));
        let _ = writeln!(out, "{}", line("", &["Rushlight", "candle", "ratio", "burn", "ratio"].map(String::from)));
        for row in results.worst_first(n) {
            let note = if row.disturbed() { "  (other processes were busy)" } else { "" };
            let _ = writeln!(out, "{}{note}", line(&row.case, &cells(row)));
        }
        let [candle, burn] = PEERS.map(|peer| times(results.mean(peer, n)));
        let blank = String::new;
        let _ = writeln!(out, "{}", line("geometric mean", &[blank(), blank(), candle, blank(), burn]));
    }
    for row in &results.rows {
        for (library, text) in &row.errors {
            let _ = writeln!(out, "{}, {}, {}: {text}", row.case, library.name(), threads(row.threads));
        }
    }
    out
}

pub fn threads(n: usize) -> String {
    format!("{n} thread{}", if n == 1 { "" } else { "s" })
}

/// Nanoseconds with three significant digits and a unit.
fn duration(ns: Option<f64>) -> String {
    let Some(ns) = ns else { return "-".to_string() };
    let (value, unit) = match ns {
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999.5e3 => (ns / 1e3, "µs"),
        ns if ns < 999.5e6 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {unit}")
}

/// A ratio, with as many digits as mean something.
pub fn times(ratio: Option<f64>) -> String {
    let Some(ratio) = ratio else { return "-".to_string() };
    let decimals = if ratio < 9.995 { 2 } else { usize::from(ratio < 99.95) };
    format!("{ratio:.decimals$}")
}
