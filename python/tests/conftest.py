"""What all tests share: live PyTorch as the oracle where it is installed, and one thread, so that its sums do not depend on the machine."""

import pytest
import rushlight

try:
    import torch
except ImportError:
    torch = None
else:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fresh_state():
    """Every test starts from seed 0 and leaves settings as they were."""
    dtype = rushlight.get_default_dtype()
    rushlight.manual_seed(0)
    if torch is not None:
        torch.manual_seed(0)
    yield
    rushlight.set_default_dtype(dtype)
    if torch is not None:
        torch.set_default_dtype(torch.float32)
