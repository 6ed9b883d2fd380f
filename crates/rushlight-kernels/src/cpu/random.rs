//! Random numbers as PyTorch's CPU generator draws them.

use crate::backend::*;
use crate::*;

/// See [`Backend`].
pub fn fill(_op: RandomOp, _generator: &mut Generator, _out: &mut ViewMut) -> Result<()> {
    todo!()
}

/// PyTorch's CPU generator: a Mersenne Twister (MT19937) with its caches of half-used normal draws.
#[derive(Clone, Debug)]
pub struct Generator {}

impl Generator {
    /// Seeded as `torch.Generator().manual_seed(seed)`.
    pub fn new(_seed: u64) -> Generator {
        todo!()
    }
    /// Starts over from `seed`.
    pub fn manual_seed(&mut self, _seed: u64) {
        todo!()
    }
    /// The seed it was started from.
    pub fn initial_seed(&self) -> u64 {
        todo!()
    }
    /// 32 random bits.
    pub fn random(&mut self) -> u32 {
        todo!()
    }
    /// 64 random bits.
    pub fn random64(&mut self) -> u64 {
        todo!()
    }
    /// The state in the layout of `torch.Generator.get_state()` (5056 bytes).
    pub fn state(&self) -> Vec<u8> {
        todo!()
    }
    /// Restores a state; fails on bytes that are not one.
    pub fn set_state(&mut self, _state: &[u8]) -> Result<()> {
        todo!()
    }
    /// A random permutation of `0..n`, as `torch.randperm`.
    pub fn permutation(&mut self, _n: usize) -> Vec<i64> {
        todo!()
    }
    /// Samples indices from rows of weights as `torch.multinomial`: `weights` has rows of `categories`, the answer rows of `samples`.
    pub fn multinomial(&mut self, _weights: &[f64], _categories: usize, _samples: usize, _replacement: bool) -> Result<Vec<i64>> {
        todo!()
    }
}
