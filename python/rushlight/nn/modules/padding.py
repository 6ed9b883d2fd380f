"""Padding layers: for one to three dimensions, with five kinds of values."""

from .. import functional as F
from .module import Module
from .utils import _ntuple

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """Pads the last `_rank` dimensions at both ends; `padding` has the last dimension first."""

    _rank = None
    _mode = None

    def __init__(self, padding):
        super().__init__()
        self.padding = _ntuple(2 * self._rank, "ends")(padding)

    def forward(self, input):
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self):
        return f"{self.padding}"


class _ConstantPadNd(_Pad):
    _mode = "constant"

    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def forward(self, input):
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class _ZeroPadNd(_ConstantPadNd):
    def __init__(self, padding):
        super().__init__(padding, 0.0)

    extra_repr = _Pad.extra_repr


class _ReflectionPadNd(_Pad):
    _mode = "reflect"


class _ReplicationPadNd(_Pad):
    _mode = "replicate"


class _CircularPadNd(_Pad):
    _mode = "circular"

    def forward(self, input):
        if input.dim() not in (self._rank + 1, self._rank + 2):
            raise ValueError(
                f"expected {self._rank + 1}D or {self._rank + 2}D input (got {input.dim()}D input)"
            )
        return F.pad(input, self.padding, "circular")


_KINDS = {
    "Constant": (_ConstantPadNd, "with the number `value`"),
    "Zero": (_ZeroPadNd, "with zeros"),
    "Reflection": (_ReflectionPadNd, "with the elements mirrored at the edge"),
    "Replication": (_ReplicationPadNd, "with the elements at the edge"),
    "Circular": (_CircularPadNd, "with the elements of the other end"),
}

for _kind, (_base, _what) in _KINDS.items():
    for _n in (1, 2, 3):
        globals()[f"{_kind}Pad{_n}d"] = type(
            f"{_kind}Pad{_n}d",
            (_base,),
            {
                "_rank": _n,
                "__module__": __name__,
                "__doc__": f"Pads the last {'dimension' if _n == 1 else f'{_n} dimensions'} {_what}.",
            },
        )
