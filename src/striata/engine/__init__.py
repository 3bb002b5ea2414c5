"""The engine: one frozen encoder, a stream of tokens without padding, a stack of members on it."""

from .batch import Batch, Segment, collate, on_device, on_host
from .embedding import embed, embed_words
from .encoder import Encoder
from .head import mean_pool
from .interface import Engine
from .loading import choose_device
from .masked_head import MaskedHead
from .random_streams import RandomStream, seed_of
from .receipt import Receipt, check_receipt
from .sharing import share_weights
from .stack import Stack

__all__ = [
    "Batch", "Encoder", "Engine", "MaskedHead", "RandomStream", "Receipt", "Segment", "Stack", "check_receipt", "choose_device",
    "collate", "embed", "embed_words", "mean_pool", "on_device", "on_host", "seed_of", "share_weights",
]  # fmt: skip
