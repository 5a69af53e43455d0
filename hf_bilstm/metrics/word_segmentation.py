"""Scores of word segmentation, with and without parts of speech."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import evaluate

from hf_bilstm.metrics.offline import OfflineMetric, tag_sequences_info
from hf_bilstm.metrics.scores import divide, span_scores, strict_spans
from hf_bilstm.metrics.span_f1 import SpanF1
from hf_bilstm.models.tagging_schemes import Span


class WordSegmentation(OfflineMetric):
    """Scores of the words that tags mark, as the SIGHAN bakeoffs define them.

    `compute(predictions=..., references=..., tokens=None, training_words=None, scheme="iob2")` takes a list of tags a
    sentence (`B-WORD`, `I-WORD`, or with parts of speech `B-n`, `I-n`). It returns what `SpanF1` does, so that with
    parts of speech `precision`, `recall`, `f1` and `per_type` are those of words with their tag (joint), and

    - `word_precision`, `word_recall`, `word_f1`: of words alone, right if both of their boundaries are;
    - `tag_accuracy`: share of the right tags among the words so found;
    - with `tokens` (those of each sentence) and `training_words` (a collection of words): `oov_rate`, share of the
      gold words that are not training words; `oov_recall` and `iv_recall`, the recall of those that are not and of
      those that are; `oov_number`, how many are not. A ratio to nothing is 0.

    Source: Sproat and Emerson (2003), "The First International Chinese Word Segmentation Bakeoff". Their script aligns
    words with `diff`, which can count a word as found that stands elsewhere in a repetitive sentence; here its place
    counts.
    """

    def _info(self) -> evaluate.MetricInfo:
        return tag_sequences_info(
            "Precision, recall and F1 of words and of words with tags; recall of words out of and in the vocabulary.",
            "predictions, references: tags, one list a sentence. tokens: those of each sentence. training_words: "
            "words of the training data. scheme: 'iob2' (default), 'bmes' and so on. Returns precision, recall, f1, "
            "per_type (of words with tags), word_precision, word_recall, word_f1, tag_accuracy, accuracy, and with "
            "training_words oov_rate, oov_recall, iv_recall, oov_number.",
        )

    def _compute(
        self,
        predictions: list[list[str]],
        references: list[list[str]],
        tokens: Sequence[Sequence[str]] | None = None,
        training_words: Collection[str] | None = None,
        scheme: str = "iob2",
    ) -> dict[str, Any]:
        scores = SpanF1()._compute(predictions, references, scheme)
        predicted = [_bare(strict_spans(tags, scheme)) for tags in predictions]
        gold = [_bare(strict_spans(tags, scheme)) for tags in references]
        of_words = span_scores(predicted, gold)
        scores |= {f"word_{name}": of_words[name] for name in ("precision", "recall", "f1")}
        scores["tag_accuracy"] = divide(scores["recall"], of_words["recall"])
        if training_words is not None:
            if tokens is None:
                raise ValueError("training_words needs the words of the text: give tokens too, a list a sentence.")
            _check_tokens(tokens, references)
            scores |= _vocabulary_scores(predicted, gold, tokens, frozenset(training_words))
        return scores


def _check_tokens(tokens: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> None:
    if len(tokens) != len(references):
        raise ValueError(f"{len(tokens)} sentences of tokens but {len(references)} of tags; give both for every one.")
    for number, (of_text, tags) in enumerate(zip(tokens, references, strict=True)):
        if len(of_text) != len(tags):
            raise ValueError(f"Sentence {number}: {len(of_text)} tokens but {len(tags)} tags; give one a token.")


def _bare(spans: Sequence[Span]) -> list[Span]:
    return [span._replace(label="") for span in spans]


def _vocabulary_scores(
    predicted: Sequence[Sequence[Span]],
    gold: Sequence[Sequence[Span]],
    tokens: Sequence[Sequence[str]],
    training_words: frozenset[str],
) -> dict[str, float]:
    number = {True: 0, False: 0}  # of gold words, by whether they are training words
    found = {True: 0, False: 0}
    for of_prediction, of_gold, characters in zip(predicted, gold, tokens, strict=True):
        right = set(of_prediction)
        for span in of_gold:
            known = "".join(characters[span.start : span.end]) in training_words
            number[known] += 1
            found[known] += span in right
    return {
        "oov_rate": divide(number[False], sum(number.values())),
        "oov_recall": divide(found[False], number[False]),
        "iv_recall": divide(found[True], number[True]),
        "oov_number": number[False],
    }
