"""Exponential families: entropy from natural parameters."""

import rushlight

from .distribution import Distribution


class ExponentialFamily(Distribution):
    """Densities `exp(<t(x), θ> - F(θ) + k(x))`: a subclass gives θ (`_natural_params`), F (`_log_normalizer`) and the mean of k."""

    @property
    def _natural_params(self):
        raise NotImplementedError

    def _log_normalizer(self, *natural_params):
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self):
        raise NotImplementedError

    def entropy(self):
        """The entropy by a Bregman divergence of the log normaliser."""
        carrier = self._mean_carrier_measure
        params = [p.detach().requires_grad_() for p in self._natural_params]
        with rushlight.enable_grad():
            normalizer = self._log_normalizer(*params)
            gradients = rushlight.autograd.grad(normalizer.sum(), params, create_graph=True)
        result = normalizer - carrier
        for p, g in zip(params, gradients):
            result = result - (p * g).reshape(tuple(self._batch_shape) + (-1,)).sum(-1)
        return result
