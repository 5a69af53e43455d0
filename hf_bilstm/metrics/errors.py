"""Kinds of errors: what a tagger did instead of each span it got wrong, in plain Python."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hf_bilstm.models.tagging_schemes import Span

MISSED, SPURIOUS, WRONG_TYPE, WRONG_BOUNDARY = KINDS = ("missed", "spurious", "wrong_type", "wrong_boundary")


class SpanError(NamedTuple):
    """One error: its `kind` (one of `KINDS`), the `gold` span and the `predicted` one, None where there is none."""

    kind: str
    gold: Span | None
    predicted: Span | None

    @property
    def focus(self) -> Span:
        """The stretch of tokens that the error is about, from the first start to the last end."""
        spans = [span for span in (self.gold, self.predicted) if span is not None]
        return Span(spans[0].label, min(span.start for span in spans), max(span.end for span in spans))


def overlap(first: Span, second: Span) -> int:
    """Count the tokens that two spans share."""
    return max(0, min(first.end, second.end) - max(first.start, second.start))


def pair_errors(gold_spans: Iterable[Span], predicted_spans: Iterable[Span]) -> list[SpanError]:
    """Pair the wrong spans of a sentence with what stands in their place.

    Spans that are exactly right are left out. Of the others, two with the same boundaries make a `wrong_type`; then
    two of the same type that overlap make a `wrong_boundary`, those that share most tokens first; what is left over is
    `missed` if gold and `spurious` if predicted. Every wrong span is in exactly one error.

    Args:
        gold_spans: Right spans of one sentence.
        predicted_spans: Predicted spans of the same sentence.

    Returns:
        Errors in order of position.
    """
    gold, predicted = set(gold_spans), set(predicted_spans)
    gold, predicted = gold - predicted, predicted - gold
    errors = []
    touching = _touching_pairs(gold, predicted)
    for kind in (WRONG_TYPE, WRONG_BOUNDARY):
        for right, wrong in touching:
            fits = right[1:] == wrong[1:] if kind == WRONG_TYPE else right.label == wrong.label
            if fits and right in gold and wrong in predicted:
                errors.append(SpanError(kind, right, wrong))
                gold.remove(right)
                predicted.remove(wrong)
    errors += [SpanError(MISSED, right, None) for right in gold]
    errors += [SpanError(SPURIOUS, None, wrong) for wrong in predicted]
    return sorted(errors, key=lambda error: (error.focus.start, error.focus.end, KINDS.index(error.kind), error.focus))


def _touching_pairs(gold: Iterable[Span], predicted: Iterable[Span]) -> list[tuple[Span, Span]]:
    """List the pairs that share a token, those that share most first."""
    owners: dict[int, list[Span]] = {}
    for wrong in predicted:
        for token in range(wrong.start, wrong.end):
            owners.setdefault(token, []).append(wrong)
    pairs = {(right, wrong) for right in gold for t in range(right.start, right.end) for wrong in owners.get(t, ())}
    return sorted(pairs, key=lambda pair: (-overlap(*pair), pair))
