"""Kernels for GPUs, in Triton: attention over packed sequences, and random bits of all members at once.

On a GPU the number of launches is what costs. Attention is one launch forward and two backward, for any number of lengths and
of members, and nothing of the size of its probabilities is written down: the way back computes them again (FlashAttention;
Dao 2023, arXiv:2307.08691). Random bits are a function of the member's seed, the place and the element (Philox; Salmon et al.
2011), so that neither the neighbours in a stack nor the order of computation matter, and the way back makes the same ones.
There are no atomic additions: equal inputs give equal bits.

Triton comes with torch for Linux and CUDA. It compiles a kernel when it is first needed, for which it wants a C compiler:
:mod:`striata.engine.fused` asks whether all of that is there.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_ROUNDS = tl.constexpr(7)  # of Philox: the fewest that pass all of TestU01's BigCrush
_LOG2E = tl.constexpr(1.4426950408889634)  # scores are kept as logarithms to base 2
COLUMNS = 5  # of a table of blocks


@triton.jit
def _stays(seed, rows, columns, place, number, drop):
    """Whether dropout lets an element of the probabilities stay; rows and columns broadcast against each other."""
    zeros = rows * 0 + columns * 0
    bits, _, _, _ = tl.philox(seed, zeros + rows, zeros + columns, zeros + place, zeros + number, n_rounds=_ROUNDS)
    return (bits >> 16).to(tl.int32) >= drop


@triton.jit
def _seen(rows, columns, length, window, WINDOW: tl.constexpr):
    """Which columns a row attends to."""
    inside = (rows < length) & (columns < length)
    if WINDOW:
        inside = inside & (rows - columns < window) & (columns - rows < window)
    return inside


@triton.jit
def _range(first, length, window, BLOCK: tl.constexpr, WINDOW: tl.constexpr):
    """Begin and end of the other axis that a block has to look at."""
    low, high = first * 0, length
    if WINDOW:
        low = tl.maximum(first - window + 1, 0) // BLOCK * BLOCK
        high = tl.minimum(length, first + BLOCK + window - 1)
    return low, high


@triton.jit
def _rows(x, start, rows, length, head, heads, SIZE: tl.constexpr, PADDED: tl.constexpr):
    """Rows of a head of (tokens, heads, size), zeros beyond the sequence."""
    dims = tl.arange(0, PADDED)
    at = ((start + rows)[:, None] * heads + head) * SIZE + dims[None, :]
    return tl.load(x + at, mask=(rows < length)[:, None] & (dims < SIZE)[None, :], other=0.0)


@triton.jit
def _write(x, values, start, rows, length, head, heads, SIZE: tl.constexpr, PADDED: tl.constexpr):
    dims = tl.arange(0, PADDED)
    at = ((start + rows)[:, None] * heads + head) * SIZE + dims[None, :]
    tl.store(x + at, values.to(x.dtype.element_ty), mask=(rows < length)[:, None] & (dims < SIZE)[None, :])


@triton.jit
def _block(table, BLOCK: tl.constexpr, COLUMNS: tl.constexpr):
    """Of this program's block: first token of its sequence, the sequence's length, the block's rows, seed and number."""
    entry = table + tl.program_id(0) * COLUMNS
    first = tl.load(entry + 2).to(tl.int32)
    rows = first + tl.arange(0, BLOCK)
    length, number = tl.load(entry + 1).to(tl.int32), tl.load(entry + 4).to(tl.int32)
    return tl.load(entry), length, first, rows, tl.load(entry + 3), number


