"""Best paths of a linear chain: the maximum over all paths through each state, and the paths that reach it.

The twin of `partition`, with maxima in place of sums; in NumPy, whose calls cost least, but for the n best.

Letters in shape comments: B rows, T tokens, S states; E states of the full block, W others, P moves of each; N tokens
of all rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .decoding import Chain
from .partition import FORBIDDEN
from .tagging_schemes import StateSpace

# Steps between two subtractions of the maximum, which keep numbers small over any length.
_STRIDE = 16


class Moves(NamedTuple):
    """The legal moves of a state space, as two blocks that no move connects.

    Between spans every state that may end one (E, S, O) meets every state that may begin one (B, S, O): a full block.
    Within a span (B and I to I and E) a state has one or two successors: a list. Where states do not part so, as in
    IOB2, all of them are in the first block.

    Attributes:
        orders: (2, S) states in the order of each direction: those that the first block enters come first, and those
            that it leaves stand together.
        entered: (2, E) states that the first block enters.
        left: (2, E) states that the first block leaves, in their order.
        first_left: Place of the first of these.
        within: (2, W, P, 2) moves of the second block, from state to state, padded by repetition.
        within_sources: (2WP,) what they leave in each direction, as places in the flattened (2, S).
    """

    orders: list[list[int]]
    entered: list[list[int]]
    left: list[list[int]]
    first_left: int
    within: list[list[list[tuple[int, int]]]]
    within_sources: list[int]


def find_moves(space: StateSpace) -> Moves:
    """Part the legal moves of a state space into two blocks."""
    states = list(range(len(space.states)))
    begins = [state for state in states if space.starts[state]]
    closes = [state for state in states if any(space.transitions[state][other] for other in begins)]
    crosses = any(space.transitions[state][other] for state in closes for other in states if other not in begins)
    if crosses or len(begins) != len(closes):
        begins, closes = states, states
    both = [state for state in begins if state in closes]
    only_begins = [state for state in begins if state not in closes]
    only_closes = [state for state in closes if state not in begins]
    neither = [state for state in states if state not in begins and state not in closes]
    orders = [only_begins + both + only_closes + neither, only_closes + both + only_begins + neither]
    inner = [only_closes + neither, only_begins + neither]
    within = [
        [[(i, j) for i in states if space.transitions[i][j]] or [(0, j)] for j in inner[0]],
        [[(i, j) for j in states if space.transitions[i][j]] or [(i, 0)] for i in inner[1]],
    ]
    width = max(map(len, within[0] + within[1]), default=0)
    within = [[(moves * width)[:width] for moves in side] for side in within]
    places = [
        {state: place for place, state in enumerate(order, start=offset)}
        for order, offset in zip(orders, (0, len(states)), strict=True)
    ]
    sources = [places[0][i] for moves in within[0] for i, _ in moves]
    sources += [places[1][j] for moves in within[1] for _, j in moves]
    entered = [only_begins + both, only_closes + both]
    left = [both + only_closes, both + only_begins]
    return Moves(orders, entered, left, len(only_begins), within, sources)


class BestScores(NamedTuple):
    """Best scores of a batch of chains, those of a token up to a constant of that token.

    Attributes:
        up_to: (B, T, S) of the best path up to and with each state.
        through: (B, T, S) of the best path through each state.
        total: (B,) of the best path of all.
    """

    up_to: np.ndarray
    through: np.ndarray
    total: np.ndarray


def best_scores(emissions: np.ndarray, lengths: np.ndarray, chain: Chain, moves: Moves) -> BestScores:
    """Sweep over the chains in both directions at once (Viterbi 1967), over fewer rows as they end.

    Args:
        emissions: (B, T, S) float64, right-padded; at least one row and one token.
        lengths: (B,) real tokens of each row.
        chain: The other scores.
        moves: The legal moves; others are not looked at.

    Returns:
        The scores; what stands at padding is arbitrary.
    """
    orders, left, entered = (np.array(states) for states in (moves.orders, moves.left, moves.entered))
    num_rows, num_tokens, num_states = emissions.shape
    num_entered, last_left = entered.shape[1], moves.first_left + entered.shape[1]
    # Most work is in the full block, where what is left stands first, so that maxima run over whole blocks.
    between = np.stack(
        (chain.transitions[left[0][:, None], entered[0]], chain.transitions.T[left[1][:, None], entered[1]]), axis=1
    )[..., None]  # (E left, 2, E entered, 1)
    if num_entered < num_states:
        pairs = np.array(moves.within).transpose(2, 0, 1, 3)  # (P, 2, W, 2)
        within = chain.transitions[pairs[..., 0], pairs[..., 1]][..., None]  # (P, 2, W, 1)
        sources = np.array(moves.within_sources).reshape(2, -1, len(within)).transpose(2, 0, 1).copy()  # (P, 2, W)

    # N real tokens in the order in which the sweep comes to them, those of the longest row first at each step: where
    # each stands in the flattened emissions in reading order, and in the reverse of it.
    order = np.argsort(-lengths, kind="stable")
    positions, places = np.nonzero(np.arange(num_tokens)[:, None] < lengths[order])
    rows = order[places]
    ahead, back = rows * num_tokens + positions, rows * num_tokens + lengths[rows] - 1 - positions
    of_tokens = emissions.reshape(-1, num_states)
    steps = np.stack((of_tokens[ahead[:, None], orders[0]], of_tokens[back[:, None], orders[1]]), axis=1)  # (N, 2, S)
    # (N, S): what is best with each token's emission, reading forward, and before it, reading backward.
    reached, arrived = np.empty((2, len(rows), num_states))
    norms = np.zeros(num_rows)
    edges = np.stack((chain.start[orders[0]], chain.end[orders[1]]))
    # Rows last, so that maxima over states run over whole vectors of rows.
    incoming = np.broadcast_to(edges[:, :, None], (2, num_states, num_rows))
    active = first = 0
    for position, end in enumerate(np.cumsum(np.bincount(positions)).tolist()):
        if end - first != active:
            active = end - first
            incoming = incoming[:, :, :active]
            current, following = np.empty((2, 2, num_states, active))
            by_state = current.reshape(-1, active)
            leaving = current[:, moves.first_left : last_left].transpose(1, 0, 2)[:, :, None]  # (E, 2, 1, B)
            moved = np.empty((num_entered, 2, num_entered, active))
            widened = np.broadcast_to(between, moved.shape).copy()
            if num_entered < num_states:
                inside = np.empty((*sources.shape, active))  # (P, 2, W, B)
        arrived[first:end] = incoming[1].T
        np.add(incoming, steps[first:end].transpose(1, 2, 0), out=current)
        if position % _STRIDE == 0:
            norm = current.max(axis=1, keepdims=True)
            current -= norm
            norms[:active] += norm[0, 0]
        reached[first:end] = current[0].T
        incoming = following
        np.add(leaving, widened, out=moved)
        np.maximum.reduce(moved, axis=0, out=incoming[:, :num_entered])
        if num_entered < num_states:
            np.take(by_state, sources, axis=0, out=inside, mode="clip")  # this mode writes into `inside` itself
            inside += within
            np.maximum.reduce(inside, axis=0, out=incoming[:, num_entered:])
        first = end
    states = np.argsort(orders, axis=1)
    up_to, through = np.zeros((2, num_rows, num_tokens, num_states))
    up_to.reshape(-1, num_states)[ahead] = reached[:, states[0]]
    through.reshape(-1, num_states)[back] = arrived[:, states[1]]
    through += up_to
    last = up_to[np.arange(num_rows), (lengths - 1).clip(0)]  # (B, S)
    total = np.empty(num_rows)
    total[order] = norms
    return BestScores(up_to, through, total + (last + chain.end).max(axis=1))


def trace_back(up_to: np.ndarray, lengths: np.ndarray, chain: Chain) -> np.ndarray:
    """Follow the best path from each row's last token to its first.

    Args:
        up_to: (B, T, S) of `BestScores`.
        lengths: (B,).
        chain: The scores.

    Returns:
        (B, T) states; what stands at padding is arbitrary.
    """
    paths = np.zeros(up_to.shape[:2], dtype=np.int64)
    state = paths[:, 0]
    for position in range(up_to.shape[1] - 1, -1, -1):
        is_last = (lengths == position + 1)[:, None]
        state = (up_to[:, position] + np.where(is_last, chain.end, chain.transitions[:, state].T)).argmax(axis=1)
        paths[:, position] = state
    return paths


def n_best_paths(
    emissions: Tensor, start: Tensor, transitions: Tensor, end: Tensor, lengths: Tensor, n: int
) -> tuple[Tensor, Tensor]:
    """The n best paths of each row.

    Args:
        emissions: (B, T, S), right-padded; at least one row and one token.
        start: (S,).
        transitions: (S, S).
        end: (S,).
        lengths: (B,).
        n: Paths wanted, at least 1.

    Returns:
        Paths (B, n, T), 0 at padding, and their scores (B, n) in falling order, minus infinity where there are no
        more; an empty row has one path, of score 0.
    """
    batch_size, num_tokens, num_states = emissions.shape
    into = transitions.T[:, :, None]  # (S to, S from, 1)
    current = emissions.new_full((batch_size, num_states, n), FORBIDDEN)
    current[:, :, 0] = start + emissions[:, 0]
    origins = []
    for position, emission in enumerate(emissions.unbind(dim=1)[1:], start=1):
        candidates = (current[:, None] + into).flatten(2)  # (B, S to, S from * n)
        moved, origin = candidates.topk(n, dim=2)
        current = torch.where((lengths > position)[:, None, None], moved + emission[:, :, None], current)
        origins.append(origin.int())
    last = current + end[:, None]  # (B, S, n), at each row's last token
    scores, place = last.flatten(1).topk(n, dim=1)  # place = state * n + rank
    places: list[Any] = []
    for position in range(num_tokens - 1, -1, -1):
        if position < num_tokens - 1:
            moved = origins[position].flatten(1).gather(1, place).long()
            place = torch.where((lengths > position + 1)[:, None], moved, place)
        places.append(place // n)
    paths = torch.stack(places[::-1], dim=2)  # (B, n, T)
    padding = torch.arange(num_tokens, device=lengths.device) >= lengths[:, None]
    scores = scores.masked_fill(scores < FORBIDDEN / 2, -torch.inf)
    empty = (lengths == 0)[:, None] & (torch.arange(n, device=lengths.device) > 0)
    scores = scores.masked_fill((lengths == 0)[:, None], 0.0).masked_fill(empty, -torch.inf)
    return paths.masked_fill(padding[:, None, :], 0), scores
