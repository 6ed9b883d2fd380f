"""`torch.hub`: Rushlight downloads nothing, so that loading from a hub raises RuntimeError; the folder of local files is kept."""

from ._standin import refuse

_folder = None


def get_dir():
    """Returns the folder for models that were downloaded: what `set_dir` set, else `$TORCH_HOME/hub`, else `~/.cache/torch/hub`."""
    import os

    if _folder is not None:
        return _folder
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.join(os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))), "hub")


def set_dir(d):
    """Sets the folder that `get_dir` returns."""
    import os

    global _folder
    _folder = os.path.expanduser(d)


refuse(
    globals(),
    "Rushlight downloads nothing: fetch the file yourself and read it with torch.load",
    functions="download_url_to_file help list load load_state_dict_from_url".split(),
)
