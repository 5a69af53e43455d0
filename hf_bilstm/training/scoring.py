"""Predictions of a tagger over a data set, and their scores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import EvalPrediction, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from hf_bilstm.data import decode_labels
from hf_bilstm.data.encoding import IGNORED
from hf_bilstm.data.normalization import WORD_LABEL
from hf_bilstm.metrics import SpanF1, TagAccuracy, TextClassification, WordSegmentation
from hf_bilstm.models.tagging_schemes import OUTSIDE

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.get_logger(__name__)

_SPAN_SCALARS = ("precision", "recall", "f1", "macro_f1", "accuracy")
# Scores of a task are those of spans, but for tags that mark none, and for words with tags.
_LABEL_SCALARS = ("accuracy", "macro_f1")
_SCALARS = {"pos": _LABEL_SCALARS, "segmentation_pos": (*_SPAN_SCALARS, "word_f1")}


def is_segmentation(task: str) -> bool:
    """Say whether a task finds words."""
    return task in ("segmentation", "segmentation_pos")


def main_metric(task: str) -> str:
    """Name the score that a task is judged by."""
    return "accuracy" if task in ("pos", "classification") else "f1"


def score_tags(
    task: str,
    predictions: list[list[str]],
    references: list[list[str]],
    tokens: Sequence[Sequence[str]] | None = None,
    training_words: Collection[str] | None = None,
) -> dict[str, Any]:
    """Score tag sequences with the metric of the task.

    Args:
        task: "pos" for tag accuracy, "segmentation" and "segmentation_pos" for scores of words, any other for strict
            span scores.
        predictions: Predicted tags of each sentence, in IOB2 or plain.
        references: Gold tags of each sentence.
        tokens: Tokens of each sentence; segmentation needs them with `training_words`.
        training_words: Words that segmentation does not count as out of the vocabulary; None leaves that score out.

    Returns:
        The metric's scores, with a table by type or tag.
    """
    if is_segmentation(task):
        return WordSegmentation().compute(
            predictions=predictions, references=references, tokens=tokens, training_words=training_words
        )
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
        if task == "classification":
            best, right = ([id2label[int(label)] for label in ids] for ids in (prediction.predictions, gold))
            scores = TextClassification().compute(predictions=best, references=right)
            return {name: scores[name] for name in _LABEL_SCALARS}
        predicted = np.where(gold == -100, -100, prediction.predictions)
        scores = score_tags(task, decode_labels(predicted, id2label), decode_labels(gold, id2label))
        return {name: scores[name] for name in _SCALARS.get(task, _SPAN_SCALARS)}

    return compute_metrics


def keep_best_labels(logits: torch.Tensor | tuple[torch.Tensor, ...], labels: torch.Tensor) -> torch.Tensor:
    """Reduce logits to label ids as soon as they are made (`preprocess_logits_for_metrics`), so none are stored."""
    return (logits[0] if isinstance(logits, tuple) else logits).argmax(dim=-1)


def input_columns(dataset: Dataset) -> dict[str, list[Any]]:
    """Give the columns of an encoded data set that a model is called with, but for the attention mask."""
    return {name: dataset[name][:] for name in ("input_ids", "char_input_ids") if name in dataset.column_names}


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
    columns = input_columns(dataset)
    predicted: list[np.ndarray] = [np.empty(0, dtype=np.int64)] * len(dataset)
    for rows in batches_by_length([len(ids) for ids in columns["input_ids"]], tokens_per_batch):
        batch = tokenizer.pad(
            {name: [values[row] for row in rows] for name, values in columns.items()}, return_tensors="pt"
        ).to(model.device)
        best = model(**batch).logits.argmax(dim=-1).cpu().numpy()
        kept = batch["attention_mask"].bool().cpu().numpy()
        for row, labels, real in zip(rows, best, kept, strict=True):
            predicted[row] = labels[real]
    return predicted


def batches_by_length(lengths: Sequence[int], tokens_per_batch: int) -> Iterator[list[int]]:
    """Put rows of like length together.

    Args:
        lengths: Tokens of each row.
        tokens_per_batch: Most tokens of a batch, padding included; a longer row is a batch of its own.

    Yields:
        Places of the rows of a batch, the shortest rows first.
    """
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or lengths[order[end]] * (end + 1 - start) > tokens_per_batch:
            yield order[start:end]
            start = end


def labels_for_scoring(task: str, labels: Sequence[str], data: Dataset) -> list[str]:
    """Add the labels of some data that a model has not learned to its own, where that is no mistake.

    Parts of speech of that kind count as missed. For segmentation the words are what counts, so that a model of words
    with tags can be scored by words alone. Unknown labels of other tasks are for the encoding to refuse.

    Args:
        task: The recipe's task.
        labels: The model's labels in the order of their ids.
        data: What is to be scored, with the column `tags`.

    Returns:
        Labels to encode the data with, the model's first.
    """
    if task != "pos" and not is_segmentation(task):
        return list(labels)
    unseen = sorted({tag for tags in data["tags"] for tag in tags} - set(labels))
    if unseen and task != "segmentation":
        logger.warning(f"The model never gives {', '.join(map(repr, unseen))}: its training data has no such tag.")
    return [*labels, *unseen]


def evaluate_tagger(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    dataset: Dataset,
    task: str,
    data: Dataset | None = None,
    training_words: Collection[str] | None = None,
    labels: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Tag an encoded data set and score the tags.

    Args:
        model: A tagger.
        tokenizer: Its tokenizer.
        dataset: Columns `input_ids` and `labels`, as `encode_dataset` makes them.
        task: The recipe's task.
        data: What was encoded, with the column `tokens`; needed with `training_words`.
        training_words: As in `score_tags`.
        labels: Labels that the data was encoded with; the model's when None.

    Returns:
        Scores as `score_tags` gives them.
    """
    gold = [np.asarray(labels) for labels in dataset["labels"]]
    predicted = predict_label_ids(model, tokenizer, dataset)
    # A tag is scored where the data has one: a word's later sub-tokens may have none.
    predicted = [np.where(given == -100, -100, best) for given, best in zip(gold, predicted, strict=True)]
    id2label = dict(enumerate(labels or model.config.labels))
    tags = decode_for_task(task, predicted, id2label), decode_for_task(task, gold, id2label)
    if data is None or training_words is None:
        return score_tags(task, *tags)
    tokens = [labelled_pieces(*row, tokenizer) for row in zip(data["tokens"], dataset["labels"], strict=True)]
    return score_tags(task, *tags, tokens, training_words)


