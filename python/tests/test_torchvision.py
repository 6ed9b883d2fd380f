"""Data sets, transforms and image grids. torchvision itself is seldom at hand: live torch, NumPy and Pillow give the answers."""

import gzip
import io
import math
import pickle
import random
import struct

import pytest
import rushlight
from rushlight import _torchvision as tv
from rushlight._torchvision import _image, datasets, utils
from rushlight._torchvision import transforms as T
from rushlight._torchvision.transforms import functional as F

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
Image = pytest.importorskip("PIL.Image")


def ours(t):
    """The tensor of torch as one of Rushlight."""
    return rushlight.tensor(t.tolist(), dtype=getattr(rushlight, str(t.dtype)[6:]))


def same(a, b, **tolerance):
    """Whether a tensor of Rushlight's is one of torch's."""
    assert str(a.dtype)[6:] == str(b.dtype)[6:] or str(a.dtype) == str(b.dtype)
    assert tuple(a.shape) == tuple(b.shape)
    torch.testing.assert_close(torch.tensor(a.tolist(), dtype=b.dtype).reshape(b.shape), b, **tolerance)


def image(mode="RGB", height=7, width=5, seed=0):
    channels = {"L": 1, "RGB": 3, "RGBA": 4, "LA": 2}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels, mode)


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# Conversions


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_to_tensor_and_back(mode):
    picture = image(mode)
    array = np.asarray(picture).reshape(7, 5, -1).transpose(2, 0, 1)
    same(F.to_tensor(picture), torch.from_numpy(array.copy()).float() / 255)
    same(F.pil_to_tensor(picture), torch.from_numpy(array.copy()))
    back = F.to_pil_image(F.to_tensor(picture))
    assert back.mode == mode and back.tobytes() == picture.tobytes()


def test_to_tensor_of_other_modes():
    for mode, dtype in (("I", np.int32), ("F", np.float32), ("I;16", np.uint16)):
        array = np.arange(12, dtype=dtype).reshape(3, 4)
        picture = Image.frombytes(mode, (4, 3), array.tobytes())
        assert F.to_tensor(picture).tolist() == [array.tolist()]
    assert F.to_tensor(Image.fromarray(np.array([[True, False]]))).tolist() == [[[1.0, 0.0]]]
    same(F.to_tensor(np.arange(6, dtype=np.uint8).reshape(2, 3)), torch.arange(6).reshape(1, 2, 3) / 255)
    same(F.to_tensor(np.arange(6.0).reshape(2, 3)), torch.arange(6.0, dtype=torch.float64).reshape(1, 2, 3))
    for wrong, error in ((np.zeros(3), ValueError), ([[1]], TypeError), (rushlight.zeros(1, 2, 2), TypeError)):
        with pytest.raises(error):
            F.to_tensor(wrong)


def test_to_pil_image_refuses():
    for shape, error in (((5, 2, 2), ValueError), ((1, 1, 2, 2), ValueError)):
        with pytest.raises(error):
            F.to_pil_image(rushlight.zeros(*shape))
    with pytest.raises(ValueError, match="Incorrect mode"):
        F.to_pil_image(rushlight.zeros(3, 2, 2), mode="L")
    assert F.to_pil_image(rushlight.zeros(3, 2, 2), mode="HSV").mode == "HSV"


def test_convert_image_dtype():
    bytes_ = rushlight.tensor([0, 1, 127, 128, 255], dtype=rushlight.uint8)
    assert F.convert_image_dtype(bytes_, rushlight.float32).tolist() == (torch.tensor([0, 1, 127, 128, 255]) / 255).tolist()
    assert F.convert_image_dtype(rushlight.tensor([0.0, 0.5, 1.0]), rushlight.uint8).tolist() == [0, 127, 255]
    assert F.convert_image_dtype(bytes_, rushlight.int32).tolist() == [b * 2**23 for b in (0, 1, 127, 128, 255)]
    assert F.convert_image_dtype(rushlight.tensor([2**30], dtype=rushlight.int32), rushlight.uint8).tolist() == [128]
    with pytest.raises(RuntimeError, match="cannot be performed safely"):
        F.convert_image_dtype(rushlight.zeros(1), rushlight.int32)


