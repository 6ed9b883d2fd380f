"""What the data sets have in common."""

import os

from ...utils.data import Dataset


class StandardTransform:
    """Applies one transform to the image and one to the target."""

    def __init__(self, transform=None, target_transform=None):
        self.transform, self.target_transform = transform, target_transform

    def __call__(self, input, target):
        return (self.transform or same)(input), (self.target_transform or same)(target)

    def __repr__(self):
        lines = []
        for head, transform in (("Transform: ", self.transform), ("Target transform: ", self.target_transform)):
            if transform is not None:
                first, *rest = repr(transform).splitlines()
                lines += [f"StandardTransform\n{head}{first}" if not lines else head + first, *(" " * len(head) + line for line in rest)]
        return "\n".join(lines)


def same(value):
    return value


class VisionDataset(Dataset):
    """A data set of images in the folder `root`: either `transforms(image, target)`, or `transform` and `target_transform` apart."""

    def __init__(self, root=None, transforms=None, transform=None, target_transform=None):
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        apart = transform is not None or target_transform is not None
        if transforms is not None and apart:
            raise ValueError("Only transforms or transform/target_transform can be passed as argument")
        self.transform, self.target_transform = transform, target_transform
        self.transforms = StandardTransform(transform, target_transform) if apart else transforms

    def transformed(self, image, target):
        """The item that users get."""
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def extra_repr(self):
        """A line or more for `repr`."""
        return ""

    def __repr__(self):
        lines = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            lines.append(f"Root location: {self.root}")
        lines += self.extra_repr().splitlines()
        if self.transforms is not None:
            lines += repr(self.transforms).splitlines()
        return "\n".join([f"Dataset {type(self).__name__}", *("    " + line for line in lines)])


def missing_files(name, folder, files, note=""):
    """The error of a data set whose files are not there."""
    listed = "\n  ".join(str(file) for file in files)
    return RuntimeError(f"{name} not found. Rushlight downloads nothing: put these files{note} into {folder}\n  {listed}")
