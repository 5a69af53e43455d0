"""Decoding in NumPy: the best path of each row and the probabilities of its spans, from one sum over all paths.

A step over a few rows is so little work that what counts is what a call costs, and a call of NumPy costs least.

Letters in shape comments: B rows, T tokens, S states, K paths of a row, W states that may be visited, N spans.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from .partition import FORBIDDEN, GREATEST, SHARED_OUT

# Steps between two divisions by the sum, which keep numbers within their range.
_STRIDE = 16
_SMALLEST = float(np.finfo(np.float64).tiny)
_LEAST_OVERLAP = _SMALLEST ** (2 / 3)  # see `partition._is_exact`
_ROUNDING = 1e-6  # more than what rounding adds to the score of a path
_LIKELIEST = 8  # states of a token among which the best path is looked for first
_FEWER = 4  # so many times as many next, as long as those are so many times fewer than all
_HOPE = 5.0  # logarithm of how much likelier than a path of likely states the best path may be
_FEW_STATES = 64  # up to which two small products cost more than one that is half zeros


class Chain(NamedTuple):
    """Scores of starts (S,), transitions (S, S) and ends (S,), float64, and what sums need of them."""

    start: np.ndarray
    transitions: np.ndarray
    end: np.ndarray
    moves: np.ndarray  # (2, S, S) exponentiated transitions, and their transpose
    both_moves: np.ndarray | None  # (2S, 2S) the same on the diagonal, where states are few
    edges: np.ndarray  # (2, 1, S) exponentiated starts, and ends
    above: tuple[float, float, float]  # by which starts, transitions and ends have been brought down in these


def make_chain(start: np.ndarray, transitions: np.ndarray, end: np.ndarray) -> Chain:
    """Prepare the scores of a chain, forbidden ones at `FORBIDDEN`."""
    first, between, last = (max(float(scores.max()) - GREATEST, 0.0) for scores in (start, transitions, end))
    moves = np.exp(np.stack((transitions, transitions.T)) - between)
    both_moves = None
    if len(start) <= _FEW_STATES:
        zeros = np.zeros_like(transitions)
        both_moves = np.block([[moves[0], zeros], [zeros, moves[1]]])
    edges = np.exp(np.stack((start - first, end - last)))[:, None]
    return Chain(start, transitions, end, moves, both_moves, edges, (first, between, last))


class PathSums(NamedTuple):
    """Sums over the paths of a batch of chains, in probability, those of a token up to a constant of that token.

    Attributes:
        chain: What they are of, beside the emissions.
        emissions: (T, B, S) what they are of.
        lengths: (B,) real tokens of each row.
        real: (T, B) bool, where there is a token.
        onwards: (T, B, S) of all paths from each state on.
        after: (T, B, S) of all paths after each state, up to the constant of `onwards` at the token that follows.
        posterior: (T, B, S) of all paths through each state; not normalised.
        overlap: (T, B) its sum at each token, 1 at padding.
        total: (B,) logarithm of the sum of all paths, 0 for an empty row.
        is_exact: (B,) bool, whether nothing that counts has underflowed.
    """

    chain: Chain
    emissions: np.ndarray
    lengths: np.ndarray
    real: np.ndarray
    onwards: np.ndarray
    after: np.ndarray
    posterior: np.ndarray
    overlap: np.ndarray
    total: np.ndarray
    is_exact: np.ndarray


@np.errstate(divide="ignore", over="ignore", invalid="ignore")  # what comes of it is told by `is_exact`
def sum_paths(emissions: np.ndarray, lengths: np.ndarray, chain: Chain) -> PathSums:
    """Sum over paths by forward-backward in scaled probability space (Rabiner 1989, section V.A for the scaling).

    The twin of `partition.sum_paths`, where it is said when the sums are exact.

    Args:
        emissions: (B, T, S), right-padded and finite; at least one row and one token.
        lengths: (B,) real tokens of each row.
        chain: The other scores.

    Returns:
        The sums.
    """
    num_rows, num_tokens, num_states = emissions.shape
    positions, rows = np.arange(num_tokens)[:, None], np.arange(num_rows)
    real = positions < lengths
    by_token = np.array(emissions.transpose(1, 0, 2), dtype=np.float64, order="C")  # (T, B, S)
    reversal: Any = np.s_[::-1]  # what reverses each row within its own length, and its own inverse
    if not real.all():
        by_token[~real] = 0.0
        reversal = np.where(real, lengths - 1 - positions, positions), rows
    peaks = by_token.max(axis=2, keepdims=True)  # (T, B, 1)
    steps = np.empty((num_tokens, 2, num_rows, num_states))
    np.exp(by_token - peaks, out=steps[:, 0])
    steps[:, 1] = steps[:, 0][reversal]
    arrived = np.empty((num_tokens + 1, 2, num_rows, num_states))  # before each token's emission
    arrived[0] = chain.edges
    reached = np.empty_like(steps)  # with it
    norms = np.empty((len(real[::_STRIDE]), 2, num_rows))
    multiply = np.multiply
    matmul: Any = np.matmul if num_rows * num_states**2 < SHARED_OUT else _matmul_in_torch
    moves, shape = chain.moves, (2, num_rows, num_states)
    of_a_step: tuple[int, ...] = shape
    if num_rows == 1 and chain.both_moves is not None:
        # One product for both directions, by the method, which costs less than the function.
        matmul, moves, of_a_step = np.ndarray.dot, chain.both_moves, (2 * num_states,)
    before = arrived[0].reshape(of_a_step)
    in_turn = (values.reshape(num_tokens, *of_a_step) for values in (steps, reached, arrived[1:]))
    for position, (step, current, after) in enumerate(zip(*in_turn, strict=True)):
        multiply(before, step, current)
        if position % _STRIDE == 0:
            by_direction = current.reshape(shape)
            norm = np.maximum(by_direction.sum(axis=2, keepdims=True), _SMALLEST)  # (2, B, 1)
            by_direction /= norm
            norms[position // _STRIDE] = norm[:, :, 0]
        matmul(current, moves, after)
        before = after
    onwards, after = reached[:, 1][reversal], arrived[:-1, 1][reversal]
    posterior = arrived[:-1, 0] * onwards
    overlap = np.where(real, posterior.sum(axis=2), 1.0)  # (T, B)
    last = reached[np.maximum(lengths - 1, 0), 0, rows]  # (B, S)
    norms = np.where(real[::_STRIDE, None], norms, 1.0)
    total = (peaks[:, :, 0] * real).sum(axis=0) + np.log(norms[:, 0]).sum(axis=0)
    first_above, above, last_above = chain.above
    total += first_above + above * (lengths - 1) + last_above
    total = np.where(lengths > 0, total + np.log(last @ chain.edges[1, 0]), 0.0)
    least = overlap.min(axis=0) * np.minimum(norms.min(axis=(0, 1)), 1.0)
    is_exact = (least > _LEAST_OVERLAP) & (overlap.max(axis=0) < np.inf) & np.isfinite(total)
    return PathSums(chain, by_token, lengths, real, onwards, after, posterior, overlap, total, is_exact)


def _matmul_in_torch(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    """Multiply (2, B, S) by (2, S, S) with no more threads than PyTorch has been given."""
    torch.bmm(torch.from_numpy(left), torch.from_numpy(right), out=torch.from_numpy(out))


def score_paths(paths: np.ndarray, emissions: np.ndarray, real: np.ndarray, chain: Chain) -> np.ndarray:
    """Score one path a row.

    Args:
        paths: (T, B) states, any at padding.
        emissions: (T, B, S).
        real: (T, B) bool, where there is a token; the score of a row without one is arbitrary.
        chain: The other scores.

    Returns:
        (B,) scores.
    """
    positions, rows = np.arange(paths.shape[0])[:, None], np.arange(paths.shape[1])
    emitted = np.where(real, emissions[positions, rows, paths], 0.0).sum(axis=0)
    moved = (chain.transitions[paths[:-1], paths[1:]] * real[1:]).sum(axis=0)
    return emitted + moved + chain.start[paths[0]] + chain.end[paths[real.sum(axis=0) - 1, rows]]


def best_paths(sums: PathSums) -> tuple[np.ndarray, np.ndarray]:
    """Find the best path of each row by what the sums tell: none of probability p visits a state of smaller posterior.

    So a path is the best one if it is likelier than every state that it does not visit. The path of the likeliest
    states mostly is; otherwise the best path through the few likeliest states of each token may be. Of a long text no
    path is likely: there, and where states are few, it is left to the caller to find the best one by maxima.

    Args:
        sums: Of the chains.

    Returns:
        (T, B) states, arbitrary at padding, and (B,) bool: rows where the best path is not known to be the only best.
    """
    paths = sums.posterior.argmax(axis=2)
    unknown = ~sums.is_exact
    scores = score_paths(paths, sums.emissions, sums.real, sums.chain) - sums.total
    # Of these the others have more than half of the probability.
    rows = ((scores < math.log(0.5) + _ROUNDING) & sums.is_exact & (sums.lengths > 0)).nonzero()[0]
    scores = scores[rows]
    num_states = sums.posterior.shape[2]
    if len(rows):
        posterior = _posterior_of(rows, sums)
        np.put_along_axis(posterior, paths[:, rows, None], 0.0, axis=2)
        unsure = scores - _ROUNDING < _log(posterior.max(axis=(0, 2)))
        rows, scores = rows[unsure], scores[unsure]
    width = _LIKELIEST
    while len(rows) and _FEWER * width <= num_states:
        posterior = _posterior_of(rows, sums)
        least = num_states - width - 1  # place of the likeliest state that is left out
        states = np.argpartition(posterior, least, axis=2)[:, :, least:]  # (T, B, W + 1), that one first
        left_out = _log(np.take_along_axis(posterior, states[:, :, :1], 2).max(axis=(0, 2)))  # (B,)
        # The best path has a better score than this one, if this one is legal, but hardly by so much.
        hopeful = (scores < FORBIDDEN / 2) | (scores + _HOPE > left_out)
        unknown[rows[~hopeful]] = True
        rows, states, left_out = rows[hopeful], states[:, hopeful, 1:], left_out[hopeful]
        if not len(rows):
            break
        found, margin = _best_paths_among(states, rows, sums)
        paths[:, rows] = found
        unknown[rows] = margin < _ROUNDING
        scores = score_paths(found, sums.emissions[:, rows], sums.real[:, rows], sums.chain) - sums.total[rows]
        unsure = scores - _ROUNDING < left_out
        rows, scores = rows[unsure], scores[unsure]
        width *= _FEWER
    unknown[rows] = True
    return paths, unknown


def _posterior_of(rows: np.ndarray, sums: PathSums) -> np.ndarray:
    """Normalised posterior of some rows, (T, B, S), 0 at padding."""
    posterior = sums.posterior[:, rows] / sums.overlap[:, rows, None]
    posterior[~sums.real[:, rows]] = 0.0
    return posterior


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.fmax(probabilities, _SMALLEST))  # 0 / 0 counts as 0


def _best_paths_among(states: np.ndarray, rows: np.ndarray, sums: PathSums) -> tuple[np.ndarray, np.ndarray]:
    """Best path of some rows that visits none but some states (T, B, W) of each token (Viterbi 1967).

    Gives the paths (T, B), and by how much at least each is better than any other (B,).
    """
    chain, positions = sums.chain, np.arange(len(states))[:, None]
    emitted = sums.emissions[positions[:, :, None], rows[:, None], states]  # (T, B, W)
    moved = chain.transitions[states[:-1, :, :, None], states[1:, :, None, :]]  # (T - 1, B, W from, W to)
    reached = np.empty_like(emitted)
    reached[0] = chain.start[states[0]] + emitted[0]
    for before, move, emission, current in zip(reached, moved, emitted[1:], reached[1:], strict=False):
        np.add((before[:, :, None] + move).max(axis=1), emission, out=current)  # over (B, W from, W to)
    origins = (reached[:-1, :, :, None] + moved).argmax(axis=2)  # (T - 1, B, W to)
    closing = reached + chain.end[states]  # (T, B, W), of rows that end there
    last, columns = sums.lengths[rows] - 1, np.arange(len(rows))
    places = closing.argmax(axis=2)  # (T, B)
    for column, end in enumerate(last.tolist()):  # of few rows
        place = places[end, column]
        for position in range(end - 1, -1, -1):
            places[position, column] = place = origins.item(position, column, place)
    ways = closing[last, columns][None]  # (1, B, W)
    if len(origins):
        from_before = reached[:-1] + moved[positions[:-1], columns, :, places[1:]]  # (T - 1, B, W)
        ways = np.concatenate((ways, np.where(sums.real[1:, rows, None], from_before, ways)))
    second, first = np.partition(ways, -2, axis=2)[:, :, -2:].transpose(2, 0, 1)
    return states[positions, columns, places], (first - second).min(axis=0)


@np.errstate(divide="ignore", invalid="ignore")  # of states that nothing comes after, and of what is replaced
def span_log_probabilities(sums: PathSums, paths: np.ndarray, spans: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Log-probability of stretches of given paths: of just these states there, and of nothing going on after them.

    It is the posterior of the first state, times that of each further state given the one before it, times that of a
    state that starts anew after the last.

    Args:
        sums: Of the chains.
        paths: (B, K, T) states of K legal paths a row.
        spans: (N, 4) row, place among the row's paths, first token, token after the last.
        begins: (S,) bool, whether a state is the first of a span, or of no span.

    Returns:
        (N,), at most 0.
    """
    rows, ranks, starts, ends = spans.T
    chain, num_tokens = sums.chain, len(sums.emissions)
    steps = paths.transpose(2, 0, 1)  # (T, B, K)
    first_states, last_states = paths[rows, ranks, starts], paths[rows, ranks, ends - 1]
    next_tokens = np.minimum(ends, num_tokens - 1)
    positions, of_rows = np.arange(num_tokens)[:, None, None], np.arange(len(paths))[:, None]
    onwards, after = (values[positions, of_rows, steps] for values in (sums.onwards, sums.after))  # (T, B, K)
    moved = chain.moves[0][steps[:-1], steps[1:]] * onwards[1:] / after[:-1]  # (T - 1, B, K)
    posterior = sums.posterior[starts, rows, first_states] / sums.overlap[starts, rows]
    anew = chain.moves[0][last_states] * sums.onwards[next_tokens, rows] * begins  # (N, S)
    closed = anew.sum(axis=1) / after[ends - 1, rows, ranks]
    inexact = (~sums.is_exact).nonzero()[0]
    if len(inexact):
        logs = _sum_in_log_space(sums.emissions[:, inexact], sums.lengths[inexact], chain)
        onwards, after = (np.take_along_axis(values, steps[:, inexact], 2) for values in (logs.onwards, logs.after))
        given = chain.transitions[steps[:-1, inexact], steps[1:, inexact]] + onwards[1:] - after[:-1]
        moved[:, inexact] = np.exp(np.minimum(given, 0.0))
        of_these = (~sums.is_exact[rows]).nonzero()[0]
        places = np.searchsorted(inexact, rows[of_these])
        posterior[of_these] = np.exp(logs.posterior[starts[of_these], places, first_states[of_these]])
        following = chain.transitions[last_states[of_these]] + logs.onwards[next_tokens[of_these], places]
        following -= after[ends[of_these] - 1, places, ranks[of_these]][:, None]
        closed[of_these] = (np.exp(np.minimum(following, 0.0)) * begins).sum(axis=1)
    summed = np.zeros(steps.shape)
    np.cumsum(np.where(sums.real[1:, :, None], _log(moved), 0.0), axis=0, out=summed[1:])
    inside = summed[ends - 1, rows, ranks] - summed[starts, rows, ranks]
    edges = posterior * np.where(ends == sums.lengths[rows], 1.0, closed)
    return np.minimum(_log(edges) + inside, 0.0)


