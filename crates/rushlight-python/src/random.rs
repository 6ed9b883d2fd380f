//! `torch.Generator`.

use crate::error::OrRaise;
use crate::tensor::{tensor_of, wrap};
use crate::types::{PyDevice, check_device, cpu};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use rushlight::{DType, Generator, Tensor};
use std::time::{SystemTime, UNIX_EPOCH};

/// A source of random numbers.
#[pyclass(name = "Generator", module = "rushlight", frozen, subclass, weakref)]
pub struct PyGenerator(pub Generator);

/// What torch starts a generator with.
const DEFAULT_SEED: u64 = 67_280_421_310_721;

/// A seed as torch takes it: 64 bits, negative ones wrapped.
fn seed_of(seed: &Bound<'_, PyAny>) -> PyResult<u64> {
    if let Ok(s) = seed.extract::<i64>() {
        return Ok(s as u64);
    }
    seed.extract::<u64>().map_err(|_| PyRuntimeError::new_err("Overflow when unpacking long: a seed has 64 bits"))
}

#[pymethods]
impl PyGenerator {
    #[new]
    #[pyo3(signature = (device = None))]
    fn new(device: Option<Bound<'_, PyAny>>) -> PyResult<PyGenerator> {
        if let Some(d) = device {
            check_device(&d)?;
        }
        Ok(PyGenerator(Generator::new(DEFAULT_SEED)))
    }
    #[getter]
    fn device<'py>(&self, py: Python<'py>) -> Bound<'py, PyDevice> {
        cpu(py)
    }
    /// Starts over from `seed`.
    fn manual_seed<'py>(slf: Bound<'py, Self>, seed: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Self>> {
        slf.get().0.manual_seed(seed_of(seed)?);
        Ok(slf)
    }
    /// Starts over from a seed of the system's, and returns it.
    fn seed(&self) -> PyResult<u64> {
        // The hasher's keys are the standard library's door to the system's randomness.
        use std::hash::{BuildHasher, Hasher};
        let mut h = std::collections::hash_map::RandomState::new().build_hasher();
        h.write_u128(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos()));
        let seed = h.finish() >> 11;
        self.0.manual_seed(seed);
        Ok(seed)
    }
    fn initial_seed(&self) -> u64 {
        self.0.initial_seed()
    }
    /// The whole state, as a tensor of bytes.
    fn get_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let state = self.0.state();
        let n = state.len();
        wrap(py, Tensor::from_vec(state, n))
    }
    /// Restores what `get_state` gave.
    fn set_state(&self, state: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(t) = tensor_of(state) else { return Err(PyTypeError::new_err("set_state(): expected a uint8 Tensor")) };
        if t.dtype() != DType::U8 {
            return Err(PyTypeError::new_err("RNG state must be a torch.ByteTensor"));
        }
        self.0.set_state(&t.try_to_vec::<u8>().or_raise()?).or_raise()
    }
    /// A generator of its own in the same state.
    fn clone_state(&self) -> PyResult<PyGenerator> {
        let new = Generator::new(0);
        new.set_state(&self.0.state()).or_raise()?;
        Ok(PyGenerator(new))
    }
}

/// Adds the class and the default generator to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyGenerator>()?;
    module.add("default_generator", PyGenerator(Generator::default_cpu()))
}
