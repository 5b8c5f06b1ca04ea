"""Multi-head attention whose projections are layers of their own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hwloop.errors import CapabilityError


class Attention(nn.Module):
    """`torch.nn.MultiheadAttention` with four linear layers, so that they can move to an array.

    The products of activations, queries with keys and attention with values, stay digital. It is
    called as torch's module is, and gives what that gives.

    Args:
        dense: the module that it replaces; its weights are copied.
    """

    def __init__(self, dense: nn.MultiheadAttention) -> None:
        super().__init__()
        if dense.bias_k is not None or dense.add_zero_attn:
            raise CapabilityError("attention with add_bias_kv or add_zero_attn is not supported")
        self.embed_dim, self.num_heads = dense.embed_dim, dense.num_heads
        self.dropout, self.batch_first = dense.dropout, dense.batch_first
        # Encoder layers of torch ask for these before they take the weights by themselves.
        self.in_proj_bias, self._qkv_same_embed_dim = None, False
        if dense._qkv_same_embed_dim:
            assert dense.in_proj_weight is not None
            weights = list(dense.in_proj_weight.chunk(3))
        else:
            weights = [dense.q_proj_weight, dense.k_proj_weight, dense.v_proj_weight]
        bias = dense.in_proj_bias
        biases = [None] * 3 if bias is None else list(bias.chunk(3))
        self.q, self.k, self.v = (_linear(w, b) for w, b in zip(weights, biases, strict=True))
        self.o = _linear(dense.out_proj.weight, dense.out_proj.bias)
        self.train(dense.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the attention's output, and its weights if wanted; see `MultiheadAttention`."""
        alone = query.dim() == 2
        if alone:
            query, key, value = query[None], key[None], value[None]
        elif not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        q, k, v = (
            layer(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for layer, x in ((self.q, query), (self.k, key), (self.v, value))
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        if attn_mask is not None:
            mask = _additive(attn_mask, scores)
            scores = scores + (mask.view_as(scores) if mask.dim() == 3 else mask)
        elif is_causal:
            causal = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device)
            scores = scores + _additive(causal.triu(1), scores)
        if key_padding_mask is not None:
            padding = key_padding_mask[None] if alone else key_padding_mask
            scores = scores + _additive(padding, scores)[:, None, None]
        attention = scores.softmax(dim=-1)
        attention = nn.functional.dropout(attention, self.dropout, self.training)
        y: Tensor = self.o((attention @ v).transpose(1, 2).flatten(2))
        weights = attention.mean(dim=1) if average_attn_weights else attention
        if alone:
            y, weights = y[0], weights[0]
        elif not self.batch_first:
            y = y.transpose(0, 1)
        return y, weights if need_weights else None


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """Return a linear layer with copies of weights."""
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs, bias is not None, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.weight.requires_grad_(weight.requires_grad)
        if bias is not None:
            layer.bias.copy_(bias)
            layer.bias.requires_grad_(bias.requires_grad)
    return layer


def _additive(mask: Tensor, scores: Tensor) -> Tensor:
    """Return a mask as what is added to scores: a boolean one is True where nothing is seen."""
    if mask.dtype != torch.bool:
        return mask.to(scores)
    return torch.zeros_like(mask, dtype=scores.dtype).masked_fill(mask, -math.inf)
