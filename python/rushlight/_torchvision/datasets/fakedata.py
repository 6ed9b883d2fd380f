"""Images of noise, to try a program without data (`torchvision.datasets.FakeData`)."""

from ... import get_rng_state, int64, manual_seed, randint, randn, set_rng_state
from .vision import VisionDataset


class FakeData(VisionDataset):
    """`size` images of noise with labels; the same index always gives the same image, and the generator is left as it was."""

    def __init__(self, size=1000, image_size=(3, 224, 224), num_classes=10, transform=None, target_transform=None, random_offset=0):
        super().__init__(transform=transform, target_transform=target_transform)
        self.size, self.image_size, self.num_classes, self.random_offset = size, image_size, num_classes, random_offset

    def __getitem__(self, index):
        from .. import _image
        from ..transforms.functional import to_pil_image

        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        state = get_rng_state()
        manual_seed(index + self.random_offset)
        image = randn(*self.image_size)
        target = randint(0, self.num_classes, size=(1,), dtype=int64)[0].item()
        set_rng_state(state)
        if _image.pillow():
            image = to_pil_image(image)
        return self.transformed(image, target)

    def __len__(self):
        return self.size
