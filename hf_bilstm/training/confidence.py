"""How sure a tagger is of spans, its own and others'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_bilstm.data.encoding import IGNORED
from hf_bilstm.models.tagging_schemes import Span
from hf_bilstm.training.scoring import input_columns

if TYPE_CHECKING:
    from datasets import Dataset


class _Query(NamedTuple):
    sentence: int
    span: Span
    sign: int
    labels: dict[int, int]  # label id of each piece that is asked about


def span_posteriors(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    dataset: Dataset,
    wanted: Sequence[Sequence[Span]],
    tokens_per_batch: int = 8192,
) -> list[dict[Span, float]]:
    """Ask a tagger for the probability that exactly these spans are there, over all legal taggings of the sentence.

    Args:
        model: A tagger.
        tokenizer: Its tokenizer, for padding.
        dataset: Columns `input_ids` and `labels`, as `encode_dataset` makes them.
        wanted: Spans of each sentence, over its labelled positions; with plain tags, each is one position long.
        tokens_per_batch: Most tokens of a batch, padding included; a longer sentence is a batch of its own.

    Returns:
        Probability of every span wanted, by sentence.
    """
    tagger: Any = model
    label2id: Any = model.config.label2id
    tagger.eval()
    columns, labels = input_columns(dataset), dataset["labels"][:]
    input_ids = columns["input_ids"]
    posteriors = [dict.fromkeys(spans, 0.0) for spans in wanted]
    white_space = model.config.white_space_token_id
    queries = []
    for number, spans in enumerate(wanted):
        places = [place for place, label in enumerate(labels[number]) if label != IGNORED] if spans else []
        for span in spans:
            for query in _queries(number, span, places, label2id):
                # No span holds white space where the configuration says so; the model would refuse to be asked.
                if white_space is None or all(input_ids[number][place] != white_space for place in query.labels):
                    queries.append(query)
    queries.sort(key=lambda query: len(input_ids[query.sentence]))
    for batch in _batches(queries, [len(input_ids[query.sentence]) for query in queries], tokens_per_batch):
        rows = {name: [values[query.sentence] for query in batch] for name, values in columns.items()}
        encoded = tokenizer.pad(rows, return_tensors="pt")
        observed = torch.full_like(encoded["input_ids"], IGNORED)
        observed[encoded["attention_mask"].bool()] = torch.tensor(
            [query.labels.get(place, IGNORED) for query in batch for place in range(len(input_ids[query.sentence]))]
        )
        encoded, observed = encoded.to(model.device), observed.to(model.device)
        found = tagger.label_log_likelihood(labels=observed, **encoded).exp().tolist()
        for query, probability in zip(batch, found, strict=True):
            posteriors[query.sentence][query.span] += query.sign * probability
    # A difference of two probabilities can leave the range by rounding.
    return [{span: min(1.0, max(0.0, value)) for span, value in row.items()} for row in posteriors]


def _queries(sentence: int, span: Span, places: list[int], label2id: dict[str, int]) -> Iterator[_Query]:
    """Split a span into label sequences: its own with anything after it, less those in which it goes on."""
    if span.label in label2id and span.end - span.start == 1 and f"B-{span.label}" not in label2id:
        yield _Query(sentence, span, 1, {places[span.start]: label2id[span.label]})
        return
    first, inside = (f"{prefix}-{span.label}" if span.label else prefix for prefix in "BI")
    tags = [first, *[inside] * (span.end - span.start)]
    ids = {place: label2id.get(tag) for place, tag in zip(places[span.start : span.end], tags, strict=False)}
    known = {place: number for place, number in ids.items() if number is not None}
    if len(known) == len(ids):
        yield _Query(sentence, span, 1, known)
        if span.end < len(places) and inside in label2id:
            yield _Query(sentence, span, -1, {**known, places[span.end]: label2id[inside]})


def _batches(queries: list[_Query], lengths: list[int], tokens_per_batch: int) -> Iterator[list[_Query]]:
    """Part queries, from short sentences to long, into batches."""
    start = 0
    for end in range(1, len(queries) + 1):
        if end == len(queries) or lengths[end] * (end + 1 - start) > tokens_per_batch:
            yield queries[start:end]
            start = end
