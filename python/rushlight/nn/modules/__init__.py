"""The layers of `torch.nn`, a file for each family."""

from .module import Module
from .linear import Bilinear, Identity, LazyLinear, Linear
from .conv import *
from .activation import *
from .loss import *
from .container import *
from .pooling import *
from .batchnorm import *
from .instancenorm import *
from .normalization import *
from .dropout import *
from .padding import *
from .sparse import *
from .rnn import *
from .pixelshuffle import *
from .upsampling import *
from .distance import *
from .fold import *
from .adaptive import *
from .transformer import *
from .flatten import *
from .channelshuffle import *

from . import module, linear, conv, activation, loss, container, pooling, batchnorm, instancenorm, normalization
from . import dropout, padding, sparse, rnn, pixelshuffle, upsampling, distance, fold, adaptive, transformer
from . import flatten, channelshuffle, utils, lazy

__all__ = ["Module", "Linear", "Bilinear", "Identity", "LazyLinear"] + [
    name
    for family in (
        conv, activation, loss, container, pooling, batchnorm, instancenorm, normalization, dropout, padding, sparse,
        rnn, pixelshuffle, upsampling, distance, fold, adaptive, transformer, flatten, channelshuffle,
    )
    for name in family.__all__
]
