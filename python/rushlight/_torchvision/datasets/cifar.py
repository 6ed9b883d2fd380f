"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), read from their Python files without running what is in them."""

import os
import pickle

from ... import cat
from .._image import bytes_tensor, from_array
from .vision import VisionDataset, missing_files


class CIFAR10(VisionDataset):
    """60,000 pictures of 32 × 32 pixels in 10 classes: `root/cifar-10-batches-py/data_batch_1` and so on.

    `data` is uint8 `[n, 32, 32, 3]` (an array if NumPy is installed, else a tensor), `targets` a list of ints.
    """

    base_folder = "cifar-10-batches-py"
    parts = {True: [f"data_batch_{i}" for i in range(1, 6)], False: ["test_batch"]}
    labels, meta, names = "labels", "batches.meta", "label_names"

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        folder = os.path.join(self.root, self.base_folder)
        files = [*self.parts[train], self.meta]
        if not all(os.path.isfile(os.path.join(folder, file)) for file in files):
            raise missing_files(type(self).__name__, folder, files)
        parts = [read_pickle(os.path.join(folder, file), "data", self.labels) for file in self.parts[train]]
        self._pixels = cat([part["data"].tensor() for part in parts]).reshape(-1, 3, 32, 32).permute(0, 2, 3, 1)
        self.targets = [label for part in parts for label in part[self.labels]]
        self.classes = read_pickle(os.path.join(folder, self.meta), self.names)[self.names]
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        if len(self._pixels) != len(self.targets):
            raise ValueError(f"{folder}: {len(self._pixels)} images, but {len(self.targets)} labels")

    @property
    def data(self):
        """All pixels."""
        try:
            return self._pixels.contiguous().numpy()
        except ImportError:
            return self._pixels

    def __getitem__(self, index):
        return self.transformed(from_array(self._pixels[index]), self.targets[index])

    def __len__(self):
        return len(self.targets)

    def extra_repr(self):
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """60,000 pictures of 32 × 32 pixels in 100 classes: `root/cifar-100-python/train` and so on."""

    base_folder = "cifar-100-python"
    parts = {True: ["train"], False: ["test"]}
    labels, meta, names = "fine_labels", "meta", "fine_label_names"


class PickledArray:
    """What a pickle says of a NumPy array; NumPy itself is not needed."""

    def __setstate__(self, state):
        _version, self.shape, self.dtype, self.fortran, self.data = state

    def tensor(self):
        """The array as a tensor of bytes."""
        data = self.data.encode("latin1") if isinstance(self.data, str) else self.data
        if self.dtype.name not in ("u1", "|u1") or self.fortran:
            raise ValueError(f"expected rows of bytes, found {self.dtype.name}")
        return bytes_tensor(data, self.shape)


class PickledType:
    """What a pickle says of an array's type."""

    def __init__(self, name, align=False, copy=False):
        self.name = name

    def __setstate__(self, state):
        pass


KNOWN = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): lambda *args: PickledArray() for core in ("core", "_core")},
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): PickledType,
    ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
}


class DataUnpickler(pickle.Unpickler):
    """Reads lists, dictionaries, texts and arrays of bytes, and refuses everything else."""

    def find_class(self, module, name):
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of data")
        return KNOWN[module, name]


def read_pickle(path, *keys):
    """The dictionary in a file. ValueError names the file if it is damaged, or lacks one of `keys`."""
    try:
        with open(path, "rb") as file:
            content = DataUnpickler(file, encoding="latin1").load()
        return {key: content[key] for key in keys}
    except (pickle.UnpicklingError, AttributeError, EOFError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a file of CIFAR: {type(error).__name__}: {error}") from None
