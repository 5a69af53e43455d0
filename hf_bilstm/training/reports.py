"""What a tagger gets wrong, as pictures and as a page to read."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from hf_bilstm.data.encoding import IGNORED
from hf_bilstm.metrics.errors import WRONG_BOUNDARY, pair_errors
from hf_bilstm.metrics.scores import check_lengths, strict_spans
from hf_bilstm.models.tagging_schemes import Span
from hf_bilstm.training.confidence import span_posteriors
from hf_bilstm.training.error_page import Sentence, render_errors
from hf_bilstm.training.plots import plot_confusion_matrix, plot_length_curve
from hf_bilstm.training.scoring import decode_for_task, labelled_pieces, predict_label_ids

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.get_logger(__name__)

ERROR_PAGE, CONFUSION_MATRIX, LENGTH_CURVE = "errors.html", "confusion_matrix.png", "length_curve.png"
_MOST_TYPES = 40  # of a confusion matrix that can be read
_MOST_BINS = 8
_SUMMARY = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "accuracy": "tag accuracy",
    "macro_f1": "macro F1",
}


def report_tagger(
    folder: str | Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: Dataset,
    encoded: Dataset,
    task: str,
    scores: Mapping[str, Any],
    labels: Sequence[str] | None = None,
) -> list[Path]:
    """Tag a data set and report the errors.

    Args:
        folder: Where to write; made if need be.
        model: A tagger.
        tokenizer: Its tokenizer.
        data: Columns `tokens` and `tags`.
        encoded: The same, as `encode_dataset` makes it.
        task: The recipe's task.
        scores: What `evaluate_tagger` gave.
        labels: Labels that the data was encoded with; the model's when None.

    Returns:
        The files written.
    """
    given = [np.asarray(labels) for labels in encoded["labels"]]
    best = predict_label_ids(model, tokenizer, encoded)
    id2label = dict(enumerate(labels or model.config.labels))
    gold = decode_for_task(task, given, id2label)
    best = [np.where(g == IGNORED, IGNORED, b) for g, b in zip(given, best, strict=True)]
    predicted = decode_for_task(task, best, id2label)
    pieces = [labelled_pieces(*row, tokenizer) for row in zip(data["tokens"], encoded["labels"], strict=True)]
    wanted = [
        [span for error in sentence.errors for span in (error.gold, error.predicted) if span is not None]
        for sentence in _read(pieces, gold, predicted, task)
    ]
    posteriors = span_posteriors(model, tokenizer, encoded, wanted)
    return write_report(folder, pieces, gold, predicted, task, scores, posteriors)


def write_report(
    folder: str | Path,
    tokens: Sequence[Sequence[str]],
    gold_tags: Sequence[Sequence[str]],
    predicted_tags: Sequence[Sequence[str]],
    task: str,
    scores: Mapping[str, Any],
    posteriors: Sequence[Mapping[Span, float]] | None = None,
    errors_per_kind: int = 200,
) -> list[Path]:
    """Write errors.html, confusion_matrix.png and length_curve.png.

    Spans are read as `score_tags` reads them, so that the counts are those of the scores. Without matplotlib the page
    is written alone, with a warning.

    Args:
        folder: Where to write; made if need be.
        tokens: Tokens of each sentence.
        gold_tags: Right tags of each sentence, in IOB2 or plain.
        predicted_tags: Predicted tags of each sentence.
        task: "pos" for plain tags, any other for spans.
        scores: What `score_tags` gives, for the page's head.
        posteriors: The model's probability of wrong and missed spans of each sentence, as `span_posteriors` gives it;
            errors are sorted by it. None if it is not known.
        errors_per_kind: Most errors that the page shows of a kind.

    Returns:
        The files written.

    Raises:
        ValueError: If the numbers of tokens, gold and predicted tags differ.
    """
    sentences = _read(tokens, gold_tags, predicted_tags, task)
    plain = task == "pos"
    summary = summarize(scores)
    page = render_errors(sentences, summary, posteriors, plain, errors_per_kind)
    confusion, panels = confusion_counts(sentences, plain), length_panels(sentences, plain)
    return write_pages(folder, page, confusion, panels, "accuracy" if plain else "F1")


def write_pages(
    folder: str | Path,
    page: str,
    confusion: tuple[list[list[int]], list[str], list[str]],
    panels: Sequence[tuple[str, str, list[tuple[str, int, float | None]]]],
    metric: str,
) -> list[Path]:
    """Write the page of errors and the pictures into a folder, all or none; without matplotlib the page alone.

    Args:
        folder: Where to write; made if need be.
        page: HTML of the errors.
        confusion: What `confusion_counts` gives.
        panels: As `plot_length_curve` takes them.
        metric: Name of the score over lengths.

    Returns:
        The files written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as unfinished:
        # Data may hold half a surrogate pair, which no file can.
        Path(unfinished, ERROR_PAGE).write_text(page, encoding="utf-8", errors="replace")
        if find_spec("matplotlib") is None:
            logger.warning("matplotlib is missing, so the report has no pictures: pip install 'hf_bilstm[plots]'.")
        else:
            plot_confusion_matrix(*confusion, Path(unfinished, CONFUSION_MATRIX))
            plot_length_curve(panels, metric, Path(unfinished, LENGTH_CURVE))
        names = sorted(file.name for file in Path(unfinished).iterdir())
        for name in names:
            os.replace(Path(unfinished, name), folder / name)
    return [folder / name for name in names]


