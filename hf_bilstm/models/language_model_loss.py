"""The loss of language models over one table of tokens: cross-entropy over all tokens, or over some drawn for a batch.

Letters in shape comments: N predictions, V tokens of the vocabulary, K tokens drawn, E size of an embedding.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

# Predictions whose scores over the vocabulary are in memory at once.
_CHUNK = 256
_SMALLEST = torch.finfo(torch.float32).tiny  # a probability whose logarithm is finite


def token_losses(states: Tensor, table: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Sum the cross-entropy of predictions over the whole vocabulary.

    In training no scores are kept: the forward pass computes the gradients as well, some predictions at a time, and
    multiplies in bfloat16 where the device does that fast (CPUs with AMX, GPUs); sums are in float32. Without
    gradients all is in float32.

    Args:
        states: (N, E) float32, what predicts.
        table: (V, E) the tokens' vectors.
        bias: (V,).
        targets: (N,) ids.

    Returns:
        (), the sum of -log softmax(states table^T + bias)[target].
    """
    if torch.is_grad_enabled():
        return _TokenLosses.apply(states, table, bias, targets)
    pieces = zip(states.split(_CHUNK), targets.split(_CHUNK), strict=True)
    losses = [nn.functional.cross_entropy(some @ table.T + bias, wanted, reduction="sum") for some, wanted in pieces]
    return torch.stack(losses).sum() if losses else states.new_zeros(())


class _TokenLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, table: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        dtype = _product_dtype(states.device)
        small_table, small_bias, small_states = table.to(dtype), bias.to(dtype), states.to(dtype)
        total = states.new_zeros(())
        d_states, d_table, d_bias = torch.empty_like(states), torch.zeros_like(table), torch.zeros_like(bias)
        for first in range(0, len(targets), _CHUNK):
            cut = slice(first, first + _CHUNK)
            wanted = targets[cut, None]
            scores = torch.addmm(small_bias, small_states[cut], small_table.T)  # (N, V)
            slope = scores.softmax(dim=1, dtype=torch.float32)
            total -= slope.gather(1, wanted).clamp_(min=_SMALLEST).log_().sum()
            slope.scatter_add_(1, wanted, slope.new_full(wanted.shape, -1.0))  # d loss / d score
            d_bias += slope.sum(dim=0)
            small_slope = slope.to(dtype)
            d_states[cut] = small_slope @ small_table
            d_table += small_slope.T @ small_states[cut]
        ctx.save_for_backward(d_states, d_table, d_bias)
        return total

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        d_states, d_table, d_bias = ctx.saved_tensors
        return d_states * slope, d_table * slope, d_bias * slope, None


def _product_dtype(device: torch.device) -> torch.dtype:
    is_fast = torch.cpu._is_amx_tile_supported() if device.type == "cpu" else device.type == "cuda"
    return torch.bfloat16 if is_fast else torch.float32


def sampled_token_losses(states: Tensor, table: Tensor, bias: Tensor, targets: Tensor, num_samples: int) -> Tensor:
    """Sum the cross-entropy of predictions over their targets and tokens drawn for all of them (Jean et al. 2015).

    Tokens are drawn log-uniformly, which is close to their frequencies because ids go by frequency, and a score is
    lowered by the logarithm of how often its token is expected, so that the gradient is about that of all tokens.

    Args:
        states: (N, E), what predicts.
        table: (V, E) the tokens' vectors.
        bias: (V,).
        targets: (N,) ids.
        num_samples: K.

    Returns:
        (), the sum.
    """
    size = len(table)
    draws = torch.rand(num_samples, device=targets.device)
    sampled = (torch.exp(draws * math.log(size + 1)) - 1).long().clamp(max=size - 1)  # (K,)

    def expected(ids: Tensor) -> Tensor:
        share = torch.log1p(1 / (ids + 1.0)) / math.log(size + 1)
        return torch.log(num_samples * share)

    right = (states * table[targets]).sum(dim=1) + bias[targets] - expected(targets)  # (N,)
    wrong = states @ table[sampled].T + bias[sampled] - expected(sampled)  # (N, K)
    wrong = wrong.masked_fill(sampled == targets[:, None], -math.inf)
    return (torch.logsumexp(torch.cat((right[:, None], wrong), dim=1), dim=1) - right).sum()
