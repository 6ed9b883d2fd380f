//! The project's own commands: `cargo xtask check | test | bench | docs | stubs | develop | samples | golden`.

mod bench;
mod docs;
mod golden;
mod python;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// What must pass before every commit: formatting, lints, documentation, drift of generated pages, fast tests
    Check,
    /// The whole test suite
    Test,
    /// What takes how long
    Bench {
        #[command(subcommand)]
        what: bench::Bench,
    },
    /// Writes the pages generated from the op table
    Docs {
        /// Only say whether they are up to date
        #[arg(long)]
        check: bool,
    },
    /// Writes the Python package's type stubs and the page on its coverage of PyTorch's names
    Stubs {
        /// Only say whether they are up to date
        #[arg(long)]
        check: bool,
    },
    /// Builds the Python package into target/develop, for `PYTHONPATH=target/develop python …`
    Develop {
        /// Optimised, as it is installed
        #[arg(long)]
        release: bool,
    },
    /// Prints every op's samples as JSON, for the script that asks live PyTorch for the right answers
    Samples,
    /// Asks live PyTorch again for the values in tests/golden (needs a Python with torch: `PYTHON`, else `python3`)
    Golden {
        /// Compare instead of writing
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Check => check(),
        Task::Test => test(),
        Task::Bench { what } => bench::run(&what),
        Task::Docs { check } => docs::write(check),
        Task::Stubs { check } => python::stubs(check),
        Task::Develop { release } => {
            python::develop(if release { "release" } else { "dev" }).map(|place| println!("{}", place.display()))
        }
        Task::Samples => golden::print_samples(),
        Task::Golden { check } => golden::run(check),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf()
}

pub(crate) fn step(name: &str, command: &mut Command) -> Result<(), String> {
    eprintln!("== {name}");
    let start = Instant::now();
    let status = command.current_dir(root()).status().map_err(|e| format!("{name}: {e}"))?;
    eprintln!("== {name}: {:.1} s", start.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(format!("{name} failed ({status})")) }
}

fn cargo(name: &str, args: &[&str]) -> Result<(), String> {
    step(name, Command::new(env!("CARGO")).args(args))
}

fn check() -> Result<(), String> {
    formatting()?;
    cargo("lints", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    documentation()?;
    docs::write(true)?;
    python::stubs(true)?;
    cargo("fast tests", &["test", "--workspace", "--lib", "--bins", "--quiet"])
}

fn test() -> Result<(), String> {
    formatting()?;
    cargo("lints", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    documentation()?;
    docs::write(true)?;
    cargo("tests", &["test", "--workspace"])?;
    golden::run_if_torch()?;
    python::stubs(true)?;
    python::test()
}

fn formatting() -> Result<(), String> {
    cargo("formatting", &["fmt", "--all", "--check"])?;
    cargo("formatting of benches/rust", &["fmt", "--manifest-path", "benches/rust/Cargo.toml", "--check"])
}

fn documentation() -> Result<(), String> {
    let mut doc = Command::new(env!("CARGO"));
    doc.args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings");
    step("documentation", &mut doc)
}
