"""The engine: one frozen encoder, a stream of tokens without padding, a stack of members on it."""

from .batch import Batch, Segment, collate, on_device, on_host
from .dropout import Draws, seed_of
from .embedding import embed
from .encoder import Encoder
from .receipt import Receipt, check_receipt, read_receipt
from .stack import Stack

__all__ = [
    "Batch", "Draws", "Encoder", "Receipt", "Segment", "Stack", "check_receipt", "collate", "embed", "on_device",
    "on_host", "read_receipt", "seed_of",
]  # fmt: skip
