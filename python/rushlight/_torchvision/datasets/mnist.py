"""MNIST and its relatives, read from IDX files (`torchvision.datasets.MNIST`)."""

import gzip
import os
import string
import zlib

from ... import int64, uint8
from .._image import bytes_tensor, from_array
from .vision import VisionDataset, missing_files


class MNIST(VisionDataset):
    """70,000 digits of 28 × 28 pixels (LeCun et al., 1998): `root/MNIST/raw/train-images-idx3-ubyte`, or the same with `.gz`, and so on.

    `data` is uint8 `[n, 28, 28]`, `targets` int64 `[n]`; an item is an image and an int.
    """

    classes = ["0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine"]

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        images, labels = (self.find(f"{self.prefix()}{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
        self.data, self.targets = read_idx(images, 3), read_idx(labels, 1).to(int64)
        if len(self.data) != len(self.targets):
            raise ValueError(f"{images} has {len(self.data)} images, but {labels} has {len(self.targets)} labels")

    def prefix(self):
        """How the names of the files begin."""
        return "train-" if self.train else "t10k-"

    def find(self, name):
        """The path of a file, plain or compressed."""
        for path in (os.path.join(self.raw_folder, name + ending) for ending in ("", ".gz")):
            if os.path.isfile(path):
                return path
        files = [f"{self.prefix()}{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        raise missing_files(type(self).__name__, self.raw_folder, files, " (plain, or with .gz)")

    @property
    def raw_folder(self):
        """Where the files are."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def class_to_idx(self):
        """The number of each class."""
        return {name: i for i, name in enumerate(self.classes)}

    def __getitem__(self, index):
        return self.transformed(from_array(self.data[index]), int(self.targets[index]))

    def __len__(self):
        return len(self.data)

    def extra_repr(self):
        return f"Split: {'Train' if self.train else 'Test'}"


class FashionMNIST(MNIST):
    """70,000 pictures of clothes (Xiao, Rasul and Vollgraf, 2017), in `root/FashionMNIST/raw`."""

    classes = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


class KMNIST(MNIST):
    """70,000 cursive Japanese characters (Clanuwat et al., 2018), in `root/KMNIST/raw`."""

    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


class EMNIST(MNIST):
    """Handwritten letters and digits (Cohen et al., 2017), in `root/EMNIST/raw`; `split` is one of `EMNIST.splits`."""

    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    _merged = set("cijklmopsuvwxyz")
    _all = set(string.digits + string.ascii_letters)
    classes_split_dict = {
        "byclass": sorted(_all),
        "bymerge": sorted(_all - _merged),
        "balanced": sorted(_all - _merged),
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root, split, **kwargs):
        if split not in self.splits:
            raise ValueError(f"Unknown value '{split}' for argument split. Valid values are {self.splits}.")
        self.split, self.classes = split, self.classes_split_dict[split]
        super().__init__(root, **kwargs)

    def prefix(self):
        return f"emnist-{self.split}-{'train' if self.train else 'test'}-"


def read_idx(path, dims):
    """Reads an IDX file of bytes with `dims` dimensions, compressed or not. ValueError names the file and what is wrong with it."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: cannot be decompressed: {error}") from None
    head = 4 + 4 * dims
    if data[:4] != bytes([0, 0, 8, dims]) or len(data) < head:
        raise ValueError(f"{path}: not an IDX file of bytes in {dims} dimensions")
    shape = [int.from_bytes(data[i : i + 4], "big") for i in range(4, head, 4)]
    size = 1
    for length in shape:
        size *= length
    if len(data) - head != size:
        raise ValueError(f"{path}: the header says {shape}, which is {size} bytes, but {len(data) - head} follow")
    return bytes_tensor(data[head:], shape, uint8)