class _LogSums(NamedTuple):
    onwards: np.ndarray  # (T, B, S) from each state on, up to a constant of the token
    after: np.ndarray  # (T, B, S) after each state, up to the same
    posterior: np.ndarray  # (T, B, S) normalised


def _sum_in_log_space(emissions: np.ndarray, lengths: np.ndarray, chain: Chain) -> _LogSums:
    """Forward-backward of (T, B, S) emissions in log space, for scores so far apart that probabilities underflow."""
    up_to, onwards, after = (np.empty_like(emissions) for _ in range(3))
    arrived = np.broadcast_to(chain.start, emissions.shape[1:])
    for position, emission in enumerate(emissions):
        reached = arrived + emission
        up_to[position] = reached - reached.max(axis=1, keepdims=True)  # keeps the numbers small over any length
        arrived = np.logaddexp.reduce(up_to[position][:, :, None] + chain.transitions, axis=1)
    following = np.broadcast_to(chain.end, emissions.shape[1:])
    for position in range(len(emissions) - 1, -1, -1):
        after[position] = following
        onward = emissions[position] + following
        onwards[position] = onward - onward.max(axis=1, keepdims=True)
        following = np.logaddexp.reduce(chain.transitions + onwards[position][:, None], axis=2)
        following = np.where((lengths > position)[:, None], following, chain.end)
    through = np.maximum(up_to + after, FORBIDDEN)
    return _LogSums(onwards, after, through - np.logaddexp.reduce(through, axis=2)[:, :, None])
