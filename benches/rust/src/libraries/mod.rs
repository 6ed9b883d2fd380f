//! The libraries: each builds the same networks from its own layers, as its users would.

mod burn;
mod candle;
mod rushlight;

use crate::case::Case;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Library {
    Rushlight,
    Candle,
    Burn,
}

/// In the order of their turns.
pub const LIBRARIES: [Library; 3] = [Library::Rushlight, Library::Candle, Library::Burn];
/// Those that Rushlight is compared with.
pub const PEERS: [Library; 2] = [Library::Candle, Library::Burn];

pub type Error = Box<dyn std::error::Error>;
/// The loss, if it was asked for.
pub type Stepped = Result<Option<f32>, Error>;

/// A network with its batch and its optimizer.
pub trait Training {
    /// One step: forget the gradients, forward pass, loss, backward pass, update. With `read` it gives the loss too, which costs some a copy.
    fn step(&mut self, read: bool) -> Stepped;
    /// Number of trained numbers: the same in every library, or the networks differ.
    fn parameters(&self) -> usize;
}

impl Library {
    pub fn build(self, case: &Case) -> Result<Box<dyn Training>, Error> {
        match self {
            Library::Rushlight => Ok(rushlight::build(case)?),
            Library::Candle => Ok(candle::build(case)?),
            Library::Burn => Ok(burn::build(case)),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Library::Rushlight => "Rushlight",
            Library::Candle => "candle",
            Library::Burn => "burn",
        }
    }

    /// The version that was compiled, as the lock file has it.
    pub fn version(self) -> &'static str {
        let package = match self {
            Library::Rushlight => "rushlight",
            Library::Candle => "candle-core",
            Library::Burn => "burn",
        };
        let entry = format!("name = \"{package}\"\nversion = \"");
        let after = include_str!("../../Cargo.lock").split_once(&entry).map_or("", |(_, rest)| rest);
        after.split('"').next().unwrap_or_default()
    }

    /// Where its program differs from Rushlight's and why, for the page.
    pub fn notes(self) -> &'static [&'static str] {
        match self {
            Library::Rushlight => &[],
            Library::Candle => &[
                "SGD has no momentum, so it has none in any library here.",
                "Adam is `AdamW` without weight decay.",
                "The fused layer norm and the softmax of the last dimension have no derivative; training takes `ops::layer_norm_slow` and `ops::softmax`.",
                "Causal attention is written out, with a mask that is made once.",
            ],
            Library::Burn => &[
                "The back-end is `flex`, the fastest of its CPU back-ends that need no compiler at run time, with autodiff around it and its default features.",
                "Attention is `tensor::module::attention` with `is_causal`; under autodiff it is made of single ops.",
                "LSTM and GRU have one matrix per gate.",
            ],
        }
    }
}
