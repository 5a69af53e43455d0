"""The partition function of a linear chain: the sum over all paths, its parts, and its gradient.

Letters in shape comments: N rows, T tokens, S states.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .recurrence import reversal_index

# Finite, so that differences of forbidden scores are 0 and not NaN; far beyond any sum of scores.
FORBIDDEN = -1e30


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
    """

    up_to: Tensor
    onwards: Tensor
    posterior: Tensor
    overlap: Tensor
    total: Tensor

    def are_exact(self) -> bool:
        """Tell whether nothing that counts has underflowed.

        The overlap is that of the states likely before a token with those likely from it on. What underflowed on
        either side has at most the share `tiny / overlap` of the total, so results are exact unless the overlap itself
        nears the smallest number.
        """
        # The comparison is such that NaN counts as small.
        return bool(self.overlap.amin() > torch.finfo(self.overlap.dtype).tiny ** (2 / 3))


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
        The sums, to be used if they `are_exact`.
    """
    num_tokens = emissions.shape[1]
    peaks = emissions.amax(dim=2, keepdim=True)  # (N, T, 1)
    scaled = (emissions - peaks).exp()  # (N, T, S)
    reversal = reversal_index(lengths, num_tokens)[:, :, None].expand_as(scaled)
    steps = torch.stack((scaled, scaled.gather(1, reversal))).permute(2, 0, 1, 3).contiguous()  # (T, 2, N, S)
    moves = torch.stack((transitions, transitions.T)).exp()  # (2, S, S)
    incoming = torch.stack((start, end)).exp()[:, None, :].expand(-1, emissions.shape[0], -1)  # (2, N, S)
    smallest_number = torch.finfo(emissions.dtype).tiny
    arrived, reached, norms = [], [], []
    for step in steps:
        arrived.append(incoming[0])  # before this token's emission
        current = incoming * step
        norm = current.sum(dim=2, keepdim=True).clamp(min=smallest_number)
        current = current / norm
        reached.append(current)
        norms.append(norm[0])
        incoming = current.bmm(moves)
    up_to, onwards = torch.stack(reached, dim=2)  # each (N, T, S), the second of reversed rows
    onwards = onwards.gather(1, reversal)
    real = torch.arange(num_tokens, device=lengths.device) < lengths[:, None]  # (N, T)
    posterior = torch.stack(arrived, dim=1) * onwards
    overlap = posterior.sum(dim=2, keepdim=True).masked_fill(~real[:, :, None], 1.0)  # (N, T, 1)
    log_norms = torch.stack(norms, dim=1).log() + peaks  # (N, T, 1)
    total = (log_norms.squeeze(2) * real).sum(dim=1)  # (N,)
    total = total + (at_last(up_to, lengths) * end.exp()).sum(dim=1).log()
    return Sums(up_to, onwards, posterior, overlap, total.masked_fill(lengths == 0, 0.0))


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
            sums.posterior / sums.overlap, sums.up_to, sums.onwards / sums.overlap, transitions, lengths, real
        )
        return sums.total, sums.are_exact()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: None) -> tuple[Tensor | None, ...]:
        posterior, up_to, onwards, transitions, lengths, real = ctx.saved_tensors
        weights = (grad[:, None] * real)[:, :, None]  # (N, T, 1)
        by_state = posterior * weights  # (N, T, S)
        # Expected transitions: sum over tokens of before_i * move_ij * after_j over its sum over i and j.
        by_move = transitions.exp() * torch.einsum("nti,ntj->ij", up_to[:, :-1] * weights[:, 1:], onwards[:, 1:])
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


def log_onwards(emissions: Tensor, transitions: Tensor, end: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Logarithms of the sums of what may come from each state on, and after it, in log space.

    Args:
        emissions: (N, T, S), right-padded and finite; at least one row and one token.
        transitions: (S, S).
        end: (S,).
        lengths: (N,).

    Returns:
        (N, T, S) from each state on and (N, T, S) after it, each up to a constant of the token.
    """
    after = end.expand(emissions.shape[0], -1)
    onwards, afters = torch.empty_like(emissions), torch.empty_like(emissions)
    for position in range(emissions.shape[1] - 1, -1, -1):
        onward = emissions[:, position] + after
        onward = onward - onward.amax(dim=1, keepdim=True)  # keeps the numbers small over any length
        onwards[:, position], afters[:, position] = onward, after
        after = torch.logsumexp(transitions + onward[:, None], dim=2)
        after = torch.where((lengths > position)[:, None], after, end)
    return onwards, afters


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
