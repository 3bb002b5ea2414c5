"""Frozen weights of several encoders in memory once."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from .encoder import Encoder


def share_weights(encoders: Iterable[Encoder]) -> int:
    """Lets equal frozen parameters of encoders lie in memory once. Parameters that train, and buffers, are left alone.

    Args:
        encoders: whose weights nobody writes to.

    Returns:
        Bytes that are no longer needed.
    """
    shared: dict[tuple[object, ...], list[Tensor]] = {}
    saved = 0
    for encoder in encoders:
        for parameter in encoder.model.parameters():
            if parameter.requires_grad:
                continue
            alike = shared.setdefault((parameter.shape, parameter.dtype, parameter.device), [])
            twin = next((other for other in alike if torch.equal(other, parameter)), None)
            if twin is None:
                alike.append(parameter.data)
            elif twin.data_ptr() != parameter.data_ptr():
                parameter.data = twin
                saved += twin.nbytes
    return saved
