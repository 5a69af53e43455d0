"""Scores and reports of a model of any task: a tagger's, or a classifier's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_bilstm.models.modeling_sequence_classification import BiLstmForSequenceClassification
from hf_bilstm.training.classification import evaluate_classifier, report_classifier
from hf_bilstm.training.reports import report_tagger
from hf_bilstm.training.scoring import evaluate_tagger

if TYPE_CHECKING:
    from datasets import Dataset


def check_task(model: PreTrainedModel, task: str) -> None:
    """See that a model does what a task asks for.

    Args:
        model: The model.
        task: The recipe's task.

    Raises:
        ValueError: If one is of taggers and the other of classifiers.
    """
    classifies = isinstance(model, BiLstmForSequenceClassification)
    if classifies != (task == "classification"):
        raise ValueError(
            f"The model is a {'classifier' if classifies else 'tagger'}, which does not fit task {task!r}: set "
            f"task to {'classification' if classifies else 'that of the tagger, such as ner'}."
        )


def evaluate_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    dataset: Dataset,
    task: str,
    data: Dataset,
    training_words: Collection[str] | None = None,
    labels: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Score a model on an encoded data set.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        dataset: What `encode_dataset` made of `data`.
        task: The recipe's task.
        data: Columns `tokens` and `tags`, or `text` and `label` of classification.
        training_words: As in `evaluate_tagger`.
        labels: As in `evaluate_tagger`.

    Returns:
        The scores of the task.
    """
    if task == "classification":
        return evaluate_classifier(model, tokenizer, dataset)
    return evaluate_tagger(model, tokenizer, dataset, task, data, training_words, labels)


def report_model(
    folder: str | Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: Dataset,
    encoded: Dataset,
    task: str,
    scores: Mapping[str, Any],
    labels: Sequence[str] | None = None,
) -> list[Path]:
    """Write the page of errors and the pictures of a model.

    Args:
        folder: Where to write; made if need be.
        model: The model.
        tokenizer: Its tokenizer.
        data: Columns `tokens` and `tags`, or `text` and `label` of classification.
        encoded: The same, as `encode_dataset` makes it.
        task: The recipe's task.
        scores: What `evaluate_model` gave.
        labels: As in `report_tagger`.

    Returns:
        The files written.
    """
    if task == "classification":
        return report_classifier(folder, model, tokenizer, data, encoded, scores)
    return report_tagger(folder, model, tokenizer, data, encoded, task, scores, labels)
