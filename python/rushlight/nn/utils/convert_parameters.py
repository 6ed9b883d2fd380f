"""Parameters as one vector, and back."""

import rushlight
from rushlight import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters):
    """Returns all elements of `parameters`, one after the other, in one vector."""
    return rushlight.cat([param.reshape(-1) for param in parameters])


def vector_to_parameters(vec, parameters):
    """Makes the parts of the vector `vec` the data of `parameters`."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    at = 0
    for param in parameters:
        n = param.numel()
        param.data = vec[at:at + n].view_as(param).data
        at += n