def test_normalize():
    x = noise(2, 3, 4, 5)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    right = (x - torch.tensor(mean).reshape(3, 1, 1)) / torch.tensor(std).reshape(3, 1, 1)
    same(T.Normalize(mean, std)(ours(x)), right)
    y = ours(x)
    assert T.Normalize(mean, std, inplace=True)(y) is y
    with pytest.raises(ValueError, match="division by zero"):
        F.normalize(y, [0.0], [0.0])
    with pytest.raises(TypeError, match="float tensor"):
        F.normalize(y.to(rushlight.uint8), [0.0], [1.0])


# Geometry: a tensor and Pillow's image must agree


BOTH = {
    "hflip": lambda i: F.hflip(i),
    "vflip": lambda i: F.vflip(i),
    "crop": lambda i: F.crop(i, 1, 2, 3, 2),
    "crop outside": lambda i: F.crop(i, -2, -1, 12, 9),
    "crop far outside": lambda i: F.crop(i, 5, 3, 4, 4),
    "center_crop": lambda i: F.center_crop(i, 3),
    "center_crop even": lambda i: F.center_crop(i, [4, 2]),
    "center_crop larger": lambda i: F.center_crop(i, [10, 2]),
    "pad": lambda i: F.pad(i, [1, 2, 3, 0], fill=9),
    "pad edge": lambda i: F.pad(i, 2, padding_mode="edge"),
    "pad reflect": lambda i: F.pad(i, [1, 2], padding_mode="reflect"),
    "pad symmetric": lambda i: F.pad(i, 3, padding_mode="symmetric"),
    "resize nearest": lambda i: F.resize(i, [14, 10], T.InterpolationMode.NEAREST),
    "rotate 90": lambda i: F.rotate(i, 90, expand=True),
    "rotate 180": lambda i: F.rotate(i, 180),
    "five_crop": lambda i: F.five_crop(i, 3)[2],
    "ten_crop": lambda i: F.ten_crop(i, [3, 2])[7],
    "invert": lambda i: F.invert(i),
}


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_tensors_and_pictures_agree(name, mode):
    picture = image(mode)
    assert F.pil_to_tensor(BOTH[name](picture)).tolist() == BOTH[name](F.pil_to_tensor(picture)).tolist()


@pytest.mark.parametrize("mode, numpys", [("edge", "edge"), ("reflect", "reflect"), ("symmetric", "symmetric")])
def test_pad_is_numpys(mode, numpys):
    array = np.arange(24).reshape(1, 4, 6)
    assert F.pad(rushlight.tensor(array.tolist()), [3, 2, 1, 3], padding_mode=mode).tolist() == np.pad(array, [(0, 0), (2, 3), (3, 1)], numpys).tolist()


@pytest.mark.parametrize("size, options", [(4, {}), (4, {"max_size": 5}), ([3, 9], {}), ([4], {}), (12, {}), ([9, 3], {"antialias": False})])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_resize_is_interpolate(size, options, mode):
    x = noise(2, 3, 6, 8)
    out = F.resize(ours(x), size, T.InterpolationMode(mode), **options)
    if not isinstance(size, list) or len(size) == 1:
        short = size if isinstance(size, int) else size[0]
        expected = (short, int(short * 8 / 6))
        if "max_size" in options and expected[1] > options["max_size"]:
            expected = (int(options["max_size"] * expected[0] / expected[1]), options["max_size"])
    else:
        expected = tuple(size)
    smooth = {"align_corners": False, "antialias": options.get("antialias", True)} if mode != "nearest" else {}
    same(out, torch.nn.functional.interpolate(x, expected, mode=mode, **smooth), atol=1e-5, rtol=1e-5)
    bytes_ = (x * 255).to(torch.uint8)
    right = torch.nn.functional.interpolate(bytes_.float(), expected, mode=mode, **smooth)
    right = right.clamp(0, 255).round().to(torch.uint8) if mode != "nearest" else right.to(torch.uint8)
    difference = np.array(F.resize(ours(bytes_), size, T.InterpolationMode(mode), **options).tolist()) - right.numpy().astype(int)
    assert abs(difference).max() <= 1


