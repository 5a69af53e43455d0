"""Accuracy of plain tags: parts of speech."""

from __future__ import annotations

from typing import Any

import evaluate

from hf_bilstm.metrics.offline import OfflineMetric, tag_sequences_info
from hf_bilstm.metrics.scores import check_lengths, span_scores
from hf_bilstm.models.tagging_schemes import Span


class TagAccuracy(OfflineMetric):
    """Scores of tag sequences in which every tag stands for itself.

    `compute(predictions=..., references=...)` takes a list of tags a sentence. It returns `accuracy`, the share of
    right tags; `macro_f1`, the mean F1 of the tags that occur in the references; and `per_tag`, the `precision`,
    `recall`, `f1` and `number` of references of every tag.
    """

    def _info(self) -> evaluate.MetricInfo:
        return tag_sequences_info(
            "Accuracy of tags, and precision, recall and F1 of each.",
            "predictions, references: tags, one list a sentence. Returns accuracy, macro_f1, per_tag.",
        )

    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, Any]:
        check_lengths(predictions, references)
        scores = span_scores([_single(tags) for tags in predictions], [_single(tags) for tags in references])
        # Of spans that are one token each, one a token, the share of right ones is the accuracy.
        return {"accuracy": scores["recall"], "macro_f1": scores["macro_f1"], "per_tag": scores["per_type"]}


def _single(tags: list[str]) -> list[Span]:
    return [Span(tag, position, position + 1) for position, tag in enumerate(tags)]
