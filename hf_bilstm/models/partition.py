"""The partition function of a linear chain: the sum over all paths, and its gradient.

Letters in shape comments: N rows, T tokens, S states.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .recurrence import reversal_index

# Finite, so that differences of forbidden scores are 0 and not NaN; far beyond any sum of scores.
FORBIDDEN = -1e30


def at_last(values: Tensor, lengths: Tensor) -> Tensor:
    """Take from (N, T, ...) values those at each row's last token, (N, ...)."""
    return values[torch.arange(values.shape[0], device=values.device), (lengths - 1).clamp(min=0)]


class _ScaledPartition(torch.autograd.Function):
    """Log of the summed exponentiated scores of all paths, by forward-backward in scaled probability space.

    Both directions are one batched matrix product a step (Rabiner 1989, section V.A for the scaling); the backward
    pass is analytic, since the gradient of the log partition is the expected count of each emission and transition.

    Also returned is the smallest overlap, over all tokens, of the states likely before a token with those likely from
    it on. What underflowed on either side has at most the share `tiny / overlap` of the total, so results are exact
    unless the overlap itself nears the smallest number.
    """

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, start: Tensor, transitions: Tensor, end: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        num_tokens = emissions.shape[1]
        peaks = emissions.amax(dim=2, keepdim=True)  # (N, T, 1)
        scaled = (emissions - peaks).exp()  # (N, T, S)
        reversal = reversal_index(lengths, num_tokens)
        backwards = scaled.gather(1, reversal[:, :, None].expand_as(scaled))
        steps = torch.stack((scaled, backwards)).permute(2, 0, 1, 3).contiguous()  # (T, 2, N, S)
        moves = torch.stack((transitions, transitions.T)).exp()  # (2, S, S)
        incoming = torch.stack((start, end)).exp()[:, None, :].expand(-1, emissions.shape[0], -1)  # (2, N, S)
        smallest_number = torch.finfo(emissions.dtype).tiny
        arrived, reached, norms = [], [], []
        for step in steps:
            arrived.append(incoming)  # before this token's emission
            current = incoming * step
            norm = current.sum(dim=2, keepdim=True).clamp(min=smallest_number)
            current = current / norm
            reached.append(current)
            norms.append(norm)
            incoming = current.bmm(moves)
        alpha, gamma = torch.stack(reached, dim=2)  # each (N, T, S): up to a token, from a token on (reversed rows)
        gamma = gamma.gather(1, reversal[:, :, None].expand_as(gamma))
        real = torch.arange(num_tokens, device=lengths.device) < lengths[:, None]  # (N, T)
        posterior = torch.stack([before[0] for before in arrived], dim=1) * gamma  # up to a token, times from it on
        overlap = posterior.sum(dim=2, keepdim=True).masked_fill(~real[:, :, None], 1.0)  # (N, T, 1)
        log_norms = torch.stack([norm[0] for norm in norms], dim=1).log() + peaks  # (N, T, 1)
        ctx.save_for_backward(posterior / overlap, alpha, gamma / overlap, transitions, lengths, real)
        total = (log_norms.squeeze(2) * real).sum(dim=1)  # (N,)
        total = total + (at_last(alpha, lengths) * end.exp()).sum(dim=1).log()
        smallest = overlap.amin()
        ctx.mark_non_differentiable(smallest)
        return total.masked_fill(lengths == 0, 0.0), smallest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        posterior, alpha, gamma, transitions, lengths, real = ctx.saved_tensors
        weights = (grad[:, None] * real)[:, :, None]  # (N, T, 1)
        by_state = posterior * weights  # (N, T, S)
        # Expected transitions: sum over tokens of before_i * move_ij * after_j over its sum over i and j.
        by_move = transitions.exp() * torch.einsum("nti,ntj->ij", alpha[:, :-1] * weights[:, 1:], gamma[:, 1:])
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
        total, overlap = _ScaledPartition.apply(emissions, start, transitions, end, lengths)
        if not bool(overlap > torch.finfo(emissions.dtype).tiny ** (2 / 3)):  # `not`: so that NaN counts as small
            total = _log_space_partition(emissions, start, transitions, end, lengths)
    return total