def test_resize_leaves_the_size_alone():
    x = rushlight.zeros(1, 4, 6)
    assert F.resize(x, 4) is x and F.resize(x, [4, 6]) is x
    with pytest.raises(ValueError, match="strictly greater"):
        F.resize(x, 4, max_size=4)
    with pytest.raises(ValueError, match="max_size should only"):
        F.resize(x, [4, 4], max_size=9)


def rotated(x, angle, mode, center, fill):
    """Rotation by torch's grid_sample."""
    height, width = x.shape[-2:]
    a = math.radians(angle)
    cos, sin = math.cos(a), math.sin(a)
    cx, cy = (0.0, 0.0) if center is None else (center[0] - width * 0.5, center[1] - height * 0.5)
    theta = torch.tensor([[cos, -sin, -cx * cos + cy * sin + cx], [sin, cos, -cx * sin - cy * cos + cy]])
    ys, xs = torch.meshgrid(torch.arange(height) + 0.5 - height / 2, torch.arange(width) + 0.5 - width / 2, indexing="ij")
    grid = torch.stack([xs, ys, torch.ones_like(xs)], -1) @ theta.T / torch.tensor([width / 2, height / 2])
    both = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    out = torch.nn.functional.grid_sample(both, grid.expand(len(x), -1, -1, -1), mode=mode, padding_mode="zeros", align_corners=False)
    mask = out[:, -1:]
    return torch.where(mask < 0.5, fill, out[:, :-1]) if mode == "nearest" else out[:, :-1] * mask + (1 - mask) * fill


