"""The engine: one frozen encoder, a stream of tokens without padding, a stack of members on it."""

from .batch import Batch, Segment, collate, on_device, on_host
from .embedding import embed
from .encoder import Encoder
from .loading import choose_device
from .random_streams import RandomStream, seed_of
from .receipt import Receipt, check_receipt, read_receipt
from .stack import Stack

__all__ = [
    "Batch", "Encoder", "RandomStream", "Receipt", "Segment", "Stack", "check_receipt", "choose_device", "collate", "embed",
    "on_device", "on_host", "read_receipt", "seed_of",
]  # fmt: skip
