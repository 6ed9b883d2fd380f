"""The legacy name `Variable`: a tensor, since tensors record themselves.

Source: <https://docs.pytorch.org/docs/stable/autograd.html#variable-deprecated>
"""

from rushlight import Tensor


class _VariableMeta(type):
    def __instancecheck__(cls, other):
        return isinstance(other, Tensor)


class Variable(metaclass=_VariableMeta):
    """`Variable(tensor, requires_grad=False)` returns an alias of `tensor`; every tensor is an instance."""

    def __new__(cls, data=None, requires_grad=False, volatile=None, _grad_fn=None):
        import rushlight

        if _grad_fn is not None:
            raise NotImplementedError("Variable(_grad_fn=) is not supported")
        if volatile is not None:
            import warnings

            warnings.warn("volatile was removed and now has no effect. Use `with torch.no_grad():` instead.", stacklevel=2)
        if data is None:
            return rushlight.empty(0).requires_grad_(requires_grad)
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return data.detach().requires_grad_(requires_grad)