@triton.jit(do_not_specialize=["layer", "drop", "window"])
def _forward(
    q, k, v, out, normalizer, table, scale, layer, drop, inverse, window, heads,
    SIZE: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr, COLUMNS: tl.constexpr,
    DROP: tl.constexpr, WINDOW: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    start, length, first, rows, seed, number = _block(table, BLOCK, COLUMNS)
    head = tl.program_id(1)
    block_q = _rows(q, start, rows, length, head, heads, SIZE, PADDED)
    highest = tl.full((BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    result = tl.zeros((BLOCK, PADDED), tl.float32)
    low, high = _range(first, length, window, BLOCK, WINDOW)
    for begin in range(low, high, BLOCK):
        columns = begin + tl.arange(0, BLOCK)
        block_k = _rows(k, start, columns, length, head, heads, SIZE, PADDED)
        scores = tl.dot(block_q, tl.trans(block_k), input_precision=PRECISION) * scale
        scores = tl.where(_seen(rows[:, None], columns[None, :], length, window, WINDOW), scores, float("-inf"))
        above = tl.maximum(highest, tl.max(scores, 1))
        finite = tl.where(above == float("-inf"), 0.0, above)  # a row that sees none of these columns
        earlier = tl.exp2(highest - finite)
        weights = tl.exp2(scores - finite[:, None])
        total = total * earlier + tl.sum(weights, 1)
        if DROP:
            weights = tl.where(_stays(seed, rows[:, None], columns[None, :], layer * heads + head, number, drop), weights, 0.0)
        block_v = _rows(v, start, columns, length, head, heads, SIZE, PADDED)
        result = result * earlier[:, None] + tl.dot(weights.to(block_v.dtype), block_v, input_precision=PRECISION)
        highest = above
    total = tl.where(rows < length, total, 1.0)
    _write(out, result * (inverse / total)[:, None], start, rows, length, head, heads, SIZE, PADDED)
    tl.store(normalizer + (start + rows) * heads + head, highest + tl.log2(total), mask=rows < length)


@triton.jit(do_not_specialize=["layer", "drop", "window"])
def _backward_queries(
    q, k, v, out, grad, normalizer, delta, grad_q, table, scale, layer, drop, inverse, window, heads,
    SIZE: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr, COLUMNS: tl.constexpr,
    DROP: tl.constexpr, WINDOW: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    start, length, first, rows, seed, number = _block(table, BLOCK, COLUMNS)
    head = tl.program_id(1)
    block_q = _rows(q, start, rows, length, head, heads, SIZE, PADDED)
    block_grad = _rows(grad, start, rows, length, head, heads, SIZE, PADDED)
    block_out = _rows(out, start, rows, length, head, heads, SIZE, PADDED)
    at = (start + rows) * heads + head
    norm = tl.load(normalizer + at, mask=rows < length, other=0.0)
    share = tl.sum(block_out.to(tl.float32) * block_grad.to(tl.float32), 1)
    tl.store(delta + at, share, mask=rows < length)
    result = tl.zeros((BLOCK, PADDED), tl.float32)
    low, high = _range(first, length, window, BLOCK, WINDOW)
    for begin in range(low, high, BLOCK):
        columns = begin + tl.arange(0, BLOCK)
        block_k = _rows(k, start, columns, length, head, heads, SIZE, PADDED)
        block_v = _rows(v, start, columns, length, head, heads, SIZE, PADDED)
        scores = tl.dot(block_q, tl.trans(block_k), input_precision=PRECISION) * scale
        seen = _seen(rows[:, None], columns[None, :], length, window, WINDOW)
        weights = tl.exp2(tl.where(seen, scores - norm[:, None], float("-inf")))
        grad_weights = tl.dot(block_grad, tl.trans(block_v), input_precision=PRECISION)
        if DROP:
            stays = _stays(seed, rows[:, None], columns[None, :], layer * heads + head, number, drop)
            grad_weights = tl.where(stays, grad_weights * inverse, 0.0)
        grad_scores = weights * (grad_weights - share[:, None])
        result += tl.dot(grad_scores.to(block_k.dtype), block_k, input_precision=PRECISION)
    _write(grad_q, result * (scale / _LOG2E), start, rows, length, head, heads, SIZE, PADDED)


@triton.jit(do_not_specialize=["layer", "drop", "window"])
def _backward_keys(
    q, k, v, grad, normalizer, delta, grad_k, grad_v, table, scale, layer, drop, inverse, window, heads,
    SIZE: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr, COLUMNS: tl.constexpr,
    DROP: tl.constexpr, WINDOW: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    start, length, first, columns, seed, number = _block(table, BLOCK, COLUMNS)
    head = tl.program_id(1)
    block_k = _rows(k, start, columns, length, head, heads, SIZE, PADDED)
    block_v = _rows(v, start, columns, length, head, heads, SIZE, PADDED)
    sum_k = tl.zeros((BLOCK, PADDED), tl.float32)
    sum_v = tl.zeros((BLOCK, PADDED), tl.float32)
    low, high = _range(first, length, window, BLOCK, WINDOW)
    for begin in range(low, high, BLOCK):
        rows = begin + tl.arange(0, BLOCK)
        block_q = _rows(q, start, rows, length, head, heads, SIZE, PADDED)
        block_grad = _rows(grad, start, rows, length, head, heads, SIZE, PADDED)
        at = (start + rows) * heads + head
        norm = tl.load(normalizer + at, mask=rows < length, other=0.0)
        share = tl.load(delta + at, mask=rows < length, other=0.0)
        scores = tl.dot(block_k, tl.trans(block_q), input_precision=PRECISION) * scale  # (columns, rows)
        seen = _seen(rows[None, :], columns[:, None], length, window, WINDOW)
        weights = tl.exp2(tl.where(seen, scores - norm[None, :], float("-inf")))
        grad_weights = tl.dot(block_v, tl.trans(block_grad), input_precision=PRECISION)
        dropped = weights
        if DROP:
            stays = _stays(seed, rows[None, :], columns[:, None], layer * heads + head, number, drop)
            dropped = tl.where(stays, weights * inverse, 0.0)
            grad_weights = tl.where(stays, grad_weights * inverse, 0.0)
        sum_v += tl.dot(dropped.to(block_grad.dtype), block_grad, input_precision=PRECISION)
        grad_scores = weights * (grad_weights - share[None, :])
        sum_k += tl.dot(grad_scores.to(block_q.dtype), block_q, input_precision=PRECISION)
    _write(grad_k, sum_k * (scale / _LOG2E), start, columns, length, head, heads, SIZE, PADDED)
    _write(grad_v, sum_v, start, columns, length, head, heads, SIZE, PADDED)


@triton.jit(do_not_specialize=["place"])
def _bits(out, seeds, numbers, place, words, WORDS: tl.constexpr):
    """One row of random bits, `words` groups of 128."""
    row = tl.program_id(0)
    at = tl.arange(0, WORDS)
    number = tl.load(numbers + row).to(tl.int32)
    a, b, c, d = tl.philox(tl.load(seeds + row), at, at * 0 + number, at * 0 + place, at * 0 - 1, n_rounds=_ROUNDS)
    to = out + (row.to(tl.int64) * words + at) * 4
    tl.store(to, a.to(tl.int32, bitcast=True), mask=at < words)
    tl.store(to + 1, b.to(tl.int32, bitcast=True), mask=at < words)
    tl.store(to + 2, c.to(tl.int32, bitcast=True), mask=at < words)
    tl.store(to + 3, d.to(tl.int32, bitcast=True), mask=at < words)


def block_of(q: Tensor) -> int:
    """Rows of a sequence that one program of the attention has; several blocks of them have to lie in a GPU's shared memory."""
    size = q.shape[2] * q.element_size()
    return 64 if size <= 128 else 32 if size <= 256 else 16


def _settings(q: Tensor, drop: int, window: int | None) -> dict[str, Any]:
    size = q.shape[2]
    return {
        "SIZE": size,
        "PADDED": max(16, triton.next_power_of_2(size)),
        "BLOCK": block_of(q),
        "COLUMNS": COLUMNS,
        "DROP": drop > 0,
        "WINDOW": window is not None,
        "PRECISION": "ieee" if q.dtype == torch.float32 else "tf32",
    }


def attend(
    q: Tensor, k: Tensor, v: Tensor, table: Tensor, *, scale: float, layer: int, drop: int, inverse: float, window: int | None
) -> tuple[Tensor, Tensor]:
    """Attention within the sequences that lie behind one another on the token axis.

    Args:
        q: (tokens, heads, size), contiguous, as are the others.
        k: (tokens, heads, size).
        v: (tokens, heads, size).
        table: (blocks, 5) int64: first token and length of a block's sequence, the block's first row in it, the seed of the
            member, and the sequence's number within the member.
        scale: factor of the scores.
        layer: which of the encoder's attentions it is.
        drop: of 65,536 probabilities, how many are dropped.
        inverse: what those that stay are multiplied by.
        window: a token sees those less than this far away; None for all.

    Returns:
        (tokens, heads, size), and for the way back the logarithms of the sums of the probabilities, (tokens, heads) float32.
    """
    out = torch.empty_like(q)
    normalizer = torch.empty(q.shape[:2], dtype=torch.float32, device=q.device)
    grid = (len(table), q.shape[1])
    rest = (table, scale * _LOG2E.value, layer, drop, inverse, window or 0, q.shape[1])
    with torch.cuda.device_of(q):  # Triton launches on the current device, whatever the tensors' is
        _forward[grid](q, k, v, out, normalizer, *rest, **_settings(q, drop, window))
    return out, normalizer


def attend_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, normalizer: Tensor, table: Tensor,
    *, scale: float, layer: int, drop: int, inverse: float, window: int | None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of :func:`attend` for q, k and v, from that of its result; the other arguments are those of the way there."""
    grad_q, grad_k, grad_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    delta = torch.empty_like(normalizer)
    grid, settings = (len(table), q.shape[1]), _settings(q, drop, window)
    rest = (table, scale * _LOG2E.value, layer, drop, inverse, window or 0, q.shape[1])
    with torch.cuda.device_of(q):
        _backward_queries[grid](q, k, v, out, grad, normalizer, delta, grad_q, *rest, **settings)
        _backward_keys[grid](q, k, v, grad, normalizer, delta, grad_k, grad_v, *rest, **settings)
    return grad_q, grad_k, grad_v


def random_bits(seeds: Tensor, numbers: Tensor, place: int, width: int) -> Tensor:
    """Uniform int16 (rows, width), which depend on a row's seed and number, the place and the column only.

    Args:
        seeds: of the rows, (rows,) int64.
        numbers: of the rows, (rows,) int64.
        place: what the bits are for, less than 2**31.
        width: columns.
    """
    words = -(-width // 8)
    out = torch.empty(len(seeds), 4 * words, dtype=torch.int32, device=seeds.device)
    with torch.cuda.device_of(seeds):
        _bits[(len(seeds),)](out, seeds, numbers, place, words, WORDS=triton.next_power_of_2(words))
    return out.view(torch.int16)[:, :width]