@pytest.mark.parametrize("angle", [17.0, -133.0, 301.5])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("center", [None, (1.3, 4.1)])
def test_rotate_is_grid_sample(angle, mode, center):
    x = noise(2, 3, 9, 12)
    out = F.rotate(ours(x), angle, T.InterpolationMode(mode), center=center, fill=[0.25])
    same(out, rotated(x, angle, mode, center, 0.25), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("angle", [30, 45, -77, 90, 211])
def test_an_expanded_rotation_has_pillows_size(angle):
    picture = image("L", 12, 6)
    assert tuple(F.rotate(F.pil_to_tensor(picture), angle, expand=True).shape[1:]) == F.rotate(picture, angle, expand=True).size[::-1]


# Colours


@pytest.mark.parametrize(
    "step",
    [
        lambda i: F.rgb_to_grayscale(i),
        lambda i: F.rgb_to_grayscale(i, 3),
        lambda i: F.adjust_brightness(i, 1.4),
        lambda i: F.adjust_brightness(i, 0.3),
        lambda i: F.adjust_contrast(i, 1.7),
        lambda i: F.adjust_saturation(i, 0.4),
        lambda i: F.adjust_gamma(i, 0.7),
    ],
)
def test_colours_are_pillows(step):
    picture = image(height=16, width=16)
    pillow, tensor = F.pil_to_tensor(step(picture)), step(F.pil_to_tensor(picture))
    assert pillow.shape == tensor.shape
    assert (pillow.to(rushlight.int32) - tensor.to(rushlight.int32)).abs().max().item() <= 1


@pytest.mark.parametrize("factor", [-0.5, -0.1, 0.0, 0.25, 0.5])
def test_hue_is_colorsys(factor):
    import colorsys

    x = noise(3, 4, 5)
    out = F.adjust_hue(ours(x), factor)
    pixels = []
    for r, g, b in x.flatten(1).T.tolist():
        h, s, v = colorsys.rgb_to_hsv(r, g, b)
        pixels.append(colorsys.hsv_to_rgb((h + factor) % 1, s, v))
    same(out, torch.tensor(pixels).T.reshape(3, 4, 5), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="not in"):
        F.adjust_hue(out, 0.6)


# Random transforms draw from the stream that torch has


def seeded(seed):
    torch.manual_seed(seed)
    rushlight.manual_seed(seed)


@pytest.mark.parametrize("seed", range(4))
def test_random_numbers_are_drawn_as_torchvision_does(seed):
    x = rushlight.zeros(3, 20, 30)
    seeded(seed)
    assert T.RandomCrop.get_params(x, (8, 9)) == (torch.randint(0, 13, (1,)).item(), torch.randint(0, 22, (1,)).item(), 8, 9)
    assert T.RandomRotation.get_params([-30.0, 50.0]) == float(torch.empty(1).uniform_(-30.0, 50.0).item())
    order, brightness, contrast, saturation, hue = T.ColorJitter.get_params((0.5, 1.5), None, (0.2, 2.0), (-0.1, 0.1))
    assert order.tolist() == torch.randperm(4).tolist() and contrast is None
    assert [brightness, saturation, hue] == [float(torch.empty(1).uniform_(*r)) for r in ((0.5, 1.5), (0.2, 2.0), (-0.1, 0.1))]

    got = T.RandomResizedCrop.get_params(x, (0.08, 1.0), (0.75, 4 / 3))
    bounds = torch.log(torch.tensor((0.75, 4 / 3)))
    for _ in range(10):
        area = 600 * torch.empty(1).uniform_(0.08, 1.0).item()
        aspect = torch.exp(torch.empty(1).uniform_(bounds[0], bounds[1])).item()
        w, h = int(round(math.sqrt(area * aspect))), int(round(math.sqrt(area / aspect)))
        if 0 < w <= 30 and 0 < h <= 20:
            assert got == (torch.randint(0, 20 - h + 1, (1,)).item(), torch.randint(0, 30 - w + 1, (1,)).item(), h, w)
            break
    flips = [T.RandomHorizontalFlip(0.5).happens() for _ in range(20)]
    assert flips == [bool(torch.rand(1) < 0.5) for _ in range(20)]
    assert rushlight.rand(1).item() == torch.rand(1).item()


def test_random_erasing():
    x = rushlight.ones(3, 20, 30)
    for seed in range(5):
        rushlight.manual_seed(seed)
        top, left, h, w, v = T.RandomErasing.get_params(x, (0.02, 0.33), (0.3, 3.3), [0.5])
        rushlight.manual_seed(seed)
        rushlight.rand(1)
        rushlight.manual_seed(seed)
        out = T.RandomErasing(p=1, value=0.5)(x)
        changed = (out != 1).nonzero()
        assert (out == 0.5).sum().item() == len(changed) > 0
        area = len(changed) / 3 / 600
        assert 0.01 < area < 0.36
    assert T.RandomErasing(p=0)(x) is x and x.min().item() == 1
    assert len(set(T.RandomErasing(p=1, value="random")(x).flatten().tolist())) > 10


def test_choices_and_compositions():
    double, add = T.Lambda(lambda x: 2 * x), T.Lambda(lambda x: x + 1)
    assert T.Compose([double, add])(3) == 7
    random.seed(0)
    chosen = [T.RandomChoice([double, add], p=[0.5, 0.5])(3) for _ in range(20)]
    random.seed(0)
    assert chosen == [random.choices([6, 4], weights=[0.5, 0.5])[0] for _ in range(20)]
    assert {T.RandomOrder([double, add])(3) for _ in range(30)} == {7, 8}
    assert T.RandomApply([double], p=1.0)(3) == 6 and T.RandomApply([double], p=0.0)(3) == 3
    assert repr(T.Compose([T.ToTensor(), T.CenterCrop(3)])) == "Compose(\n    ToTensor()\n    CenterCrop(size=(3, 3))\n)"
    with pytest.raises(TypeError, match="callable"):
        T.Lambda(3)


def test_transforms_check_their_arguments():
    for wrong in (
        lambda: T.ColorJitter(brightness=-1),
        lambda: T.ColorJitter(hue=0.7),
        lambda: T.RandomRotation(-1),
        lambda: T.Pad([1, 2, 3]),
        lambda: T.RandomErasing(scale=(-1, 2)),
        lambda: T.RandomCrop(9)(rushlight.zeros(1, 4, 4)),
        lambda: T.CenterCrop([1, 2, 3]),
    ):
        with pytest.raises(ValueError):
            wrong()
    assert T.RandomCrop(9, pad_if_needed=True)(rushlight.zeros(1, 4, 4)).shape == (1, 9, 9)


# Grids and files


@pytest.mark.parametrize("normalize, scale_each", [(False, False), (True, False), (True, True)])
def test_make_grid(normalize, scale_each):
    x = noise(5, 3, 4, 6) * 2 - 0.5
    grid = utils.make_grid(ours(x), nrow=3, padding=1, pad_value=0.25, normalize=normalize, scale_each=scale_each)
    right = torch.full((3, 2 * 5 + 1, 3 * 7 + 1), 0.25)
    if normalize:
        low = x.amin((1, 2, 3), keepdim=True) if scale_each else x.min()
        high = x.amax((1, 2, 3), keepdim=True) if scale_each else x.max()
        x = (x - low) / (high - low)
    for i in range(5):
        top, left = i // 3 * 5 + 1, i % 3 * 7 + 1
        right[:, top : top + 4, left : left + 6] = x[i]
    same(grid, right)


def test_make_grid_of_fewer_dimensions():
    assert utils.make_grid(rushlight.zeros(4, 6)).shape == (3, 4, 6)
    assert utils.make_grid(rushlight.zeros(1, 4, 6)).shape == (3, 4, 6)
    assert utils.make_grid([rushlight.zeros(1, 4, 6)] * 3, nrow=2).shape == (3, 14, 18)
    with pytest.raises(TypeError, match="tensor or list of tensors"):
        utils.make_grid("image")


def test_save_image_is_read_back_by_pillow(tmp_path):
    x = noise(3, 5, 7)
    utils.save_image(ours(x), tmp_path / "a.png")
    right = (x * 255 + 0.5).clamp(0, 255).to(torch.uint8)
    assert np.asarray(Image.open(tmp_path / "a.png")).transpose(2, 0, 1).tolist() == right.tolist()
    file = io.BytesIO()
    utils.save_image(ours(x), file, format="png")
    assert file.getvalue() == (tmp_path / "a.png").read_bytes()
    utils.save_image(ours(x), str(tmp_path / "a.bmp"))
    assert np.asarray(Image.open(tmp_path / "a.bmp")).transpose(2, 0, 1).tolist() == right.tolist()


# Data sets


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_mnist(folder, images, labels, prefix="train-", compress=False):
    folder.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        data = gzip.compress(idx(array)) if compress else idx(array)
        (folder / f"{prefix}{kind}-ubyte{'.gz' if compress else ''}").write_bytes(data)


@pytest.mark.parametrize("kind", ["MNIST", "FashionMNIST", "KMNIST"])
@pytest.mark.parametrize("compress", [False, True])
def test_mnist(tmp_path, kind, compress):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (6, 28, 28)), rng.integers(0, 10, 6)
    write_mnist(tmp_path / kind / "raw", images, labels, compress=compress)
    data = getattr(datasets, kind)(str(tmp_path), train=True, download=True, transform=T.ToTensor(), target_transform=lambda t: -t)
    assert len(data) == 6 and len(data.classes) == 10
    assert data.data.tolist() == images.tolist() and data.targets.tolist() == labels.tolist()
    assert data.data.dtype is rushlight.uint8 and data.targets.dtype is rushlight.int64
    x, y = data[2]
    assert y == -labels[2] and x.shape == (1, 28, 28)
    same(x, torch.tensor(images[2:3]).float() / 255)
    picture, label = getattr(datasets, kind)(tmp_path)[3]
    assert picture.mode == "L" and np.asarray(picture).tolist() == images[3].tolist() and type(label) is int
    loader = rushlight.utils.data.DataLoader(data, batch_size=4)
    assert [batch.shape for batch, _ in loader] == [(4, 1, 28, 28), (2, 1, 28, 28)]
    assert "Number of datapoints: 6" in repr(data) and "Split: Train" in repr(data)
    with pytest.raises(RuntimeError, match=r"(?s)downloads nothing.*raw.*t10k-images-idx3-ubyte.*t10k-labels-idx1-ubyte"):
        getattr(datasets, kind)(tmp_path, train=False, download=True)


