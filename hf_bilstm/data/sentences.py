"""Long paragraphs into sentences, with nothing lost: the pieces joined are the paragraph."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

from hf_bilstm.models.tagging_schemes import Span

_ENDS = frozenset("。！？；…!?｡")
_CLOSING = frozenset("”’」』）〕】》〉〗］｝＂＇)]}")
_STRAIGHT_QUOTES = frozenset("\"'")  # they close where as many as are odd stand before them
_PAUSES = frozenset("，、：,:;")


def split_sentences(text: str, max_length: int | None = None) -> list[str]:
    """Part a text into sentences, after 。！？；… and the closing quotes and brackets that follow.

    Args:
        text: A paragraph.
        max_length: Most characters of a piece: a longer sentence is parted after its last comma (or colon, or white
            space) that fits, or else at the limit. None for no limit.

    Returns:
        Pieces, none empty; `"".join(pieces) == text`.

    Raises:
        ValueError: If `max_length` is below 1.
    """
    places = [0, *cut_places(text, max_length=max_length)]
    return [text[start:end] for start, end in pairwise(places)]


def cut_places(
    units: Sequence[str], *, at_ends: bool = True, max_length: int | None = None, whole: Iterable[Span] = ()
) -> list[int]:
    """Find where to part a paragraph.

    Args:
        units: Its characters or words; none is ever cut.
        at_ends: Whether to part after the ends of sentences.
        max_length: Most characters of a piece, or None; a unit that alone is longer is a piece of its own.
        whole: Spans over units that stay in one piece.

    Returns:
        The position after the last unit of each piece, in rising order.

    Raises:
        ValueError: If `max_length` is below 1.
    """
    if max_length is not None and max_length < 1:
        raise ValueError(f"max_sentence_length must be 1 or more, or left out for no limit; got {max_length}.")
    if not units:
        return []
    forbidden = {place for span in whole for place in range(span.start + 1, span.end)}
    ends = [end for end in _sentence_ends(units) if end not in forbidden] if at_ends else [len(units)]
    if max_length is None:
        return ends
    return [place for start, end in pairwise([0, *ends]) for place in _fit(units, start, end, max_length, forbidden)]


def _sentence_ends(units: Sequence[str]) -> Iterator[int]:
    start = position = 0
    while position < len(units):
        position += 1
        if units[position - 1][-1] in _ENDS:
            while position < len(units) and _goes_on(units, start, position):
                position += 1
            yield position
            start = position
    if start < len(units):
        yield len(units)


def _goes_on(units: Sequence[str], start: int, position: int) -> bool:
    """Say whether the unit after a sentence's end still belongs to it: one more end, a closing quote or bracket."""
    unit = units[position]
    if unit in _STRAIGHT_QUOTES:
        return sum(other == unit for other in units[start:position]) % 2 == 1
    return all(character in _ENDS or character in _CLOSING for character in unit)


def _fit(units: Sequence[str], start: int, end: int, max_length: int, forbidden: set[int]) -> Iterator[int]:
    """Part the units from start to end into pieces of at most `max_length` characters."""
    before = [0, *accumulate(len(unit) for unit in units[start:end])]
    first = start
    while before[end - start] - before[first - start] > max_length:
        limit = start + bisect.bisect_right(before, before[first - start] + max_length) - 1
        fitting = [place for place in range(first + 1, limit + 1) if place not in forbidden]
        pauses = [place for place in fitting if units[place - 1][-1] in _PAUSES or units[place - 1].isspace()]
        beyond = (place for place in range(limit + 1, end) if place not in forbidden)
        chosen = (pauses or fitting)[-1] if fitting else next(beyond, end)
        if chosen == end:
            break
        yield chosen
        first = chosen
    yield end
