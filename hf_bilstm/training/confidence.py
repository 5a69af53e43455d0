"""How sure a tagger is of spans, its own and others'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_bilstm.data.encoding import IGNORED
from hf_bilstm.models.tagging_schemes import Span
from hf_bilstm.training.scoring import batches_by_length, input_columns

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
    lengths = [len(input_ids[query.sentence]) for query in queries]
    for batch in batches_by_length(lengths, tokens_per_batch):
        asked = [queries[place] for place in batch]
        # The sort is stable, so that the queries of a sentence stay together, and the network runs over it once.
        sentences = {number: row for row, number in enumerate(dict.fromkeys(query.sentence for query in asked))}
        encoded = tokenizer.pad(
            {name: [values[number] for number in sentences] for name, values in columns.items()}, return_tensors="pt"
        )
        rows = torch.tensor([sentences[query.sentence] for query in asked])
        observed = torch.full((len(asked), encoded["input_ids"].shape[1]), IGNORED)
        observed[encoded["attention_mask"].bool()[rows]] = torch.tensor(
            [query.labels.get(place, IGNORED) for query in asked for place in range(len(input_ids[query.sentence]))]
        )
        encoded = encoded.to(model.device)
        found = tagger.label_log_likelihood(labels=observed.to(model.device), rows=rows.to(model.device), **encoded)
        for query, probability in zip(asked, found.exp().tolist(), strict=True):
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