def test_emnist(tmp_path):
    images, labels = np.zeros((2, 28, 28)), np.array([1, 26])
    write_mnist(tmp_path / "EMNIST" / "raw", images, labels, "emnist-letters-test-")
    data = datasets.EMNIST(tmp_path, "letters", train=False)
    assert [data.classes[y] for _, y in data] == ["a", "z"]
    assert [len(datasets.EMNIST.classes_split_dict[s]) for s in datasets.EMNIST.splits] == [62, 47, 47, 27, 10, 10]
    with pytest.raises(ValueError, match="Unknown value 'other'"):
        datasets.EMNIST(tmp_path, "other")


def test_damaged_idx_files(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    write_mnist(raw, np.zeros((2, 28, 28)), np.zeros(2))
    path = raw / "train-images-idx3-ubyte"
    good = path.read_bytes()
    for bad, text in ((good[:-1], "the header says"), (b"\1" + good[1:], "not an IDX file"), (good[:9], "not an IDX file"), (gzip.compress(good)[:30], "cannot be decompressed")):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=f"train-images-idx3-ubyte: {text}"):
            datasets.MNIST(tmp_path)
    path.write_bytes(idx(np.zeros((3, 28, 28))))
    with pytest.raises(ValueError, match="3 images, but .* 2 labels"):
        datasets.MNIST(tmp_path)