def summarize(scores: Mapping[str, Any], **names: str) -> list[tuple[str, str]]:
    """Give names and values of the scores that a page of errors opens with; names stand over the usual ones."""
    return [(name, f"{100 * scores[key]:.2f} %") for key, name in {**_SUMMARY, **names}.items() if key in scores]


def confusion_counts(sentences: Sequence[Sentence], plain: bool) -> tuple[list[list[int]], list[str], list[str]]:
    """Count predicted types by gold type.

    Args:
        sentences: Sentences with their spans and errors.
        plain: Whether every token is a span of its own, so that none is missed.

    Returns:
        Counts, names of the rows and names of the columns. The row of a gold type adds up to its gold spans, the
        column of a predicted one to its predicted spans. With spans, the rows and columns after the types are for
        wrong boundaries and for no span. The rarest types share a row if there are more than 40.
    """
    cells: Counter[tuple[str, str]] = Counter()
    frequency: Counter[str] = Counter()
    boundary, none = "(wrong boundary)", "(none)"
    for sentence in sentences:
        frequency.update(span.label for span in (*sentence.gold, *sentence.predicted))
        cells.update((span.label, span.label) for span in set(sentence.gold) & set(sentence.predicted))
        for kind, gold, predicted in sentence.errors:
            if kind == WRONG_BOUNDARY and gold and predicted:
                cells.update([(gold.label, boundary), (boundary, predicted.label)])
            else:
                cells[gold.label if gold else none, predicted.label if predicted else none] += 1
    types = sorted(frequency)
    rest = f"({len(types) - _MOST_TYPES + 1} rarer ones)"
    if len(types) > _MOST_TYPES:
        kept = {name for name, _ in frequency.most_common(_MOST_TYPES - 1)}
        merged: Counter[tuple[str, str]] = Counter()
        for (row, column), count in cells.items():
            merged[_or(row, kept, types, rest), _or(column, kept, types, rest)] += count
        cells, types = merged, [*sorted(kept), rest]
    names = [*types] if plain else [*types, boundary, none]
    return [[cells[row, column] for column in names] for row in names], names, names


