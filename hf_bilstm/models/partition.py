"""The partition function of a linear chain: the sum over all paths, its parts, and its gradient.

Letters in shape comments: N rows, T tokens, S states.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .recurrence import pick
from .rows import is_eager, reversal_index

# Finite, so that differences of forbidden scores are 0 and not NaN; far beyond any sum of scores.
FORBIDDEN = -1e30
# Steps between two divisions by the sum, which keep numbers within their range.
_STRIDE = 8
# Products from which NumPy's BLAS shares a matrix product out among threads, which wait for each other by spinning.
SHARED_OUT = 2**18
# Starts, transitions and ends are brought down until none is above this: what has underflowed must not be made up for.
GREATEST = 4.0


def at_last(values: Tensor, lengths: Tensor) -> Tensor:
    """Take from (N, T, ...) values those at each row's last token, (N, ...)."""
    return values[torch.arange(values.shape[0], device=values.device), (lengths - 1).clamp(min=0)]


class Sums(NamedTuple):
    """Sums over the paths of a batch of chains, in probability, those of a token up to a constant of that token.

    Attributes:
        up_to: (N, T, S) of all paths up to and with each state.
        onwards: (N, T, S) of all paths from each state on.
        posterior: (N, T, S) their product without the state's own score counted twice; not normalised.
        overlap: (N, T, 1) its sum at each token, 1 at padding.
        total: (N,) logarithm of the sum of all paths, 0 for an empty row.
        moves: (S, S) exponentiated transitions, up to a constant, that they are made with.
        is_exact: Whether all of this can be used.
    """

    up_to: Tensor
    onwards: Tensor
    posterior: Tensor
    overlap: Tensor
    total: Tensor
    moves: Tensor
    is_exact: bool


def _is_exact(overlap: Tensor, norms: Tensor, total: Tensor, moves: Tensor) -> bool:
    """Tell whether nothing has overflowed, and nothing that counts has underflowed.

    The overlap is that of the states likely before a token with those likely from it on. What underflowed on either
    side, and was then divided by a norm, has hardly more than the share `tiny / norm / overlap` of the total, as no
    factor is above exp(`GREATEST`); so results are exact unless their product itself nears the smallest number.
    """
    least, most = overlap.aminmax()
    least = least * norms.amin().clamp(max=1.0)
    # Comparisons are such that NaN counts as inexact.
    # Moves that no path takes, those of single tokens, are in none of the sums and yet in the gradient.
    is_finite = (total.sum() + moves.sum()).isfinite()
    return bool((least > torch.finfo(least.dtype).tiny ** (2 / 3)) & (most < torch.inf) & is_finite)


