"""Best paths of a linear chain: the maximum over all paths through each state, and the paths that reach it.

The twin of `partition`, with maxima in place of sums.

Letters in shape comments: B rows, T tokens, S states; E states of the full block, W others, P moves of each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

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
        up_to: (T, S, B) of the best path up to and with each state.
        through: (T, S, B) of the best path through each state.
        total: (B,) of the best path of all.
    """

    up_to: Tensor
    through: Tensor
    total: Tensor


def best_scores(
    emissions: Tensor, start: Tensor, transitions: Tensor, end: Tensor, lengths: Tensor, moves: Moves
) -> BestScores:
    """Sweep over the chains in both directions at once (Viterbi 1967).

    Args:
        emissions: (B, T, S), right-padded; at least one row and one token.
        start: (S,) scores of starting in each state.
        transitions: (S, S) scores of moving from state i to state j.
        end: (S,) scores of ending in each state.
        lengths: (B,) real tokens of each row.
        moves: The legal moves; others are not looked at.

    Returns:
        The scores.
    """
    device, (batch_size, num_tokens, num_states) = emissions.device, emissions.shape
    orders, entered, left = (
        torch.tensor(states, device=device) for states in (moves.orders, moves.entered, moves.left)
    )
    # Rows last, so that maxima over states run over whole vectors of rows.
    by_state = emissions.permute(1, 2, 0).contiguous()  # (T, S, B)
    steps = torch.stack(
        (by_state.index_select(1, orders[0]), by_state.flip(0).index_select(1, orders[1])), dim=1
    )  # (T, 2, S, B)
    between = torch.stack((transitions[left[0][:, None], entered[0]], transitions.T[left[1][:, None], entered[1]]))
    between = between[..., None]  # (2, E left, E entered, 1)
    num_entered, last_left = entered.shape[1], moves.first_left + entered.shape[1]
    if num_entered < num_states:
        pairs = torch.tensor(moves.within, device=device)  # (2, W, P, 2)
        within = transitions[pairs[..., 0], pairs[..., 1]][..., None]  # (2, W, P, 1)
        sources = torch.tensor(moves.within_sources, device=device)

    arrived = emissions.new_empty(num_tokens + 1, 2, num_states, batch_size)  # before each token's emission
    arrived[0] = torch.stack((start[orders[0]], end[orders[1]]))[:, :, None]
    reached = torch.empty_like(steps)  # with it
    norms = emissions.new_zeros(num_tokens, batch_size)
    shortest = int(lengths.min())
    for position in range(num_tokens):
        current = torch.add(arrived[position], steps[position], out=reached[position])  # (2, S, B)
        if position % _STRIDE == 0:
            norm = current.amax(dim=1, keepdim=True)
            current -= norm
            norms[position] = norm[0, 0]
        incoming = arrived[position + 1]
        leaving = current[:, moves.first_left : last_left, None]  # (2, E, 1, B)
        torch.amax(leaving + between, dim=1, out=incoming[:, :num_entered])
        if num_entered < num_states:
            moved = current.view(-1, batch_size).index_select(0, sources).view(*within.shape[:3], batch_size) + within
            torch.amax(moved, dim=2, out=incoming[:, num_entered:])
        opposite = num_tokens - 1 - position  # where the backward direction is
        if opposite >= shortest:  # rows that end before have not begun
            incoming[1] = torch.where(lengths > opposite, incoming[1], arrived[0, 1])
    states = torch.argsort(orders, dim=1)
    up_to = reached[:, 0].index_select(1, states[0])
    through = up_to + arrived[:-1, 1].flip(0).index_select(1, states[1])
    real = torch.arange(num_tokens, device=device)[:, None] < lengths  # (T, B)
    last = up_to.permute(2, 0, 1)[torch.arange(batch_size, device=device), (lengths - 1).clamp(min=0)]
    return BestScores(up_to, through, (norms * real).sum(dim=0) + (last + end).amax(dim=1))


def trace_back(up_to: Tensor, lengths: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """Follow the best path from each row's last token to its first.

    Args:
        up_to: (T, S, B) of `BestScores`.
        lengths: (B,).
        transitions: (S, S).
        end: (S,).

    Returns:
        (B, T) states; what stands at padding is arbitrary.
    """
    state = torch.zeros_like(lengths)
    path = []
    for position in range(len(up_to) - 1, -1, -1):
        scores = torch.where(lengths == position + 1, end[:, None], transitions[:, state])  # (S, B)
        state = (up_to[position] + scores).argmax(dim=0)
        path.append(state)
    return torch.stack(path[::-1], dim=1)


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
