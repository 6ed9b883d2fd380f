//! PyTorch's checkpoints (`.pt`, `.pth`): what `torch.save` writes and `torch.load` reads, as a [`State`].
//!
//! A file is a zip archive: a pickle in which tensors refer to storages, and one record for each storage. Reading it runs no code
//! whatever it holds (see `pickle.rs`); the tensors lie in the file, mapped into memory, and share memory where they did in PyTorch.
//!
//! Python has more types than a [`State`]. On reading, tuples and `torch.Size` become lists, ordered dicts maps, parameters tensors,
//! dtypes and devices texts (`torch.float32`, `cuda:0`), and integer keys texts; every tensor comes to the CPU and takes no gradient.
//! On writing, lists stay lists, and the keys in the `state` of an optimizer become integers again, which PyTorch expects there.
//!
//! A model's weights, saved by `torch.save(model.state_dict(), "model.pt")`, have the same names here:
//!
//! ```
//! # fn main() -> rushlight::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("model.pt");
//! # use rushlight::nn::Module;
//! # let python = rushlight::nn::Linear::new(3, 2);
//! # rushlight::io::pt::save(&path, &python.state_dict().into())?;
//! use rushlight::{io::pt, nn::{Linear, StateDict}};
//! let model = Linear::new(3, 2);
//! let state = pt::load(&path)?;
//! model.load_state_dict(&StateDict::try_from(&state)?, true)?;
//! # assert_eq!(model.weight.to_vec::<f32>(), python.weight.to_vec::<f32>());
//! # Ok(()) }
//! ```
//!
//! A dict of several parts (`{"model": …, "optimizer": …}`) is a [`Checkpoint`](super::Checkpoint), which reads and writes such files
//! by their extension.

mod archive;
mod memory;
mod names;
mod pickle;
mod restore;
mod write;

use super::block::Block;
use super::write_atomic;
use crate::{Result, State};
use archive::Archive;
use std::path::Path;

/// The highest version of the format that PyTorch has given out.
const MAX_VERSION: u64 = 10;
/// Longest pickle; the tensors' bytes are not in it. In a small file, a compressed one may not be that long: its values take about forty
/// times its length in memory.
const MAX_PICKLE: usize = 1 << 26;
const FREE_PICKLE: usize = 1 << 20;
const MAX_GROWTH: usize = 16;
/// Longest record of those that hold a word.
const MAX_WORD: usize = 64;

/// What the file at `path` holds.
///
/// # Errors
/// If the file cannot be read, is damaged or from before PyTorch 1.6, was written on a big-endian machine, or holds what a [`State`]
/// cannot (a dtype that Rushlight lacks, an object of any other class); the text names the file, and the key or the class.
pub fn load(path: impl AsRef<Path>) -> Result<State> {
    let block = Block::map(path.as_ref())?;
    read(&block).map_err(|e| block.error(e))
}

fn read(block: &Block) -> std::result::Result<State, String> {
    let mut archive = Archive::open(block)?;
    if archive.contains("constants.pkl") {
        return Err("a TorchScript program, not a checkpoint".into());
    }
    let version = archive.read("version", MAX_WORD)?;
    let version = str::from_utf8(&version).ok().and_then(|v| v.trim().parse::<u64>().ok());
    if version.is_none_or(|v| v > MAX_VERSION) {
        return Err("record 'version': this version of the format is not supported".into());
    }
    // Files from before the record was introduced have none; they come from little-endian machines.
    if archive.contains("byteorder") && archive.read("byteorder", MAX_WORD)?.as_ref() != b"little" {
        return Err("record 'byteorder': only little-endian files are supported".into());
    }
    let plausible = FREE_PICKLE.saturating_add(MAX_GROWTH.saturating_mul(block.bytes().len()));
    let bytes = archive.read("data.pkl", MAX_PICKLE.min(plausible))?;
    let pickle = pickle::read(&bytes).map_err(|e| format!("record 'data.pkl': {e}"))?;
    restore::state(&pickle, bytes.len(), &mut archive)
}

/// Writes `state` to `path`, atomically ([`write_atomic`]), such that `torch.load` reads it without `weights_only=False`. Equal states
/// give equal files.
///
/// Tensors that overlap in memory do so again after loading, in PyTorch as well as here.
///
/// # Errors
/// If the tree is nested more than 100 deep or has a field twice, or the file cannot be written.
pub fn save(path: impl AsRef<Path>, state: &State) -> Result<()> {
    write_atomic(path, |out| write::write(out, state))
}