def write_cifar(folder, files, labels, meta, names):
    folder.mkdir()
    rng = np.random.default_rng(0)
    everything = {}
    for file in files:
        content = {"data": rng.integers(0, 256, (3, 3072), dtype=np.uint8), labels: rng.integers(0, 10, 3).tolist(), "filenames": ["x"] * 3}
        (folder / file).write_bytes(pickle.dumps(content, protocol=2))
        everything[file] = content
    (folder / meta[0]).write_bytes(pickle.dumps({meta[1]: names}, protocol=2))
    return everything


def test_cifar10(tmp_path):
    files = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    content = write_cifar(tmp_path / "cifar-10-batches-py", files, "labels", ("batches.meta", "label_names"), [str(i) for i in range(10)])
    data = datasets.CIFAR10(tmp_path, transform=T.PILToTensor())
    assert len(data) == 15 and data.data.shape == (15, 32, 32, 3) and isinstance(data.data, np.ndarray)
    right = content["data_batch_2"]
    x, y = data[4]
    assert x.tolist() == right["data"][1].reshape(3, 32, 32).tolist() and y == right["labels"][1]
    assert data.data[4].tolist() == right["data"][1].reshape(3, 32, 32).transpose(1, 2, 0).tolist()
    assert len(datasets.CIFAR10(tmp_path, train=False)) == 3