def length_panels(
    sentences: Sequence[Sentence], plain: bool
) -> list[tuple[str, str, list[tuple[str, int, float | None]]]]:
    """Score by the length of sentences, and by that of spans (of tokens, where tags are plain).

    Args:
        sentences: Sentences with their spans.
        plain: Whether every token is a span of its own.

    Returns:
        Panels as `plot_length_curve` takes them. Bins hold about equally many cases.
    """
    by_sentence = [(len(sentence.tokens), *_tally(sentence)) for sentence in sentences]
    by_span: list[tuple[int, int, int, int]] = []
    for sentence in sentences:

        def length(span: Span, tokens: Sequence[str] = sentence.tokens) -> int:
            return len(tokens[span.start]) if plain else span.end - span.start

        predicted = set(sentence.predicted)
        by_span += [(length(span), 1, 0, int(span in predicted)) for span in sentence.gold]
        by_span += [(length(span), 0, 1, 0) for span in sentence.predicted]
    return [
        ("tokens in the sentence", "sentences", score_bins(by_sentence, [row[0] for row in by_sentence])),
        (
            "characters in the token" if plain else "tokens in the span",
            "tokens" if plain else "gold spans",
            score_bins(by_span, [row[0] for row in by_span if row[1]]),
        ),
    ]


def length_bins(lengths: Sequence[int], most: int = _MOST_BINS) -> list[tuple[int, int]]:
    """Part lengths into bins of about equal numbers; a length that is frequent enough has its own.

    Args:
        lengths: Lengths of all cases.
        most: Most bins wanted.

    Returns:
        First and last length of each bin, in rising order; every length is in just one.
    """
    bins: list[tuple[int, int]] = []
    first, held = None, 0
    for length, number in sorted(Counter(lengths).items()):
        first = length if first is None else first
        held += number
        if held * most >= len(lengths):
            bins.append((first, length))
            first, held = None, 0
    if first is not None:  # a handful of the longest is no bin of its own
        start = bins.pop()[0] if bins and 2 * held * most < len(lengths) else first
        bins.append((start, max(lengths)))
    return bins


def _or(name: str, kept: set[str], types: Sequence[str], rest: str) -> str:
    return rest if name in types and name not in kept else name


def _read(
    tokens: Sequence[Sequence[str]],
    gold_tags: Sequence[Sequence[str]],
    predicted_tags: Sequence[Sequence[str]],
    task: str,
) -> list[Sentence]:
    """Read the spans of every sentence and what is wrong with them."""
    if len({len(tokens), len(gold_tags), len(predicted_tags)}) > 1:
        raise ValueError(
            f"{len(tokens)} sentences of tokens, {len(gold_tags)} of gold tags and {len(predicted_tags)} of predicted "
            f"tags; give all three for every sentence."
        )
    check_lengths(predicted_tags, gold_tags)
    sentences = []
    for number, (words, *both) in enumerate(zip(tokens, gold_tags, predicted_tags, strict=True)):
        if len(words) != len(both[0]):
            raise ValueError(f"Sentence {number}: {len(words)} tokens but {len(both[0])} tags; give one a token.")
        gold, predicted = (
            [Span(tag, place, place + 1) for place, tag in enumerate(tags)]
            if task == "pos"
            else strict_spans(tags, "iob2")
            for tags in both
        )
        sentences.append(Sentence(words, gold, predicted, pair_errors(gold, predicted)))
    return sentences


def _tally(sentence: Sentence) -> tuple[int, int, int]:
    return len(sentence.gold), len(sentence.predicted), len(set(sentence.gold) & set(sentence.predicted))


def score_bins(
    cases: Sequence[tuple[int, int, int, int]], counted: Sequence[int]
) -> list[tuple[str, int, float | None]]:
    """Score cases by their length.

    Args:
        cases: Length, and numbers of gold, predicted and correct spans, of each.
        counted: Lengths of what is counted.

    Returns:
        Name, number counted and F1 of each bin of lengths; None where there is nothing to score.
    """
    rows: list[tuple[str, int, float | None]] = []
    for first, last in length_bins([case[0] for case in cases]):
        inside = [case for case in cases if first <= case[0] <= last]
        spans = sum(case[1] + case[2] for case in inside)
        number = sum(first <= length <= last for length in counted)
        score = 2 * sum(case[3] for case in inside) / spans if spans else None
        rows.append((str(first) if first == last else f"{first}–{last}", number, score))
    return rows
