"""The handwritten digits that are part of Rushlight."""

from ... import _C, Generator, float32, int64, randperm
from .vision import VisionDataset


class Digits(VisionDataset):
    """1,797 digits of 8 × 8 pixels (Alpaydin and Kaynak, 1998): all of them, or with `train` the four fifths for training or the rest.

    `data` is float32 `[n, 1, 8, 8]` from 0 (paper) to 1 (ink), `targets` int64 `[n]`; an item is a tensor `[1, 8, 8]` and an int.
    The split is that of `rushlight::data::Digits::split(0)`.
    """

    classes = [str(i) for i in range(10)]

    def __init__(self, train=None, transform=None, target_transform=None):
        super().__init__(transform=transform, target_transform=target_transform)
        images, labels = _C._digits()
        self.data, self.targets = images.reshape(-1, 1, 8, 8).to(float32), labels.to(int64)
        if train is not None:
            order = randperm(len(labels), generator=Generator().manual_seed(0))
            cut = len(labels) - len(labels) // 5
            index = order[:cut] if train else order[cut:]
            self.data, self.targets = self.data[index], self.targets[index]

    def __getitem__(self, index):
        return self.transformed(self.data[index], int(self.targets[index]))

    def __len__(self):
        return len(self.data)
