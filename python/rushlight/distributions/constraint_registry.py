"""Transforms onto constrained regions: `biject_to` for bijections, `transform_to` for what optimisation can use.

Source: <https://docs.pytorch.org/docs/stable/distributions.html#module-torch.distributions.constraint_registry>
"""

from . import constraints, transforms


class ConstraintRegistry:
    """From the class of a constraint to a function that makes a transform onto it."""

    def __init__(self):
        self._registry = {}

    def register(self, constraint, factory=None):
        """Registers `factory(constraint)` for the class of `constraint`; also a decorator."""
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        if isinstance(constraint, constraints.Constraint):
            constraint = type(constraint)
        if not isinstance(constraint, type) or not issubclass(constraint, constraints.Constraint):
            raise TypeError(f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}")
        self._registry[constraint] = factory
        return factory

    def __call__(self, constraint):
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _both(constraint):
    return lambda factory: transform_to.register(constraint, biject_to.register(constraint, factory))


@_both(constraints.real)
def _real(_):
    return transforms.identity_transform


@biject_to.register(constraints.independent)
def _biject_independent(c):
    return transforms.IndependentTransform(biject_to(c.base_constraint), c.reinterpreted_batch_ndims)


@transform_to.register(constraints.independent)
def _transform_independent(c):
    return transforms.IndependentTransform(transform_to(c.base_constraint), c.reinterpreted_batch_ndims)


@_both(constraints.positive)
@_both(constraints.nonnegative)
def _greater_than(c):
    return transforms.ComposeTransform([transforms.ExpTransform(), transforms.AffineTransform(c.lower_bound, 1)])


@_both(constraints.less_than)
def _less_than(c):
    return transforms.ComposeTransform([transforms.ExpTransform(), transforms.AffineTransform(c.upper_bound, -1)])


@_both(constraints.interval)
@_both(constraints.half_open_interval)
def _interval(c):
    if not hasattr(c.lower_bound, "shape") and not hasattr(c.upper_bound, "shape") and (c.lower_bound, c.upper_bound) == (0, 1):
        return transforms.SigmoidTransform()
    scale = c.upper_bound - c.lower_bound
    return transforms.ComposeTransform([transforms.SigmoidTransform(), transforms.AffineTransform(c.lower_bound, scale)])


@biject_to.register(constraints.simplex)
def _biject_simplex(_):
    return transforms.StickBreakingTransform()


@transform_to.register(constraints.simplex)
def _transform_simplex(_):
    return transforms.SoftmaxTransform()


@transform_to.register(constraints.lower_cholesky)
def _transform_lower_cholesky(_):
    return transforms.LowerCholeskyTransform()


@transform_to.register(constraints.positive_definite)
@transform_to.register(constraints.positive_semidefinite)
def _transform_positive_definite(_):
    return transforms.PositiveDefiniteTransform()
