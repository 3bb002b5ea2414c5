"""Memory that is freed and asked for again at every layer stays with the process."""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # glibc's malloc.h


@cache
def keep_freed_memory() -> bool:
    """Makes glibc reuse large blocks instead of giving them back to the kernel; once per process.

    By default a large block, such as a hidden tensor of a stack, is mapped anew each time and zeroed page by page: an addition of
    two of them then takes ten times as long as the addition itself.

    Returns:
        Whether it could be set; False on systems without glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, -1))
