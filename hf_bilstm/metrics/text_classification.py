"""Scores of texts that have one label each."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from hf_bilstm.metrics.offline import OfflineMetric
from hf_bilstm.metrics.scores import span_scores
from hf_bilstm.models.tagging_schemes import Span


class TextClassification(OfflineMetric):
    """Scores of predicted labels of texts.

    `compute(predictions=..., references=...)` takes a label a text. It returns `accuracy`, the share of right labels;
    `macro_f1`, the mean F1 of the labels that occur in the references; and `per_label`, the `precision`, `recall`,
    `f1` and `number` of references of every label.
    """

    def _info(self) -> evaluate.MetricInfo:
        label = datasets.Value("string")
        return evaluate.MetricInfo(
            description="Accuracy of texts' labels, and precision, recall and F1 of each label.",
            citation="",
            inputs_description="predictions, references: a label a text. Returns accuracy, macro_f1, per_label.",
            features=datasets.Features({"predictions": label, "references": label}),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, Any]:
        scores = span_scores([_whole(label) for label in predictions], [_whole(label) for label in references])
        # Of spans that are one whole text each, the share of right ones is the accuracy.
        return {"accuracy": scores["recall"], "macro_f1": scores["macro_f1"], "per_label": scores["per_type"]}


def _whole(label: str) -> list[Span]:
    return [Span(label, 0, 1)]
