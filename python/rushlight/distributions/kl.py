"""Kullback-Leibler divergences between distributions.

Source: <https://docs.pytorch.org/docs/stable/distributions.html#module-torch.distributions.kl>
"""

import math

import rushlight

from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .dirichlet import Dirichlet
from .distribution import Distribution
from .exponential import Exponential
from .gamma import Gamma
from .geometric import Geometric
from .gumbel import Gumbel
from .half_normal import HalfNormal
from .independent import Independent
from .laplace import Laplace
from .normal import Normal
from .one_hot_categorical import OneHotCategorical
from .poisson import Poisson
from .transformed_distribution import TransformedDistribution
from .uniform import Uniform
from .utils import _sum_rightmost, euler_constant

_KL_REGISTRY = {}


def register_kl(type_p, type_q):
    """Decorates a function `(p, q) -> KL(p || q)` for these classes and their subclasses."""
    if not (isinstance(type_p, type) and issubclass(type_p, Distribution)):
        raise TypeError(f"Expected type_p to be a Distribution subclass but got {type_p}")
    if not (isinstance(type_q, type) and issubclass(type_q, Distribution)):
        raise TypeError(f"Expected type_q to be a Distribution subclass but got {type_q}")

    def decorator(fn):
        _KL_REGISTRY[type_p, type_q] = fn
        return fn

    return decorator


def _dispatch(cls_p, cls_q):
    """The function of the closest classes: nearest in p's ancestors first, then in q's."""
    best = None
    for i, p in enumerate(cls_p.__mro__):
        for j, q in enumerate(cls_q.__mro__):
            if (p, q) in _KL_REGISTRY and (best is None or (i, j) < best[0]):
                best = ((i, j), _KL_REGISTRY[p, q])
    return best and best[1]


def kl_divergence(p, q):
    """Returns the mean of `log p(x) - log q(x)` over `x` drawn from `p`, per batch element."""
    fn = _dispatch(type(p), type(q))
    if fn is None:
        raise NotImplementedError(f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}")
    return fn(p, q)


def _infinite(like):
    return rushlight.full_like(like, math.inf)


# ---- the same family twice ------------------------------------------------------------------------------------------------------


@register_kl(Bernoulli, Bernoulli)
def _kl_bernoulli_bernoulli(p, q):
    softplus = rushlight.nn.functional.softplus
    t1 = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    t1 = rushlight.where(q.probs == 0, math.inf, t1)
    t1 = rushlight.where(p.probs == 0, 0.0, t1)
    t2 = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    t2 = rushlight.where(q.probs == 1, math.inf, t2)
    t2 = rushlight.where(p.probs == 1, 0.0, t2)
    return t1 + t2


@register_kl(Beta, Beta)
def _kl_beta_beta(p, q):
    return _kl_dirichlet_dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Binomial, Binomial)
def _kl_binomial_binomial(p, q):
    if (p.total_count < q.total_count).any().item():
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    kl = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return rushlight.where(p.total_count > q.total_count, math.inf, kl)


@register_kl(Categorical, Categorical)
def _kl_categorical_categorical(p, q):
    t = p.probs * (p.logits - q.logits)
    t = rushlight.where(q.probs == 0, math.inf, t)
    return rushlight.where(p.probs == 0, 0.0, t).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _kl_onehot_onehot(p, q):
    return _kl_categorical_categorical(p._categorical, q._categorical)


@register_kl(Cauchy, Cauchy)
def _kl_cauchy_cauchy(p, q):
    t1 = ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log()
    return t1 - (4 * p.scale * q.scale).log()


@register_kl(Dirichlet, Dirichlet)
def _kl_dirichlet_dirichlet(p, q):
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    norm = total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    return norm + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Exponential, Exponential)
def _kl_exponential_exponential(p, q):
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(Gamma, Gamma)
def _kl_gamma_gamma(p, q):
    t1 = q.concentration * (p.rate / q.rate).log()
    t2 = rushlight.lgamma(q.concentration) - rushlight.lgamma(p.concentration)
    t3 = (p.concentration - q.concentration) * rushlight.digamma(p.concentration)
    return t1 + t2 + t3 + (q.rate - p.rate) * (p.concentration / p.rate)


@register_kl(Gumbel, Gumbel)
def _kl_gumbel_gumbel(p, q):
    ratio, shift, loc = p.scale / q.scale, q.loc / q.scale, p.loc / q.scale
    t3 = rushlight.exp(shift + (1 + ratio).lgamma() - loc)
    return -ratio.log() - shift + loc + ratio * euler_constant + t3 - (1 + euler_constant)


@register_kl(Geometric, Geometric)
def _kl_geometric_geometric(p, q):
    return -p.entropy() - rushlight.log1p(-q.probs) / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _kl_halfnormal_halfnormal(p, q):
    return _kl_normal_normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _kl_laplace_laplace(p, q):
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * rushlight.exp(-distance / p.scale) - 1


@register_kl(Normal, Normal)
def _kl_normal_normal(p, q):
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(Poisson, Poisson)
def _kl_poisson_poisson(p, q):
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _kl_uniform_uniform(p, q):
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return rushlight.where((q.low > p.low) | (q.high < p.high), math.inf, result)


