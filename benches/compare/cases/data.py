"""Feeding a training loop."""

from compare.registry import Group

data = Group("data")


def images(torch):
    return torch.utils.data.TensorDataset(torch.randn(4096, 1, 28, 28), torch.randint(0, 10, (4096,)))


def drain(loader):
    for _ in loader:
        pass


@data.case("DataLoader over 4096 images of 28x28, b64, {0}", "in order", "shuffled")
def loader(torch, order):
    made = torch.utils.data.DataLoader(images(torch), batch_size=64, shuffle=order == "shuffled")
    return lambda: drain(made)


@data.case("default_collate of 64 images and labels")
def collate(torch):
    samples = [(torch.randn(1, 28, 28), i) for i in range(64)]
    return lambda: torch.utils.data.default_collate(samples)


@data.case("random_split and one pass over both parts")
def split(torch):
    whole = torch.utils.data.TensorDataset(torch.randn(1024, 16), torch.randint(0, 10, (1024,)))

    def run():
        for part in torch.utils.data.random_split(whole, [768, 256]):
            drain(torch.utils.data.DataLoader(part, batch_size=64, shuffle=True))

    return run
