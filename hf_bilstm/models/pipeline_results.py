"""What the tag pipeline finds in a batch, and how it is written down.

Letters in shape comments: B rows of a batch, K taggings of a row, T tokens, S states, N spans.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from .pipeline_options import TaggingOptions
from .tagging_schemes import spans_to_tags
from .tokenizer_backend import WHITE_SPACE

_WHITE_SPACE_RUN = re.compile(f"[{WHITE_SPACE}]+")


class Row(NamedTuple):
    """A text and its tokens."""

    text: str
    ids: list[int]
    offsets: np.ndarray  # (T, 2) first character of each token, and the one after its last
    characters: np.ndarray | None  # (T, C) ids of each token's characters, where the model looks into words


class Spans(NamedTuple):
    """Spans of a batch, a list for each of their properties: an object for each span would keep the collector busy."""

    labels: list[str]
    scores: list[float]
    firsts: list[int]  # token
    ends: list[int]  # token after the last
    starts: list[int]  # character
    stops: list[int]  # character after the last

    def between(self, first: int, last: int) -> Spans:
        """Take some neighbours."""
        cut = slice(first, last)
        return Spans(
            self.labels[cut], self.scores[cut], self.firsts[cut], self.ends[cut], self.starts[cut], self.stops[cut]
        )


def find_spans(paths: np.ndarray, real: np.ndarray, begins: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Find where the spans of legal paths begin and end.

    Args:
        paths: (B, K, T) states.
        real: (B, 1, T) bool, whether there is a token.
        begins: (S,) bool, whether a state is the first of a span, or of no span.
        wanted: (S,) bool, whether the spans that begin with a state are to be found.

    Returns:
        (N, 4): row, place among its paths, first token, token after the last; sorted.
    """
    shape = (*paths.shape[:2], paths.shape[2] + 1)  # one more, so that every span ends at a boundary of its own row
    boundary, is_first = np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool)
    begun = begins[paths]
    boundary[:, :, :-1] = begun | ~real
    is_first[:, :, :-1] = begun & wanted[paths] & real
    places = boundary.reshape(-1).nonzero()[0]
    is_first = is_first.reshape(-1)[places]
    rows, ranks, first = np.unravel_index(places[is_first], boundary.shape)
    sizes = (places[1:] - places[:-1])[is_first[:-1]]  # no span begins at the last boundary
    return np.array((rows, ranks, first, first + sizes)).T


def write_results(
    rows: list[Row], taggings: list[list[tuple[float, Spans]]], options: TaggingOptions, white_space_parts: bool
) -> list[Any]:
    """Write down what a call asks for.

    Args:
        rows: Texts.
        taggings: The taggings of each, best first: probability and spans.
        options: What is asked for.
        white_space_parts: Whether white space inside of a span parts words.

    Returns:
        The result for each text.
    """
    if options.n_best is not None:
        return [
            [{"score": score, "spans": _write_spans(row, spans)} for score, spans in ranked]
            for row, ranked in zip(rows, taggings, strict=True)
        ]
    best = [(row, spans) for row, ((_, spans),) in zip(rows, taggings, strict=True)]
    if options.return_words:
        return [_write_words(row, spans, white_space_parts) for row, spans in best]
    if options.scheme is not None:
        return [_write_tags(row, spans, options.scheme) for row, spans in best]
    return [_write_spans(row, spans) for row, spans in best]


def _write_spans(row: Row, spans: Spans) -> list[dict[str, Any]]:
    """Write spans as the stock pipeline does."""
    text = row.text
    return [
        {"entity_group": label, "score": score, "word": text[start:stop], "start": start, "end": stop}
        for label, score, start, stop in zip(spans.labels, spans.scores, spans.starts, spans.stops, strict=True)
    ]


def _write_tags(row: Row, spans: Spans, scheme: str) -> list[dict[str, Any]]:
    """Write each token with its tag."""
    tags = spans_to_tags(zip(spans.labels, spans.firsts, spans.ends, strict=True), len(row.ids), scheme)
    return [
        {"token": row.text[start:end], "tag": tag, "start": start, "end": end}
        for tag, (start, end) in zip(tags, row.offsets.tolist(), strict=True)
    ]


def _write_words(row: Row, spans: Spans, white_space_parts: bool) -> list[str]:
    """Write the words; white space alone is none."""
    pieces = (row.text[start:stop] for start, stop in zip(spans.starts, spans.stops, strict=True))
    if white_space_parts:
        return [word for piece in pieces for word in _WHITE_SPACE_RUN.split(piece) if word]
    return [piece for piece in pieces if piece.strip(WHITE_SPACE)]
