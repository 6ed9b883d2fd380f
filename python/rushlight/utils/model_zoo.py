"""`torch.utils.model_zoo`: the old name of what `torch.hub` cannot do here either."""

from ..hub import load_state_dict_from_url as load_url  # noqa: F401
