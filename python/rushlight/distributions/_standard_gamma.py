"""Numbers of standard gamma distributions, with gradients in the shape.

Sampling: G. Marsaglia, W. W. Tsang, "A simple method for generating gamma variables", 2000. Gradients: M. Figurnov, S. Mohamed,
A. Mnih, "Implicit reparameterization gradients", 2018.
"""

import rushlight
from rushlight.autograd import Function
from rushlight.autograd.function import once_differentiable


class _StandardGamma(Function):
    @staticmethod
    def forward(ctx, concentration):
        sample = _draw(concentration.double())
        ctx.save_for_backward(concentration, sample)
        return sample.to(concentration.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        concentration, sample = ctx.saved_tensors
        return grad * _slope(concentration.double(), sample).to(grad.dtype)


standard_gamma = _StandardGamma.apply


def _draw(a):
    """Rejection in rounds, over the elements that have none yet; a shape below 1 is raised by 1 and corrected by a power."""
    flat = a.reshape(-1)
    small = flat < 1
    boosted = rushlight.where(small, flat + 1, flat)
    d = boosted - 1 / 3
    c = (9 * d).rsqrt()
    out = rushlight.zeros_like(flat)
    pending = rushlight.arange(flat.numel())
    while pending.numel():
        x = rushlight.randn((pending.numel(),), dtype=flat.dtype)
        u = 1 - rushlight.rand((pending.numel(),), dtype=flat.dtype)
        dp, v = d[pending], (1 + c[pending] * x) ** 3
        accepted = (v > 0) & (u.log() < 0.5 * x * x + dp - dp * v + dp * v.clamp(min=1e-300).log())
        out[pending[accepted]] = (dp * v)[accepted]
        pending = pending[~accepted]
    power = (1 - rushlight.rand((flat.numel(),), dtype=flat.dtype)) ** (1 / flat)
    out = rushlight.where(small, out * power, out)
    return out.clamp(min=rushlight.finfo(flat.dtype).tiny).reshape(a.shape)


def _slope(a, x):
    """dx/da at a fixed quantile: minus the derivative of the distribution function in `a`, over the density.

    The derivative is a central difference in double precision, of the smaller of both tails.
    """
    h = 1e-4 * rushlight.minimum(a, a.sqrt())
    lower = rushlight.igamma(a + h, x) - rushlight.igamma(a - h, x)
    upper = rushlight.igammac(a - h, x) - rushlight.igammac(a + h, x)
    change = rushlight.where(x < a, lower, upper) / (2 * h)
    density = ((a - 1) * x.log() - x - rushlight.lgamma(a)).exp()
    return -change / density
