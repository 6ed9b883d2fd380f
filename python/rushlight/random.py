"""The default generator: seeds and states. https://docs.pytorch.org/docs/stable/random.html"""

from . import _C

default_generator = _C.default_generator


def manual_seed(seed):
    """Starts the default generator over from `seed`; the numbers that follow are PyTorch's for this seed. Returns the generator."""
    return default_generator.manual_seed(int(seed))


def seed():
    """Starts the default generator over from a seed of the system's, and returns it."""
    return default_generator.seed()


def initial_seed():
    """The seed that the default generator was started from."""
    return default_generator.initial_seed()


def get_rng_state():
    """The default generator's state, as a tensor of bytes."""
    return default_generator.get_state()


def set_rng_state(new_state):
    """Restores what `get_rng_state` gave."""
    default_generator.set_state(new_state)


class fork_rng:
    """A region after which the default generator is as it was before: a context manager and a decorator."""

    def __init__(self, devices=None, enabled=True, _caller="fork_rng", _devices_kw="devices", device_type="cpu"):
        self.enabled = enabled

    def __enter__(self):
        self.state = get_rng_state() if self.enabled else None

    def __exit__(self, *error):
        if self.enabled:
            set_rng_state(self.state)

    def __call__(self, function):
        import functools

        @functools.wraps(function)
        def forked(*args, **kwargs):
            with fork_rng(enabled=self.enabled):
                return function(*args, **kwargs)

        return forked
