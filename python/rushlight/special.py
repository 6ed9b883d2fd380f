"""`torch.special`: functions of mathematics. https://docs.pytorch.org/docs/stable/special.html"""

from . import _C

_f = _C.functions
# Those that stand in this module alone have the prefix in the op table.
_here = {name.removeprefix("special_"): f for name, f in _f.items() if name.startswith("special_") and not name.endswith("_")}
globals().update(_here)

_shared = dict(
    digamma="digamma", erf="erf", erfc="erfc", erfinv="erfinv", exp2="exp2", expit="sigmoid", expm1="expm1", gammainc="igamma",
    gammaincc="igammac", gammaln="lgamma", i0="i0", log1p="log1p", log_softmax="log_softmax", logit="logit", logsumexp="logsumexp",
    multigammaln="mvlgamma", polygamma="polygamma", psi="digamma", round="round", sinc="sinc", softmax="softmax", xlogy="xlogy",
)  # fmt: skip
for _name, _op in _shared.items():
    globals()[_name] = _f[_op]


def erfcx(input, *, out=None):
    """The scaled complementary error function, `exp(x²) erfc(x)`, without overflow for large `x`: `2 exp(x²) Φ(-x√2)`."""
    x = input if input.is_floating_point() else input.to(_C.get_default_dtype())
    result = _f["exp"](x * x + _here["log_ndtr"](x * -(2.0**0.5)) + 0.6931471805599453)
    return result if out is None else out.copy_(result)


__all__ = sorted([*_here, *_shared, "erfcx"])
del _name, _op
