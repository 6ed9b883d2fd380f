//! The native module `rushlight._C`: the op table for Python.
//!
//! Lives here: how calls, values, errors and memory cross between Python and the library. It reads the op table and knows no op by name
//! (the type slots of `slots.rs` apart). Must not live here: numerics, and whatever pure Python can do (see `python/rushlight`).
//!
//! | file | what |
//! |---|---|
//! | `call.rs` | functions, methods and properties from the op table; `out=`, sizes one by one, and other habits of PyTorch's argument parser |
//! | `convert.rs` | values between Python and the table |
//! | `tensor.rs` | the tensor's object; one object per tensor |
//! | `slots.rs`, `index.rs` | operators, brackets, properties |
//! | `make.rs`, `interop.rs` | tensors from data and arrays; the buffer protocol and DLPack |
//! | `autograd.rs` | backward, nodes, hooks, custom functions |
//! | `optim.rs` | optimizer steps |
//! | `module.rs` | the base of `nn.Module`: attributes and calls |
//! | `small.rs` | the allocator |
//! | `random.rs`, `types.rs`, `settings.rs`, `place.rs`, `error.rs` | generators; dtype, device, sizes; settings; lines of the program; exceptions |

#![allow(non_snake_case, reason = "the module's name is PyTorch's")]

mod autograd;
mod call;
mod convert;
mod error;
mod index;
mod interop;
mod make;
mod module;
mod optim;
mod place;
mod random;
mod settings;
mod slots;
mod small;
mod tensor;
mod types;

use pyo3::prelude::*;
use rushlight::DType;

#[global_allocator]
static ALLOCATOR: small::Small = small::Small;

#[pymodule(gil_used = false)]
fn _C(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add_class::<tensor::PyTensor>()?;
    module.add_class::<types::PyDType>()?;
    module.add_class::<types::PyDevice>()?;
    module.add("_LinAlgError", py.get_type::<error::_LinAlgError>())?;
    for d in DType::ALL {
        module.add(d.name(), types::dtype(py, d))?;
    }
    module.add_function(wrap_pyfunction!(types::_set_size_class, module)?)?;
    module.add_function(wrap_pyfunction!(convert::_set_return_type_factory, module)?)?;
    random::register(module)?;
    make::register(module)?;
    interop::register(module)?;
    autograd::register(module)?;
    settings::register(module)?;
    optim::register(module)?;
    module::register(module)?;
    module.add("__rushlight_version__", env!("CARGO_PKG_VERSION"))?;
    call::register(module)
}
