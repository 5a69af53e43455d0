"""Strict F1 of the spans that tags mark: named entities, words, slots."""

from __future__ import annotations

from typing import Any

import evaluate

from hf_bilstm.metrics.offline import OfflineMetric, tag_sequences_info
from hf_bilstm.metrics.scores import check_lengths, span_scores, strict_spans
from hf_bilstm.models.tagging_schemes import Span

__all__ = ["SpanF1", "span_scores"]


class SpanF1(OfflineMetric):
    """Strict span scores of tag sequences, equal to seqeval's in its strict mode.

    `compute(predictions=..., references=..., scheme="iob2")` takes a list of tags a sentence and any scheme of
    `hf_bilstm.models.tagging_schemes.SCHEMES`. It returns what `span_scores` does, and `accuracy`, the share of right
    tags. A span counts only if every one of its tags is legal: a stray `I-PER` in IOB2 is no span.
    """

    def _info(self) -> evaluate.MetricInfo:
        return tag_sequences_info(
            "Strict precision, recall and F1 of labelled spans (type, start and end must be right).",
            "predictions, references: tags, one list a sentence. scheme: 'iob2' (default), 'iob1', 'bioes', 'bmes' or "
            "'bilou'. Returns precision, recall, f1, macro_precision, macro_recall, macro_f1, per_type, accuracy.",
        )

    def _compute(
        self, predictions: list[list[str]], references: list[list[str]], scheme: str = "iob2"
    ) -> dict[str, Any]:
        check_lengths(predictions, references)
        tags = sum(map(len, references))
        right = sum(a == b for pair in zip(predictions, references, strict=True) for a, b in zip(*pair, strict=True))
        scores = span_scores(_read(predictions, scheme, "predictions"), _read(references, scheme, "references"))
        return {**scores, "accuracy": right / tags if tags else 0.0}


def _read(sentences: list[list[str]], scheme: str, side: str) -> list[list[Span]]:
    spans = []
    for number, tags in enumerate(sentences):
        try:
            spans.append(strict_spans(tags, scheme))
        except ValueError as error:
            raise ValueError(
                f"Sentence {number} of the {side}: {error} Give the tags' scheme with scheme=…."
            ) from error
    return spans
