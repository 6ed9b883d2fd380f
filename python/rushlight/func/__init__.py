"""Function transforms: derivatives and batches of functions, as functions.

Source: <https://docs.pytorch.org/docs/stable/func.html>
"""

from .derivative import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from .module import functional_call, replace_all_batch_norm_modules_, stack_module_state
from .vmap import vmap

__all__ = [
    "functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize",
    "replace_all_batch_norm_modules_", "stack_module_state", "vjp", "vmap",
]
