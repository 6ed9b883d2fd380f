"""The part of a dataset that one process of several loads."""

import rushlight

from .sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler):
    """Every `num_replicas`-th index from `rank` on, of the indices in an order that all processes share.

    `set_epoch` before each epoch makes a new order. The indices are repeated, or with `drop_last` cut, until every process has as many.
    """

    def __init__(self, dataset, num_replicas=None, rank=None, shuffle=True, seed=0, drop_last=False):
        if num_replicas is None or rank is None:
            raise RuntimeError("Requires distributed package to be available, or num_replicas and rank to be given")
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        each, rest = divmod(len(dataset), num_replicas)
        self.num_samples = each + bool(rest and not drop_last)
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self):
        n = len(self.dataset)
        if self.shuffle:
            generator = rushlight.Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = rushlight.randperm(n, generator=generator).tolist()
        else:
            indices = list(range(n))
        if n < self.total_size:
            indices *= -(-self.total_size // n)
        return iter(indices[self.rank : self.total_size : self.num_replicas])

    def __len__(self):
        return self.num_samples

    def set_epoch(self, epoch):
        """Chooses the order of the next pass: each epoch has its own."""
        self.epoch = epoch
