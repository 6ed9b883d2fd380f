//! Converts checkpoints between PyTorch's format (`.pt`, `.pth`) and safetensors, without PyTorch.
//!
//! ```text
//! cargo run --release --example convert -- model.pt model.safetensors
//! cargo run --release --example convert -- run.safetensors run.pt
//! ```
//!
//! What a safetensors file holds besides tensors is in its metadata; one that was written by other programs becomes a dict of tensors.

use clap::Parser;
use rushlight::io::{checkpoint, pt, safetensors};
use rushlight::{Result, State};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Converts checkpoints between PyTorch's format (.pt, .pth) and safetensors")]
struct Args {
    /// File to read
    input: PathBuf,
    /// File to write, or replace
    output: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match load(&args.input).and_then(|state| save(&args.output, &state).map(|()| state)) {
        Ok(state) => {
            println!("{}: {} tensors", args.output.display(), tensors(&state));
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn load(path: &Path) -> Result<State> {
    if checkpoint::is_pt(path) {
        return pt::load(path);
    }
    let (tensors, metadata) = safetensors::load_with_metadata(path)?;
    if metadata.contains_key(checkpoint::STATE) { checkpoint::load(path) } else { Ok(tensors.into()) }
}

fn save(path: &Path, state: &State) -> Result<()> {
    if checkpoint::is_pt(path) { pt::save(path, state) } else { checkpoint::save(path, state) }
}

fn tensors(state: &State) -> usize {
    match state {
        State::Tensor(_) => 1,
        State::List(items) => items.iter().map(tensors).sum(),
        State::Map(entries) => entries.iter().map(|(_, s)| tensors(s)).sum(),
        _ => 0,
    }
}
