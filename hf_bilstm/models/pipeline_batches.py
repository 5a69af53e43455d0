"""What the tag pipeline reads at once: windows of its inputs, and batches of like lengths of a window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .rows import like_lengths

# Padded tokens of a batch, unless one text alone has more: bounds memory and what is lost to padding.
_TOKEN_BUDGET = 16_384
# What a step over a batch costs beside its rows, in rows; measured with 200 units on a CPU.
_STEP_COST = 8
# Characters from which a window is full: bounds the memory that very long texts take.
_WINDOW_CHARACTERS = 1_000_000


def read_windows(inputs: Iterable[Any], is_split_into_words: bool, most: int) -> Iterator[list[Any]]:
    """Check inputs, and part them into windows as they are read; each is sorted by length and parted into batches.

    Args:
        inputs: Texts, or lists of tokens.
        is_split_into_words: Whether they are lists of tokens.
        most: Inputs of a window at most; fewer when they are long.

    Returns:
        The windows.

    Raises:
        ValueError: If an input is of another kind.
    """
    window: list[Any] = []
    characters = 0
    for position, item in enumerate(inputs):
        if is_split_into_words:
            if not isinstance(item, (list, tuple)) or not all(isinstance(token, str) for token in item):
                raise ValueError(
                    f"inputs[{position}] is {item!r:.80}: is_split_into_words=True takes lists of strings, the "
                    f"tokens of a text."
                )
        elif not isinstance(item, str):
            raise ValueError(
                f"inputs[{position}] is {item!r:.80}: it takes a string; for lists of tokens say "
                f"is_split_into_words=True."
            )
        window.append(item)
        characters += sum(map(len, item)) if is_split_into_words else len(item)
        if len(window) >= most or characters >= _WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


def part_batches(lengths: list[int], batch_size: int) -> Iterator[list[int]]:
    """Part rows into batches of about equal lengths, the longest first.

    Args:
        lengths: Tokens of each row, or about as many.
        batch_size: Rows of a batch at most; fewer when they are long.

    Returns:
        The places of each batch's rows.
    """
    # From long to short, so that workers end together.
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    for first, end in like_lengths([lengths[place] for place in order], _STEP_COST):
        most = min(batch_size, max(1, _TOKEN_BUDGET // max(1, lengths[order[first]])))
        num_batches = -(-(end - first) // most)
        for number in range(num_batches):  # of about equal size
            start, stop = (first + (end - first) * n // num_batches for n in (number, number + 1))
            yield order[start:stop]
