"""How sentences share rows, end to end, or groups, by length: so that little is spent on padding.

Letters in shape comments: B sentences, T tokens of the longest, R rows, L places of a row, D features.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from functools import cached_property

import torch
from torch import Tensor

# Padded tokens for each real one from which joining sentences pays.
_MOST_PADDING = 1.2


class Rows:
    """Sentences as they come, each in a row of its own and padded on the right.

    Args:
        lengths: (B,) tokens of each sentence.
        num_tokens: T.

    Attributes:
        between: (R, L) true where no token stands, in rows of several sentences; None in rows of one.
    """

    between: Tensor | None = None

    def __init__(self, lengths: Tensor, num_tokens: int) -> None:
        self.lengths = lengths
        self.num_tokens = num_tokens

    @cached_property
    def reversal(self) -> Tensor | None:
        """(B, T) index that reverses each row within its own length; None where all of a row is to be turned."""
        is_whole = is_eager() and self.lengths.device.type == "cpu" and int(self.lengths.min()) == self.num_tokens
        return None if is_whole else reversal_index(self.lengths, self.num_tokens)

    def join(self, values: Tensor) -> Tensor:
        """Bring (B, T, D) values of tokens into rows."""
        return values

    def part(self, values: Tensor) -> Tensor:
        """Bring values of rows back to the sentences, (B, T, D); what stands at padding is arbitrary."""
        return values

    def spread(self, values: Tensor) -> Tensor:
        """Give (B, D) values of sentences to each of their tokens: (B, 1, D), for all of a row."""
        return values[:, None]


class JoinedRows(Rows):
    """Sentences end to end in rows as long as the longest, with a place between one and the next.

    A network over the rows must forget at these places what it has read (resetting.py).

    Args:
        lengths: (B,) tokens of each sentence, at least one of all.
        num_tokens: T.
    """

    reversal = None

    def __init__(self, lengths: Tensor, num_tokens: int) -> None:
        super().__init__(lengths, num_tokens)
        starts, num_rows = join_end_to_end(lengths.tolist())
        positions = torch.arange(num_tokens, device=lengths.device)
        mask = positions < lengths[:, None]  # (B, T)
        places = (torch.tensor(starts, device=lengths.device)[:, None] + positions).masked_fill(~mask, 0)
        real = mask.flatten().nonzero().squeeze(1)  # (N,) place of each token in the (B, T) of all sentences
        taken = places.flatten()[real]  # (N,) and its place in the rows
        self._shape = num_rows, int(lengths.max())
        self._places = places
        self._tokens = lengths.new_zeros(self._shape).flatten().index_copy_(0, taken, real)  # (R * L,) of `real`
        between = torch.ones_like(self._tokens, dtype=torch.bool).index_fill_(0, taken, False)
        self.between = between.view(self._shape)

    def join(self, values: Tensor) -> Tensor:
        """Bring (B, T, D) values of tokens into rows, (R, L, D), with 0 between sentences."""
        size = values.shape[-1]
        joined = values.reshape(-1, size).index_select(0, self._tokens).view(*self._shape, size)
        return joined.masked_fill(self.between[:, :, None], 0.0)  # type: ignore[index]

    def part(self, values: Tensor) -> Tensor:
        """Bring (R, L, D) values of rows back to the sentences, (B, T, D); what stands at padding is arbitrary."""
        size = values.shape[-1]
        return values.reshape(-1, size).index_select(0, self._places.flatten()).view(*self._places.shape, size)

    def spread(self, values: Tensor) -> Tensor:
        """Give (B, D) values of sentences to each of their tokens: (R, L, D); what stands between is arbitrary."""
        sentences = self._tokens // self.num_tokens
        return values.index_select(0, sentences).view(*self._shape, values.shape[1])


def arrange(lengths: Tensor, num_tokens: int, can_reset: bool) -> Rows:
    """Choose how sentences are run: joined where a CPU would lose much time on padding.

    Args:
        lengths: (B,) tokens of each sentence.
        num_tokens: T, as many as the longest has, or more.
        can_reset: Whether the networks can forget between the sentences of a row.

    Returns:
        The rows.
    """
    if can_reset and lengths.device.type == "cpu" and is_eager():
        num_real = int(lengths.sum())
        if len(lengths) * num_tokens > _MOST_PADDING * num_real > 0:
            return JoinedRows(lengths, num_tokens)
    return Rows(lengths, num_tokens)


def join_end_to_end(lengths: list[int]) -> tuple[list[int], int]:
    """Share sentences out among as few rows as best fit finds (Johnson 1974), the longest first.

    Args:
        lengths: Tokens of each sentence; a row has as many places as the longest.

    Returns:
        Place of each sentence's first token, counted over the rows one after the other, 0 where it has none; and the
        number of rows.
    """
    width = max(lengths)
    starts = [0] * len(lengths)
    rooms: list[tuple[int, int]] = []  # free places of a row and its number, rising
    num_rows = 0
    for place in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        length = lengths[place]
        if length == 0:
            break
        fit = bisect_left(rooms, (length,))
        if fit == len(rooms):
            room, row = width, num_rows
            num_rows += 1
        else:
            room, row = rooms.pop(fit)
        starts[place] = row * width + width - room
        insort(rooms, (room - length - 1, row))  # one place stays between it and the next
    return starts, num_rows


def like_lengths(lengths: list[int], step_cost: int) -> list[tuple[int, int]]:
    """Part rows that fall in length into groups, such that running the groups one by one costs least.

    Args:
        lengths: Tokens of each row, the longest first.
        step_cost: What a step over a group costs beside its rows, in rows.

    Returns:
        First row, and row after the last, of every group.
    """
    firsts = [row for row in range(len(lengths)) if row == 0 or lengths[row] != lengths[row - 1]]  # of each length
    bounds = [*firsts, len(lengths)]
    least, begins = [0], [0]  # of the rows before each bound: least cost, and the bound where the last group begins
    for bound in range(1, len(bounds)):
        costs = [
            least[first] + lengths[bounds[first]] * (step_cost + bounds[bound] - bounds[first])
            for first in range(bound)
        ]
        begins.append(min(range(bound), key=costs.__getitem__))
        least.append(costs[begins[-1]])
    groups = []
    bound = len(bounds) - 1
    while bound:
        groups.append((bounds[begins[bound]], bounds[bound]))
        bound = begins[bound]
    return groups[::-1]


def reversal_index(lengths: Tensor, num_tokens: int) -> Tensor:
    """Index that reverses each row within its own length and leaves its padding in place.

    Args:
        lengths: (B,) real tokens of each right-padded row.
        num_tokens: T.

    Returns:
        (B, T) positions for `Tensor.gather` along dimension 1; the index is its own inverse.
    """
    positions = torch.arange(num_tokens, device=lengths.device)
    mirrored = lengths[:, None] - 1 - positions
    return torch.where(mirrored >= 0, mirrored, positions)


def is_eager() -> bool:
    """Tell whether numbers may decide what is run: not in a program that is recorded for others."""
    return not (torch.compiler.is_compiling() or torch.jit.is_tracing())
