"""Sequences of different lengths: padded, and packed."""

from collections import namedtuple

import rushlight
from rushlight import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpad_sequence",
    "pack_sequence",
    "unpack_sequence",
]

_Fields = namedtuple("PackedSequence", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"])


class PackedSequence(_Fields):
    """Sequences of different lengths, step after step without padding.

    `data` `[rows, …]` has the first elements of all sequences (longest first), then the second ones of those that go
    on, and so on; `batch_sizes` says how many rows each step has. Made by `pack_padded_sequence`.
    """

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("PackedSequence expects data and batch_sizes")
            data, batch_sizes = data
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence and pack_padded_sequences in nn.utils.rnn. "
                "https://pytorch.org/docs/stable/nn.html#torch.nn.utils.rnn.pack_sequence"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args, **kwargs):
        """Returns the sequences with their data converted or moved."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else type(self)(data, *self[1:])

    def cpu(self):
        """Returns the sequences on the CPU."""
        return self.to("cpu")

    def double(self):
        """Returns the sequences in float64."""
        return self.to(rushlight.float64)

    def float(self):
        """Returns the sequences in float32."""
        return self.to(rushlight.float32)

    def half(self):
        """Returns the sequences in float16."""
        return self.to(rushlight.float16)

    def long(self):
        """Returns the sequences in int64."""
        return self.to(rushlight.int64)

    def int(self):
        """Returns the sequences in int32."""
        return self.to(rushlight.int32)

    def pin_memory(self):
        """Returns the sequences with pinned data."""
        return type(self)(self.data.pin_memory(), *self[1:])

    def is_pinned(self):
        """Returns whether the data is pinned."""
        return self.data.is_pinned()

    @property
    def is_cuda(self):
        """Whether the data is on a GPU."""
        return self.data.is_cuda


def invert_permutation(permutation):
    """Returns the permutation that undoes `permutation`; None for None."""
    if permutation is None:
        return None
    output = rushlight.empty_like(permutation)
    output.scatter_(0, permutation, rushlight.arange(0, permutation.numel(), device=permutation.device))
    return output


def _step_sizes(lengths):
    """Returns how many of the sequences, sorted by falling length, have a first, a second, … element."""
    sizes, n = [], len(lengths)
    for t in range(lengths[0]):
        while lengths[n - 1] <= t:
            n -= 1
        sizes.append(n)
    return sizes


def _rows(sizes, batch):
    """Returns the places of packed rows in `[steps * batch]`."""
    return [t * batch + i for t, n in enumerate(sizes) for i in range(n)]


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Packs padded sequences `[steps, batch, …]` (the batch first if `batch_first`) of the given lengths.

    With `enforce_sorted` the lengths must fall; otherwise the sequences are sorted, and unpacking restores the order.
    """
    if not isinstance(lengths, Tensor):
        lengths = rushlight.tensor(list(lengths), dtype=rushlight.int64)
    if enforce_sorted:
        sorted_indices = None
    else:
        lengths, sorted_indices = lengths.sort(descending=True)
        input = input.index_select(0 if batch_first else 1, sorted_indices.to(input.device))
    if batch_first:
        input = input.transpose(0, 1)
    steps, batch = input.shape[:2]
    counts = lengths.tolist()
    if len(counts) != batch:
        raise RuntimeError(f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} (batch_size={batch})")
    if any(n <= 0 for n in counts):
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if any(a < b for a, b in zip(counts, counts[1:])):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you do "
            "not need ONNX exportability."
        )
    if counts[0] > steps:
        raise RuntimeError(f"Expected lengths of at most {steps} steps, but got {counts[0]}")
    sizes = _step_sizes(counts)
    where = rushlight.tensor(_rows(sizes, batch), dtype=rushlight.int64, device=input.device)
    data = input.reshape(steps * batch, *input.shape[2:]).index_select(0, where)
    return PackedSequence(data, rushlight.tensor(sizes, dtype=rushlight.int64), sorted_indices, None)


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """Returns padded sequences `[steps, batch, …]` (the batch first if `batch_first`), and their lengths."""
    data, batch_sizes, _, unsorted_indices = sequence
    sizes = batch_sizes.tolist()
    steps, batch = len(sizes), sizes[0]
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
    total = steps if total_length is None else total_length
    where = rushlight.tensor(_rows(sizes, batch), dtype=rushlight.int64, device=data.device)
    padded = data.new_full((total * batch, *data.shape[1:]), padding_value).index_copy(0, where, data)
    padded = padded.reshape(total, batch, *data.shape[1:])
    if batch_first:
        padded = padded.transpose(0, 1)
    lengths = rushlight.tensor([sum(n > i for n in sizes) for i in range(batch)], dtype=rushlight.int64)
    if unsorted_indices is not None:
        padded = padded.index_select(0 if batch_first else 1, unsorted_indices)
        lengths = lengths.index_select(0, unsorted_indices.cpu())
    return padded, lengths


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Stacks tensors `[length, …]` to `[steps, batch, …]` (or `[batch, steps, …]`), padded on one side."""
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Invalid padding_side '{padding_side}'. Must be 'left' or 'right'.")
    if isinstance(sequences, Tensor):
        sequences = sequences.unbind(0)
    elif not hasattr(sequences, "__iter__"):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: " + str(type(sequences))
        )
    sequences = list(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    longest = max(s.shape[0] for s in sequences)
    rest = sequences[0].shape[1:]
    rows = []
    for s in sequences:
        if s.shape[1:] != rest:
            raise RuntimeError(f"The size of tensor a {list(rest)} must match the size of tensor b {list(s.shape[1:])}")
        missing = s.new_full((longest - s.shape[0], *rest), padding_value)
        rows.append(rushlight.cat([s, missing] if padding_side == "right" else [missing, s]) if missing.shape[0] else s)
    return rushlight.stack(rows, 0 if batch_first else 1)


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """Returns the list of sequences that `pad_sequence` padded on the right."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [row[:n] for row, n in zip(padded_sequences.unbind(0), lengths.tolist())]


def pack_sequence(sequences, enforce_sorted=True):
    """Packs a list of tensors `[length, …]`."""
    lengths = rushlight.tensor([s.size(0) for s in sequences], dtype=rushlight.int64)
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences):
    """Returns the list of tensors that `pack_sequence` packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
