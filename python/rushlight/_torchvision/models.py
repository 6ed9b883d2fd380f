"""`torchvision.models`: not there."""


def __getattr__(name):
    raise AttributeError(
        f"torchvision.models.{name}: Rushlight has no ready-made models; write the network with torch.nn, and give it weights from a file "
        "with load_state_dict(torch.load(path))"
    )