def decode_for_task(task: str, label_ids: Iterable[Iterable[int]], id2label: Mapping[int, str]) -> list[list[str]]:
    """Turn label ids into tags; those of "segmentation" into tags of words, whatever types the labels have.

    Args:
        task: The recipe's task.
        label_ids: Label ids of each sentence.
        id2label: Label of every id.

    Returns:
        Tags of each sentence, without the positions that are -100.
    """
    if task == "segmentation":
        bare = {
            number: label if label == OUTSIDE else f"{label[0]}-{WORD_LABEL}" for number, label in id2label.items()
        }
        return decode_labels(label_ids, bare)
    return decode_labels(label_ids, id2label)


def labelled_pieces(tokens: list[str], labels: list[int], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Cut the tokens of a sentence as the tokenizer does, and keep the pieces that have a label.

    Args:
        tokens: Tokens of one sentence.
        labels: Label ids that `encode_dataset` gave it.
        tokenizer: The tokenizer it was encoded with.

    Returns:
        As many pieces as there are labels other than -100.
    """
    pieces = tokens
    if len(tokens) != len(labels):
        encoding = tokenizer(tokens, is_split_into_words=True, return_offsets_mapping=True, truncation=False)
        owners, offsets = encoding.word_ids(), encoding["offset_mapping"]
        pieces = ["" if i is None else tokens[i][slice(*part)] for i, part in zip(owners, offsets, strict=True)]
    return [piece for piece, label in zip(pieces, labels, strict=True) if label != IGNORED]


def write_training_words(words: Collection[str], file: str | Path) -> None:
    """Write the words of the training data, sorted, one a line, by which a later evaluation tells unseen words.

    Args:
        words: The words.
        file: Where to.
    """
    Path(file).write_text("".join(f"{word}\n" for word in sorted(words)), encoding="utf-8", newline="\n")


def read_training_words(file: str | Path) -> frozenset[str]:
    """Read what `write_training_words` wrote."""
    return frozenset(Path(file).read_text(encoding="utf-8").split("\n")) - {""}
