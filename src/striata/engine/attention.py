"""Attention over sequences that lie behind one another without padding.

Sequences of near-equal length form a bucket, and each bucket is three small batched products. On a CPU this is several times as
fast, forward and backward, as `scaled_dot_product_attention` in bf16.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .forward_pass import ForwardPass, current_pass
from .fused import fused_attention
from .masks import apply_dropout, draw_row_mask, drop_count, pass_from
from .packing import Bucket

IMPLEMENTATION = "striata_packed"


def _rows_of(bucket: Bucket, x: Tensor, heads: int) -> Tensor:
    """A bucket's part of (places * heads, size), as (rows * heads, length, size)."""
    start, count = bucket.first * heads, bucket.rows * heads
    return x[start : start + count * bucket.length].view(count, bucket.length, x.shape[1])


def _mask(bucket: Bucket, heads: int, p: float, running: ForwardPass, layer: int) -> Tensor:
    """Mask of a bucket's attention probabilities, each member's rows from its own stream."""
    size = heads * bucket.length * bucket.length
    if running.pool is None:
        mask = draw_row_mask(running.streams, bucket.members, size, p)
    else:
        name = f"attention {bucket.length}"
        mask = running.pool.take(name, name, layer, bucket.members, size, together=4) >= pass_from(p)
    return mask.view(bucket.rows * heads, bucket.length, bucket.length)


def _without_padding(scores: Tensor, bucket: Bucket, heads: int, window: int | None) -> Tensor:
    """Scores (rows * heads, length, length) without padding and what is outside the window, in place."""
    if bucket.bias is not None:
        scores.view(bucket.rows, heads, bucket.length, bucket.length).add_(bucket.bias)
    if window is not None and bucket.length > window:
        place = torch.arange(bucket.length, device=scores.device)
        scores.masked_fill_((place[:, None] - place).abs() >= window, float("-inf"))
        if bucket.bias is not None:  # rows of padding far from any token would be all -inf, hence NaN
            scores.nan_to_num_(neginf=torch.finfo(scores.dtype).min)
    return scores


class _PackedAttention(torch.autograd.Function):
    """q, k, v (tokens, heads, size) -> (tokens, heads, size); probabilities are saved for the way back.

    Every head of every token is copied once into its bucket's place, so that the products need no copies of their own.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, running: ForwardPass, scale: float, p: float, window: int | None
    ) -> Tensor:
        packing, (_, heads, size) = running.packing, q.shape
        assert packing is not None
        places = packing.places(heads)
        q, k, v = (x.reshape(-1, size).index_select(0, places.gather) for x in (q, k, v))
        q.mul_(scale)
        out, saved = torch.empty_like(q), []
        layer = running.pool.visit("attention") if running.pool is not None else 0
        for bucket in packing.buckets:
            bucket_q, bucket_k, bucket_v, target = (_rows_of(bucket, x, heads) for x in (q, k, v, out))
            scores = _without_padding(torch.bmm(bucket_q, bucket_k.transpose(1, 2)), bucket, heads, window)
            weights = probabilities = torch.softmax(scores, -1)
            mask = None
            if running.streams and drop_count(p):
                mask = _mask(bucket, heads, p, running, layer)
                weights = apply_dropout(probabilities, mask, p)
            torch.bmm(weights, bucket_v, out=target)
            saved += [probabilities, mask]
        ctx.save_for_backward(q, k, v, *saved)
        ctx.packing, ctx.heads, ctx.scale, ctx.p = packing, heads, scale, p
        return out.index_select(0, places.scatter).view(-1, heads, size)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *saved = ctx.saved_tensors
        packing, heads = ctx.packing, ctx.heads
        places = packing.places(heads)
        grad_out = grad.reshape(-1, q.shape[1]).index_select(0, places.gather)
        if places.padding is not None:  # padding points at a real token, whose gradient must not count twice
            grad_out.index_fill_(0, places.padding, 0)
        grads = [torch.empty_like(x) for x in (q, k, v)]
        for bucket, probabilities, mask in zip(packing.buckets, saved[::2], saved[1::2], strict=True):
            bucket_q, bucket_k, bucket_v, bucket_grad = (_rows_of(bucket, x, heads) for x in (q, k, v, grad_out))
            grad_q, grad_k, grad_v = (_rows_of(bucket, x, heads) for x in grads)
            grad_weights, weights = torch.bmm(bucket_grad, bucket_v.transpose(1, 2)), probabilities
            if mask is not None:
                weights = apply_dropout(probabilities, mask, ctx.p)
                grad_weights = apply_dropout(grad_weights, mask, ctx.p)
            torch.bmm(weights.transpose(1, 2), bucket_grad, out=grad_v)
            grad_scores = torch._softmax_backward_data(grad_weights, probabilities, -1, probabilities.dtype)
            torch.bmm(grad_scores, bucket_k, out=grad_q)
            torch.bmm(grad_scores.transpose(1, 2), bucket_q, out=grad_k)
        grads[0].mul_(ctx.scale)
        return *(x.index_select(0, places.scatter).view_as(grad) for x in grads), None, None, None, None


def _attention_of_one(query: Tensor, key: Tensor, value: Tensor, scale: float | None, window: int | None) -> Tensor:
    """Of one sequence, without dropout: (1, heads, tokens, size) -> (1, tokens, heads, size)."""
    near = None
    if window is not None and query.shape[2] > window:
        place = torch.arange(query.shape[2], device=query.device)
        near = (place[:, None] - place).abs() < window
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=near, scale=scale).transpose(1, 2)


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """An attention function for transformers' `AttentionInterface`.

    Args:
        module: the attention module; unused.
        query: (1, heads, tokens, size).
        key: (1, heads, tokens, size).
        value: (1, heads, tokens, size).
        attention_mask: unused, there is no padding.
        dropout: share of the probabilities dropped in a pass that has random streams, whatever the module's own mode.
        scaling: factor of the scores; 1/sqrt(size) by default.
        sliding_window: a token sees those less than this far away; None for all.

    Returns:
        (1, tokens, heads, size), and None in place of the probabilities.
    """
    running = current_pass()
    if running.packing is None and running.sequences is None:
        return _attention_of_one(query, key, value, scaling, sliding_window), None
    q, k, v = (x.transpose(1, 2).squeeze(0) for x in (query, key, value))  # x[0] would copy its gradient into zeros
    scale = q.shape[-1] ** -0.5 if scaling is None else scaling
    if running.sequences is not None:
        layer = running.pool.visit("attention") if running.pool is not None else 0
        p = dropout if running.streams else 0.0
        out = fused_attention(q, k, v, running.sequences, layer=layer, scale=scale, dropout=p, window=sliding_window)
        return out[None], None
    out = _PackedAttention.apply(q, k, v, running, scale, dropout, sliding_window)  # type: ignore[no-untyped-call]
    return out[None], None
