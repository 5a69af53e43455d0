"""Predictions of a tagger over a data set, and their scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import EvalPrediction, PreTrainedModel, PreTrainedTokenizerBase

from hf_bilstm.data import decode_labels
from hf_bilstm.metrics import SpanF1, TagAccuracy

if TYPE_CHECKING:
    from datasets import Dataset

# Scores of a task are those of spans, but for tags that mark none.
_SCALARS = {"pos": ("accuracy", "macro_f1")}
_SPAN_SCALARS = ("precision", "recall", "f1", "macro_f1", "accuracy")


def main_metric(task: str) -> str:
    """Name the score that a task is judged by."""
    return "accuracy" if task == "pos" else "f1"


def score_tags(task: str, predictions: list[list[str]], references: list[list[str]]) -> dict[str, Any]:
    """Score tag sequences with the metric of the task.

    Args:
        task: "pos" for tag accuracy, any other for strict span scores.
        predictions: Predicted tags of each sentence, in IOB2 or plain.
        references: Gold tags of each sentence.

    Returns:
        The metric's scores, with a table by type or tag.
    """
    metric = TagAccuracy() if task == "pos" else SpanF1()
    return metric.compute(predictions=predictions, references=references)


def make_compute_metrics(task: str, labels: Sequence[str]) -> Callable[[EvalPrediction], dict[str, float]]:
    """Make the function that the Trainer calls with label ids predicted and given.

    Args:
        task: The recipe's task.
        labels: The model's labels in the order of their ids.

    Returns:
        A function that gives the task's scalar scores.
    """
    id2label = dict(enumerate(labels))

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        gold = np.asarray(prediction.label_ids)
        predicted = np.where(gold == -100, -100, prediction.predictions)
        scores = score_tags(task, decode_labels(predicted, id2label), decode_labels(gold, id2label))
        return {name: scores[name] for name in _SCALARS.get(task, _SPAN_SCALARS)}

    return compute_metrics


def keep_best_labels(logits: torch.Tensor | tuple[torch.Tensor, ...], labels: torch.Tensor) -> torch.Tensor:
    """Reduce logits to label ids as soon as they are made (`preprocess_logits_for_metrics`), so none are stored."""
    return (logits[0] if isinstance(logits, tuple) else logits).argmax(dim=-1)


@torch.inference_mode()
def predict_label_ids(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, dataset: Dataset, tokens_per_batch: int = 8192
) -> list[np.ndarray]:
    """Tag an encoded data set in batches of sentences of like length.

    Args:
        model: A tagger.
        tokenizer: Its tokenizer, for padding.
        dataset: Columns `input_ids`, as `encode_dataset` makes them.
        tokens_per_batch: Most tokens of a batch, padding included; a longer sentence is a batch of its own.

    Returns:
        Label ids of each sentence, in the data set's order.
    """
    model.eval()
    input_ids = dataset["input_ids"][:]
    order = sorted(range(len(input_ids)), key=lambda row: len(input_ids[row]))
    predicted: list[np.ndarray] = [np.empty(0, dtype=np.int64)] * len(input_ids)
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and len(input_ids[order[end]]) * (end + 1 - start) <= tokens_per_batch:
            end += 1
        rows = order[start:end]
        batch = tokenizer.pad({"input_ids": [input_ids[row] for row in rows]}, return_tensors="pt").to(model.device)
        best = model(**batch).logits.argmax(dim=-1).cpu().numpy()
        kept = batch["attention_mask"].bool().cpu().numpy()
        for row, labels, real in zip(rows, best, kept, strict=True):
            predicted[row] = labels[real]
        start = end
    return predicted


def evaluate_tagger(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, dataset: Dataset, task: str
) -> dict[str, Any]:
    """Tag an encoded data set and score the tags.

    Args:
        model: A tagger.
        tokenizer: Its tokenizer.
        dataset: Columns `input_ids` and `labels`, as `encode_dataset` makes them.
        task: The recipe's task.

    Returns:
        Scores as `score_tags` gives them.
    """
    gold = [np.asarray(labels) for labels in dataset["labels"]]
    predicted = predict_label_ids(model, tokenizer, dataset)
    # A tag is scored where the data has one: a word's later sub-tokens may have none.
    predicted = [np.where(given == -100, -100, best) for given, best in zip(gold, predicted, strict=True)]
    id2label = dict(enumerate(model.config.labels))
    return score_tags(task, decode_labels(predicted, id2label), decode_labels(gold, id2label))