@register_kl(TransformedDistribution, TransformedDistribution)
def _kl_transformed_transformed(p, q):
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _kl_independent_independent(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return _sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


# ---- different families ---------------------------------------------------------------------------------------------------------


@register_kl(Bernoulli, Poisson)
def _kl_bernoulli_poisson(p, q):
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, Exponential)
def _kl_beta_exponential(p, q):
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Beta, Gamma)
def _kl_beta_gamma(p, q):
    mean_log = p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    t = q.concentration.lgamma() - q.concentration * q.rate.log()
    return -p.entropy() + t - (q.concentration - 1) * mean_log + q.rate * p.mean


@register_kl(Exponential, Gamma)
def _kl_exponential_gamma(p, q):
    ratio = q.rate / p.rate
    t1 = -q.concentration * rushlight.log(ratio)
    return t1 + ratio + q.concentration.lgamma() + q.concentration * euler_constant - (1 + euler_constant)


@register_kl(Gamma, Exponential)
def _kl_gamma_exponential(p, q):
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


def _to_normal(p, q):
    """`q` normal: entropy, variance and distance of means are all that counts."""
    squared = q.scale.pow(2)
    spread = (p.variance + (p.mean - q.loc).pow(2)) / squared * 0.5
    return -p.entropy() + 0.5 * (squared * 2 * math.pi).log() + spread


def _to_gumbel(p, q, mean_exp):
    """`q` a Gumbel; `mean_exp` is the mean of `exp(-x / q.scale)` under `p`."""
    return -p.entropy() + q.scale.log() + (p.mean - q.loc) / q.scale + rushlight.exp(q.loc / q.scale) * mean_exp


for _family in (Beta, Exponential, Gamma, Gumbel, Laplace, Uniform):
    register_kl(_family, Normal)(_to_normal)


@register_kl(Exponential, Gumbel)
def _kl_exponential_gumbel(p, q):
    rate = p.rate * q.scale
    return _to_gumbel(p, q, rate / (rate + 1))


@register_kl(Gamma, Gumbel)
def _kl_gamma_gumbel(p, q):
    return _to_gumbel(p, q, (1 + (p.rate * q.scale).reciprocal()).pow(-p.concentration))


@register_kl(Normal, Gumbel)
def _kl_normal_gumbel(p, q):
    return _to_gumbel(p, q, rushlight.exp(-p.loc / q.scale + 0.5 * (p.scale / q.scale).pow(2)))


@register_kl(Uniform, Gumbel)
def _kl_uniform_gumbel(p, q):
    low, high = rushlight.exp(-p.low / q.scale), rushlight.exp(-p.high / q.scale)
    return _to_gumbel(p, q, q.scale * (low - high) / (p.high - p.low))


@register_kl(Normal, Laplace)
def _kl_normal_laplace(p, q):
    loc = (p.loc - q.loc) / p.scale
    mean_distance = p.scale * math.sqrt(2 / math.pi) * rushlight.exp(-0.5 * loc.pow(2)) + p.scale * loc * rushlight.erf(math.sqrt(0.5) * loc)
    return -p.entropy() + (2 * q.scale).log() + mean_distance / q.scale


@register_kl(Uniform, Beta)
def _kl_uniform_beta(p, q):
    width = p.high - p.low
    t1 = (q.concentration1 - 1) * (rushlight.xlogy(p.high, p.high) - rushlight.xlogy(p.low, p.low) - width) / width
    low, high = 1 - p.low, 1 - p.high
    t2 = (q.concentration0 - 1) * (rushlight.xlogy(high, high) - rushlight.xlogy(low, low) + width) / width
    t3 = q.concentration1.lgamma() + q.concentration0.lgamma() - (q.concentration1 + q.concentration0).lgamma()
    return rushlight.where((p.high > 1) | (p.low < 0), math.inf, t3 - t1 + t2 - width.log())


@register_kl(Uniform, Exponential)
def _kl_uniform_exponential(p, q):
    result = q.rate * (p.high + p.low) / 2 - ((p.high - p.low) * q.rate).log()
    return rushlight.where(p.low < 0, math.inf, result)


@register_kl(Uniform, Gamma)
def _kl_uniform_gamma(p, q):
    width = p.high - p.low
    mean_log = (rushlight.xlogy(p.high, p.high) - rushlight.xlogy(p.low, p.low)) / width - 1
    t = q.concentration.lgamma() - q.concentration * q.rate.log()
    result = -width.log() + t - (q.concentration - 1) * mean_log + q.rate * (p.high + p.low) / 2
    return rushlight.where(p.low < 0, math.inf, result)


def _never(p, q):
    """`p` reaches where `q` does not."""
    return _infinite(p.mean + 0 * q.mean)


for _p, _qs in {
    Exponential: (Beta, Uniform),
    Gamma: (Beta, Uniform),
    Gumbel: (Beta, Exponential, Gamma, Uniform),
    Laplace: (Beta, Exponential, Gamma, Uniform),
    Normal: (Beta, Exponential, Gamma, Uniform),
    Poisson: (Bernoulli, Binomial),
}.items():
    for _q in _qs:
        register_kl(_p, _q)(_never)


@register_kl(Beta, Uniform)
def _kl_beta_uniform(p, q):
    result = -p.entropy() + (q.high - q.low).log()
    return rushlight.where((q.low > 0) | (q.high < 1), math.inf, result)
