"""Predictions of a classifier over a data set, their scores, and what it gets wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_bilstm.metrics import TextClassification
from hf_bilstm.metrics.errors import pair_errors
from hf_bilstm.models.tagging_schemes import Span
from hf_bilstm.training.error_page import Sentence
from hf_bilstm.training.reports import confusion_counts, score_bins, summarize, write_pages
from hf_bilstm.training.scoring import batches_by_length, input_columns
from hf_bilstm.training.text_error_page import TextError, render_text_errors

if TYPE_CHECKING:
    from datasets import Dataset


@torch.inference_mode()
def predict_probabilities(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, dataset: Dataset, tokens_per_batch: int = 8192
) -> np.ndarray:
    """Classify an encoded data set in batches of texts of like length.

    Args:
        model: A classifier with one label a text.
        tokenizer: Its tokenizer, for padding.
        dataset: Column `input_ids`, as `encode_dataset` makes it.
        tokens_per_batch: Most tokens of a batch, padding included; a longer text is a batch of its own.

    Returns:
        (N, L) probabilities, in the data set's order.
    """
    model.eval()
    columns = input_columns(dataset)
    probabilities = np.empty((len(dataset), len(model.config.labels)), dtype=np.float32)
    for rows in batches_by_length([len(ids) for ids in columns["input_ids"]], tokens_per_batch):
        batch = tokenizer.pad(
            {name: [values[row] for row in rows] for name, values in columns.items()}, return_tensors="pt"
        ).to(model.device)
        probabilities[rows] = model(**batch).logits.softmax(dim=-1).cpu().numpy()
    return probabilities


def evaluate_classifier(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, dataset: Dataset
) -> dict[str, Any]:
    """Classify an encoded data set and score the labels.

    Args:
        model: A classifier with one label a text.
        tokenizer: Its tokenizer.
        dataset: Columns `input_ids` and `labels`, as `encode_dataset` makes them.

    Returns:
        What `TextClassification` gives: `accuracy`, `macro_f1` and `per_label`.
    """
    labels = model.config.labels
    best = predict_probabilities(model, tokenizer, dataset).argmax(axis=1)
    return TextClassification().compute(
        predictions=[labels[number] for number in best], references=[labels[number] for number in dataset["labels"]]
    )


def report_classifier(
    folder: str | Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: Dataset,
    encoded: Dataset,
    scores: Mapping[str, Any],
) -> list[Path]:
    """Write errors.html, confusion_matrix.png and length_curve.png of a classifier.

    Args:
        folder: Where to write; made if need be.
        model: A classifier with one label a text.
        tokenizer: Its tokenizer.
        data: Columns `text` and `label`.
        encoded: The same, as `encode_dataset` makes it.
        scores: What `evaluate_classifier` gave.

    Returns:
        The files written.
    """
    labels = model.config.labels
    probabilities = predict_probabilities(model, tokenizer, encoded)
    predicted = [labels[number] for number in probabilities.argmax(axis=1)]
    gold, texts = data["label"][:], data["text"][:]
    errors = [
        TextError(
            number,
            texts[number],
            gold[number],
            predicted[number],
            float(row.max()),
            float(row[labels.index(gold[number])]),
        )
        for number, row in enumerate(probabilities)
        if gold[number] != predicted[number]
    ]
    page = render_text_errors(errors, summarize(scores, accuracy="accuracy"), gold, predicted)
    lengths = list(map(len, texts))
    # Of cases with one gold and one predicted label each, F1 is the accuracy.
    cases = [(length, 1, 1, int(a == b)) for length, a, b in zip(lengths, gold, predicted, strict=True)]
    panels = [("characters in the text", "texts", score_bins(cases, lengths))]
    return write_pages(folder, page, confusion_counts(_as_sentences(gold, predicted), True), panels, "accuracy")


def _as_sentences(gold: Sequence[str], predicted: Sequence[str]) -> list[Sentence]:
    """Take each text for a sentence of one token with one tag, so that labels are counted as tags are."""
    sentences = []
    for pair in zip(gold, predicted, strict=True):
        right, given = ([Span(label, 0, 1)] for label in pair)
        sentences.append(Sentence([""], right, given, pair_errors(right, given)))
    return sentences
