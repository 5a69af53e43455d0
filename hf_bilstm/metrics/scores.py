"""Precision, recall and F1 of spans, in plain Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hf_bilstm.models.tagging_schemes import Span, spans_to_tags, tags_to_spans


def span_scores(predicted_spans: Sequence[Sequence[Span]], gold_spans: Sequence[Sequence[Span]]) -> dict[str, Any]:
    """Score predicted spans, which are right if label, start and end are; a ratio to nothing is 0.

    Args:
        predicted_spans: Spans of every sentence.
        gold_spans: Spans that are right, of the same sentences.

    Returns:
        `precision`, `recall` and `f1` over all spans (micro); `macro_precision`, `macro_recall` and `macro_f1`, means
        over the types that occur in `gold_spans`; and `per_type`, for every type that occurs at all its `precision`,
        `recall`, `f1` and `number` of gold spans.

    Raises:
        ValueError: If the numbers of sentences differ.
    """
    if len(predicted_spans) != len(gold_spans):
        raise ValueError(
            f"{len(predicted_spans)} sentences of predicted spans but {len(gold_spans)} of gold spans; give both for "
            f"every sentence."
        )
    predicted: Counter[str] = Counter()
    gold: Counter[str] = Counter()
    correct: Counter[str] = Counter()
    for of_prediction, of_gold in zip(predicted_spans, gold_spans, strict=True):
        predicted.update(span[0] for span in of_prediction)
        gold.update(span[0] for span in of_gold)
        correct.update(span[0] for span in set(of_prediction) & set(of_gold))
    per_type = {
        kind: {**_ratios(correct[kind], predicted[kind], gold[kind]), "number": gold[kind]}
        for kind in sorted({*predicted, *gold})
    }
    averaged = [scores for scores in per_type.values() if scores["number"]]
    return {
        **_ratios(correct.total(), predicted.total(), gold.total()),
        **{
            f"macro_{name}": divide(sum(scores[name] for scores in averaged), len(averaged))
            for name in ("precision", "recall", "f1")
        },
        "per_type": per_type,
    }


def strict_spans(tags: Sequence[str], scheme: str) -> list[Span]:
    """Read the spans whose every tag is as the scheme writes it; a span with an illegal tag is none.

    Args:
        tags: Tags of one sentence, legal or not.
        scheme: One of `hf_bilstm.models.tagging_schemes.SCHEMES`.

    Returns:
        Spans in order of position.

    Raises:
        ValueError: If the scheme is unknown or a tag's prefix is not one of the scheme's.
    """
    spans = tags_to_spans(tags, scheme)
    legal = spans_to_tags(spans, len(tags), scheme)
    return [span for span in spans if list(tags[span.start : span.end]) == legal[span.start : span.end]]


def check_lengths(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> None:
    """Check that every sentence has as many predicted tags as it has references.

    Args:
        predictions: Predicted tags of every sentence.
        references: Right tags of every sentence.

    Raises:
        ValueError: If a sentence has not; the message names it, counted from 0.
    """
    for number, (predicted, right) in enumerate(zip(predictions, references, strict=True)):
        if len(predicted) != len(right):
            raise ValueError(
                f"Sentence {number}: {len(predicted)} predicted tags but {len(right)} references. Was the sentence "
                f"truncated, or were the -100 positions dropped from one side only?"
            )


def divide(numerator: float, denominator: float) -> float:
    """Divide, with 0 for a ratio to nothing."""
    return numerator / denominator if denominator else 0.0


def _ratios(correct: int, predicted: int, gold: int) -> dict[str, float]:
    return {
        "precision": divide(correct, predicted),
        "recall": divide(correct, gold),
        "f1": divide(2 * correct, predicted + gold),
    }