def sum_paths(emissions: Tensor, start: Tensor, transitions: Tensor, end: Tensor, lengths: Tensor) -> Sums:
    """Sum over paths by forward-backward in scaled probability space (Rabiner 1989, section V.A for the scaling).

    Both directions are one batched matrix product a step.

    Args:
        emissions: (N, T, S), right-padded and finite; at least one row and one token.
        start: (S,) scores of starting in each state.
        transitions: (S, S) scores of moving from state i to state j.
        end: (S,) scores of ending in each state.
        lengths: (N,) real tokens of each row.

    Returns:
        The sums, to be used if they are exact.
    """
    num_rows, num_tokens, num_states = emissions.shape
    peaks = emissions.amax(dim=2, keepdim=True)  # (N, T, 1)
    scaled = (emissions - peaks).exp()  # (N, T, S)
    reversal = reversal_index(lengths, num_tokens)
    steps = torch.stack((scaled, pick(scaled, reversal)), dim=1).permute(2, 1, 0, 3).contiguous()  # (T, 2, N, S)
    (start, first), (transitions, between), (end, last) = map(_bring_down, (start, transitions, end))
    moves = torch.stack((transitions, transitions.T)).exp()  # (2, S, S)
    arrived = emissions.new_empty(num_tokens + 1, 2, num_rows, num_states)  # before each token's emission
    arrived[0] = torch.stack((start, end)).exp()[:, None, :]
    reached = torch.empty_like(steps)  # with it
    norms = emissions.new_empty(-(-num_tokens // _STRIDE), 2, num_rows, 1)
    tensors = arrived, steps, reached, moves, norms
    if emissions.device.type == "cpu" and is_eager() and num_rows * num_states**2 < SHARED_OUT:
        _sweep(np, *(tensor.numpy() for tensor in tensors))  # whose calls cost least
    else:
        _sweep(torch, *tensors)
    up_to, onwards = reached.permute(1, 2, 0, 3)  # each (N, T, S), the second of reversed rows
    onwards = pick(onwards, reversal)
    real = torch.arange(num_tokens, device=lengths.device) < lengths[:, None]  # (N, T)
    posterior = arrived[:-1, 0].transpose(0, 1) * onwards
    overlap = posterior.sum(dim=2, keepdim=True).masked_fill(~real[:, :, None], 1.0)  # (N, T, 1)
    total = (peaks.squeeze(2) * real).sum(dim=1)  # (N,)
    norms = norms.squeeze(3).permute(1, 2, 0).masked_fill(~real[:, ::_STRIDE], 1.0)  # (2, N, T / stride)
    total = total + norms[0].log().sum(dim=1)
    total = total + (at_last(up_to, lengths) * end.exp()).sum(dim=1).log()
    total = total + first + between * (lengths - 1) + last
    total = total.masked_fill(lengths == 0, 0.0)
    return Sums(up_to, onwards, posterior, overlap, total, moves[0], _is_exact(overlap, norms, total, moves))


def _sweep(library: Any, arrived: Any, steps: Any, reached: Any, moves: Any, norms: Any) -> None:
    """Walk over the tokens in both directions.

    Args:
        library: `torch` or `numpy`, whose arrays the others are.
        arrived: (T + 1, 2, N, S), the sums before each token's emission; the first are given, the others filled in.
        steps: (T, 2, N, S) exponentiated emissions.
        reached: (T, 2, N, S) to be filled in: the sums with each token's emission.
        moves: (2, S, S) exponentiated transitions.
        norms: (T / stride, 2, N, 1) to be filled in: what sums are divided by at every so many tokens.
    """
    smallest_number = library.finfo(steps.dtype).tiny
    for position, step in enumerate(steps):
        current = reached[position]
        library.multiply(arrived[position], step, out=current)
        if position % _STRIDE == 0:
            norm = current.sum(axis=2, keepdims=True).clip(min=smallest_number)
            current /= norm
            norms[position // _STRIDE] = norm
        library.matmul(current, moves, out=arrived[position + 1])


def _bring_down(scores: Tensor) -> tuple[Tensor, Tensor]:
    above = (scores.max() - GREATEST).clamp(min=0.0)
    return scores - above, above


class _ScaledPartition(torch.autograd.Function):
    """Log of the summed exponentiated scores of all paths, and whether it is exact.

    The backward pass is analytic, since the gradient of the log partition is the expected count of each emission and
    transition.
    """

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, start: Tensor, transitions: Tensor, end: Tensor, lengths: Tensor
    ) -> tuple[Tensor, bool]:
        sums = sum_paths(emissions, start, transitions, end, lengths)
        real = torch.arange(emissions.shape[1], device=lengths.device) < lengths[:, None]  # (N, T)
        ctx.save_for_backward(
            sums.posterior / sums.overlap, sums.up_to, sums.onwards / sums.overlap, sums.moves, lengths, real
        )
        return sums.total, sums.is_exact

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: None) -> tuple[Tensor | None, ...]:
        posterior, up_to, onwards, moves, lengths, real = ctx.saved_tensors
        weights = (grad[:, None] * real)[:, :, None]  # (N, T, 1)
        by_state = posterior * weights  # (N, T, S)
        # Expected transitions: sum over tokens of before_i * move_ij * after_j over its sum over i and j.
        by_move = moves * torch.einsum("nti,ntj->ij", up_to[:, :-1] * weights[:, 1:], onwards[:, 1:])
        first, last = by_state[:, 0], at_last(by_state, lengths)
        return by_state, first.sum(dim=0), by_move, last.sum(dim=0), None


def _log_space_partition(
    emissions: Tensor, start: Tensor, transitions: Tensor, end: Tensor, lengths: Tensor
) -> Tensor:
    """The same quantity in log space, for scores so far apart that probabilities underflow."""
    current = start + emissions[:, 0]  # (N, S)
    reached = [current]
    for emission in emissions.unbind(dim=1)[1:]:
        current = torch.logsumexp(current[:, :, None] + transitions, dim=1) + emission
        reached.append(current)
    last = at_last(torch.stack(reached, dim=1), lengths)
    return torch.logsumexp(last + end, dim=1).masked_fill(lengths == 0, 0.0)


def log_partition(emissions: Tensor, start: Tensor, transitions: Tensor, end: Tensor, lengths: Tensor) -> Tensor:
    """Log of the summed exponentiated scores of all paths, in scaled probability space wherever that is exact.

    Args:
        emissions: (N, T, S), right-padded and finite; at least one row and one token.
        start: (S,) scores of starting in each state.
        transitions: (S, S) scores of moving from state i to state j.
        end: (S,) scores of ending in each state.
        lengths: (N,) real tokens of each row.

    Returns:
        (N,), 0 for an empty row. Differentiable once.
    """
    with torch.autocast(emissions.device.type, enabled=False):
        total, is_exact = _ScaledPartition.apply(emissions, start, transitions, end, lengths)
        if not is_exact:
            total = _log_space_partition(emissions, start, transitions, end, lengths)
    return total
