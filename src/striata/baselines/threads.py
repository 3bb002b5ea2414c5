"""How many threads a fit has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from threadpoolctl import threadpool_limits

MANY = 10_000  # rows from which on products are worth sharing out


@contextmanager
def threads_for(rows: int, torch: ModuleType | None = None) -> Iterator[None]:
    """One thread while the block runs, where rows are few: a fit on them is thousands of small products, after each of which
    threads wait for one another; on a machine that has other work, that takes many times as long as the products.

    Args:
        rows: that are fitted on.
        torch: the module, where its threads are meant too, beside those of BLAS and OpenMP.
    """
    if rows >= MANY:
        yield
        return
    threads = 0 if torch is None else torch.get_num_threads()
    with threadpool_limits(1):
        try:
            if torch is not None:
                torch.set_num_threads(1)
            yield
        finally:
            if torch is not None:
                torch.set_num_threads(threads)
