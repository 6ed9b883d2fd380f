//! Random state: a shared handle on the generator that reproduces PyTorch's CPU streams.

use crate::Result;
use rushlight_kernels::cpu::random::Generator as Engine;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// A source of random numbers: the same seed gives the same numbers as `torch.Generator`. Cloning copies the handle, not the state.
#[derive(Clone, Debug)]
pub struct Generator(Arc<Mutex<Engine>>);

static DEFAULT: LazyLock<Generator> = LazyLock::new(|| Generator::new(67_280_421_310_721));

impl Generator {
    /// A generator seeded as `torch.Generator().manual_seed(seed)`.
    pub fn new(seed: u64) -> Generator {
        Generator(Arc::new(Mutex::new(Engine::new(seed))))
    }
    /// The generator that ops use where none is given.
    pub fn default_cpu() -> Generator {
        DEFAULT.clone()
    }
    pub(crate) fn lock(&self) -> MutexGuard<'_, Engine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Starts over from `seed`.
    pub fn manual_seed(&self, seed: u64) -> &Generator {
        self.lock().manual_seed(seed);
        self
    }
    /// The seed it was started from.
    pub fn initial_seed(&self) -> u64 {
        self.lock().initial_seed()
    }
    /// The whole state, in the layout of `torch.Generator.get_state()`.
    pub fn state(&self) -> Vec<u8> {
        self.lock().state()
    }
    /// Restores a state.
    ///
    /// # Errors
    /// If the bytes are not a state.
    pub fn set_state(&self, state: &[u8]) -> Result<()> {
        self.lock().set_state(state)
    }
    /// A random permutation of `0..n`, as `torch.randperm`.
    pub fn permutation(&self, n: usize) -> Vec<i64> {
        self.lock().permutation(n)
    }
}

/// Seeds the default generator: `torch.manual_seed`.
pub fn manual_seed(seed: u64) {
    DEFAULT.manual_seed(seed);
}