def test_cifar100_and_what_is_no_data(tmp_path):
    folder = tmp_path / "cifar-100-python"
    write_cifar(folder, ["train", "test"], "fine_labels", ("meta", "fine_label_names"), ["a", "b"])
    assert datasets.CIFAR100(tmp_path).class_to_idx == {"a": 0, "b": 1}

    class Evil:
        def __reduce__(self):
            return print, ("this must not run",)

    (folder / "train").write_bytes(pickle.dumps({"data": Evil(), "fine_labels": []}))
    with pytest.raises(ValueError, match="train: not a file of CIFAR: UnpicklingError: .*print has no place"):
        datasets.CIFAR100(tmp_path)
    (folder / "train").write_bytes(b"\x80")
    with pytest.raises(ValueError, match="train: not a file of CIFAR"):
        datasets.CIFAR100(tmp_path)
    with pytest.raises(RuntimeError, match="(?s)downloads nothing.*batches.meta"):
        datasets.CIFAR10(tmp_path, download=True)


def test_fake_data():
    seeded(3)
    data = datasets.FakeData(size=5, image_size=(3, 4, 6), num_classes=7, random_offset=2)
    picture, label = data[1]
    assert rushlight.rand(1).item() == torch.rand(1).item(), "the generator is left alone"
    torch.manual_seed(3)
    pixels = torch.randn(3, 4, 6)
    inside = (pixels > 0) & (pixels < 1)
    assert label == torch.randint(0, 7, (1,))[0].item() and picture.size == (6, 4)
    got = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)
    assert (got[inside] == pixels.mul(255).byte()[inside]).all()
    with pytest.raises(IndexError):
        data[5]


def test_image_folder(tmp_path):
    for name, count in (("dog", 2), ("cat", 1)):
        (tmp_path / name / "deep").mkdir(parents=True)
        for i in range(count):
            image(seed=i).save(tmp_path / name / "deep" / f"{i}.PNG")
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    data = datasets.ImageFolder(str(tmp_path), transform=T.ToTensor())
    assert data.classes == ["cat", "dog"] and data.class_to_idx == {"cat": 0, "dog": 1} and data.targets == [0, 1, 1]
    assert data.imgs is data.samples and data.samples[2][0].endswith("1.PNG")
    same(data[2][0], torch.from_numpy(np.asarray(image(seed=1)).copy()).permute(2, 0, 1) / 255)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="Found no valid file for the classes empty"):
        datasets.ImageFolder(tmp_path)
    assert len(datasets.ImageFolder(tmp_path, allow_empty=True)) == 3
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder"):
        datasets.ImageFolder(tmp_path / "empty")
    texts = datasets.DatasetFolder(tmp_path, loader=lambda path: open(path).read(), extensions=(".txt",), allow_empty=True)
    assert texts[0] == ("no image", 1)


def test_digits():
    whole, train, test = (datasets.Digits(part) for part in (None, True, False))
    assert (len(whole), len(train), len(test)) == (1797, 1438, 359)
    assert whole.data.shape == (1797, 1, 8, 8) and (whole.data.min().item(), whole.data.max().item()) == (0, 1)
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0)).tolist()
    assert train.targets.tolist() + test.targets.tolist() == [whole.targets.tolist()[i] for i in order]
    assert whole[0][0].shape == (1, 8, 8) and whole[0][1] == 0


def test_without_pillow(tmp_path, monkeypatch):
    monkeypatch.setattr(_image, "pillow", lambda: None)
    images = np.arange(2 * 28 * 28).reshape(2, 28, 28) % 256
    write_mnist(tmp_path / "MNIST" / "raw", images, np.zeros(2))
    steps = T.Compose([T.RandomCrop(20, padding=2), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize((0.1,), (0.3,))])
    assert datasets.MNIST(tmp_path)[1][0].tolist() == images[1:].tolist()
    assert datasets.MNIST(tmp_path, transform=steps)[1][0].shape == (1, 20, 20)
    with pytest.raises(ImportError, match="needs Pillow"):
        T.ToPILImage()(rushlight.zeros(1, 2, 2))
    with pytest.raises(ImportError, match="needs Pillow"):
        utils.save_image(rushlight.zeros(1, 2, 2), tmp_path / "a.jpg")


def test_models_say_that_they_are_not_there():
    with pytest.raises(AttributeError, match="resnet18: Rushlight has no ready-made models"):
        tv.models.resnet18
