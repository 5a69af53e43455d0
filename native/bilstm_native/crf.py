"""A linear-chain conditional random field (Lafferty, McCallum, Pereira 2001) over a BiLSTM (Huang, Xu, Yu 2015).

A path y, a state for each of T tokens, scores

    start[y_1] + sum_t emission[t, y_t] + sum_t transition[y_t-1, y_t] + end[y_T]

and has the probability exp(score) / Z, where Z sums exp(score) over all legal paths. All that is asked of it comes
from one sweep over the tokens, with a maximum at every step (Viterbi 1967) or a sum (the forward-backward algorithm:
Rabiner 1989). As in the recurrence, the longest sentence is in the first row, and nothing is computed for padding.

Letters in shape comments: T tokens of the longest sentence, B sentences, S states.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .recurrence import is_token, reverse, rows_at_each_step
from .states import States

# How far a state may be below the best one of its token: a little less than where exponentials become 0.
_REACH = math.log(np.finfo(np.float64).tiny) + 8
# Score of what is illegal: finite, so that differences are 0 and not NaN; far beyond any sum of scores.
FORBIDDEN = -1e30


# From a step's scores (S, B) to the next one's, over all states that may come before.
_Step = Callable[[np.ndarray], np.ndarray]


def log_sum(scores: np.ndarray) -> np.ndarray:
    """Take the logarithm of the summed exponentials over the first axis; none of these can overflow."""
    peak = scores.max(axis=0)
    return peak + np.log(np.exp(scores - peak).sum(axis=0))


def _best(transitions: np.ndarray) -> _Step:
    """Take the maximum of what comes before plus its transition."""
    return lambda before: (before[:, None] + transitions[:, :, None]).max(axis=0)  # (S from, S to, B) to (S to, B)


def _sum(transitions: np.ndarray) -> _Step:
    """Add up in probability what comes before times its transition: a matrix product, the peak taken out."""
    with np.errstate(over="ignore"):
        moves = np.exp(transitions.T)

    def step(before: np.ndarray) -> np.ndarray:
        peak = before.max(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):  # log 0: none of the states before is in reach
            return np.maximum(peak + np.log(moves @ np.exp(before - peak)), FORBIDDEN)

    return step


def _exact_sum(transitions: np.ndarray) -> _Step:
    """Do the same for scores so far apart that their exponentials are 0, at many times the cost."""
    return lambda before: log_sum(before[:, None] + transitions[:, :, None])


class Sums(NamedTuple):
    """Logarithms of sums over paths.

    Args:
        up_to: (T, B, S) over the paths up to and with each state.
        onwards: (T, B, S) over the paths from and with each state on.
        total: (B,) over all paths, log Z; 0 for a sentence without tokens.
    """

    up_to: np.ndarray
    onwards: np.ndarray
    total: np.ndarray


class Crf:
    """Finds paths and probabilities; computes in float64, in which sums over 100,000 tokens still tell paths apart.

    Args:
        states: The states and their legal moves; others are forbidden whatever their scores.
        start: (S,) scores of starting in each state; 0 for all when absent.
        transitions: (S, S) scores of moving from the state of the row to that of the column; 0 when absent.
        end: (S,) scores of ending in each state; 0 when absent.
    """

    def __init__(
        self,
        states: States,
        start: np.ndarray | None = None,
        transitions: np.ndarray | None = None,
        end: np.ndarray | None = None,
    ) -> None:
        self.states = states
        self.start, self.transitions, self.end = (
            np.where(legal, 0.0 if scores is None else scores.astype(np.float64), FORBIDDEN)
            for legal, scores in ((states.starts, start), (states.moves, transitions), (states.ends, end))
        )

    def best_paths(self, emissions: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Find the best path of each sentence (Viterbi 1967).

        Args:
            emissions: (T, B, S).
            lengths: (B,) falling.

        Returns:
            (T, B) states; 0 at padding.
        """
        emissions = emissions.astype(np.float64)
        scores = _sweep(emissions, self.start, _best(self.transitions), lengths)
        paths = np.zeros(emissions.shape[:2], dtype=np.int64)
        state = paths[:0, :0].ravel()
        # From the last token back: the state that the best path into the next one came from.
        for position, rows in reversed(list(enumerate(rows_at_each_step(lengths)))):
            here = scores[position, :rows]
            known = len(state)  # sentences that have a next token; the others end here
            here[:known] += self.transitions[:, state].T
            here[known:] += self.end
            state = here.argmax(axis=1)
            paths[position, :rows] = state
        return paths

    def sums(self, emissions: np.ndarray, lengths: np.ndarray) -> Sums:
        """Sum over all paths, from both ends (Rabiner 1989, section III, in logarithms).

        Args:
            emissions: (T, B, S).
            lengths: (B,) falling.

        Returns:
            The sums.
        """
        sums = self._sums(emissions, lengths, _sum)
        # No state was lost if at no token one is so far below another that its exponential is 0.
        is_sure = True
        for scores in (sums.up_to, sums.onwards):
            peak = scores.max(axis=2, keepdims=True, initial=FORBIDDEN)
            depth = np.where(scores > FORBIDDEN / 2, scores - peak, 0.0).min(axis=2, initial=0.0)
            is_sure &= bool((depth[is_token(lengths)] >= _REACH).all())  # False for NaN
        return sums if is_sure else self._sums(emissions, lengths, _exact_sum)

    def _sums(self, emissions: np.ndarray, lengths: np.ndarray, add_up: Callable[[np.ndarray], _Step]) -> Sums:
        emissions = emissions.astype(np.float64)
        up_to = _sweep(emissions, self.start, add_up(self.transitions), lengths)
        mirrored = _sweep(reverse(emissions, lengths), self.end, add_up(self.transitions.T), lengths)
        onwards = reverse(mirrored, lengths)
        total = log_sum((self.start + onwards[0]).T) if len(emissions) else np.zeros(len(lengths))
        return Sums(up_to, onwards, np.where(lengths > 0, total, 0.0))

    def marginals(self, emissions: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Probability of each state at each token, over all paths.

        Args:
            emissions: (T, B, S).
            lengths: (B,) falling.

        Returns:
            (T, B, S), 1 in sum at each token, 0 at padding.
        """
        up_to, onwards, total = self.sums(emissions, lengths)
        through = up_to + onwards - emissions - total[:, None]  # an emission is in both sums
        return np.exp(np.where(is_token(lengths)[:, :, None], np.minimum(through, 0.0), FORBIDDEN))

    def span_probabilities(
        self, sums: Sums, emissions: np.ndarray, paths: np.ndarray, lengths: np.ndarray, spans: np.ndarray
    ) -> np.ndarray:
        """Probability that just these states of a path stand there, and that something new begins after them.

        It is the sum over the paths that agree, divided by the sum over all: anything may come before the first of
        these states, and anything that starts anew may follow the last.

        Args:
            sums: Of the emissions.
            emissions: (T, B, S).
            paths: (T, B) states.
            lengths: (B,) falling.
            spans: (N, 3) integers: sentence, first token, token after the last.

        Returns:
            (N,), 0 to 1.
        """
        rows, firsts, ends = spans.T
        emitted = np.take_along_axis(emissions.astype(np.float64), paths[:, :, None], axis=2)[:, :, 0]  # (T, B)
        moved = self.transitions[paths[:-1], paths[1:]]
        along = np.zeros(paths.shape)  # score of the path from its second token up to each
        along[1:] = np.where(is_token(lengths)[1:], moved + emitted[1:], 0).cumsum(axis=0)
        before = sums.up_to[firsts, rows, paths[firsts, rows]]
        inside = along[ends - 1, rows] - along[firsts, rows]
        last = paths[ends - 1, rows]  # (N,)
        anew = self.states.starts
        next_token = np.minimum(ends, len(paths) - 1)
        onwards = log_sum((self.transitions[last][:, anew] + sums.onwards[next_token, rows][:, anew]).T)
        after = np.where(ends == lengths[rows], self.end[last], onwards)
        return np.exp(np.minimum(before + inside + after - sums.total[rows], 0))


def _sweep(emissions: np.ndarray, start: np.ndarray, combine: _Step, lengths: np.ndarray) -> np.ndarray:
    """Go from token to token: what is known of the paths up to each state.

    scores[0, j] = start[j] + emission[0, j]
    scores[t, j] = combine over i of (scores[t - 1, i] + transition[i, j]) + emission[t, j]

    Args:
        emissions: (T, B, S).
        start: (S,).
        combine: `_best`, `_sum` or `_exact_sum` of the transitions.
        lengths: (B,) falling.

    Returns:
        (T, B, S).
    """
    by_state = np.ascontiguousarray(emissions.swapaxes(1, 2))  # (T, S, B): long rows are what NumPy is quick with
    scores = np.zeros_like(by_state)
    for position, rows in enumerate(rows_at_each_step(lengths)):
        arrived = combine(scores[position - 1, :, :rows]) if position else start[:, None]
        scores[position, :, :rows] = arrived + by_state[position, :, :rows]
    return np.ascontiguousarray(scores.swapaxes(1, 2))
