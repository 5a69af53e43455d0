"""Tagged sentences and labelled texts into what a model takes, and label numbers back into tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hf_bilstm.models.tagging_schemes import OUTSIDE, close_labels, split_tag

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

# Positions with this label are unobserved: no loss, no score.
IGNORED = -100


def label_list(datasets: Iterable[Dataset]) -> list[str]:
    """Collect the labels that a model of some data needs, in an order that depends on nothing but their set.

    Args:
        datasets: Data sets with a column `tags`, or all with a column `label`, those of the training split first of
            all.

    Returns:
        For IOB2 tags a closed set: `O`, then `B-X` and `I-X` of every type; plain tags and labels of texts sorted.
    """
    datasets = list(datasets)
    if all("label" in dataset.column_names for dataset in datasets):
        return sorted({label for dataset in datasets for label in dataset["label"]})
    tags = {tag for dataset in datasets for sentence in dataset["tags"] for tag in sentence}
    return close_labels(tags) if _marks_spans(tags) else sorted(tags)


def encode_dataset(dataset: Dataset, tokenizer: PreTrainedTokenizerBase, label2id: Mapping[str, int]) -> Dataset:
    """Turn tagged sentences, or labelled texts, into model inputs, none of them cut.

    The first piece of a token gets the token's tag. Further pieces go on with the span (`B-X` is followed by `I-X`,
    if there is such a label) or stay `O`; of plain tags, and special tokens, they are unobserved (-100).

    Args:
        dataset: Data set with columns `tokens` and `tags`, or `text` and `label`.
        tokenizer: Any fast tokenizer.
        label2id: Number of every label, such as a config's.

    Returns:
        A data set with what the tokenizer returns (`input_ids`, `attention_mask`) and `labels`: a number a token, or a
        text.

    Raises:
        ValueError: If a tag or a text's label is none of the labels, the tokenizer drops a token, or it is not a fast
            one. Sentences and tokens are counted from 0, as in `dataset[0]`.
    """
    if not tokenizer.is_fast:
        raise ValueError(
            f"{type(tokenizer).__name__} is not a fast tokenizer, so it cannot say which token a piece belongs to. "
            f"Use BiLstmTokenizer or another subclass of PreTrainedTokenizerFast."
        )
    if "label" in dataset.column_names:
        return dataset.map(
            _encode_texts,
            batched=True,
            with_indices=True,
            remove_columns=dataset.column_names,
            fn_kwargs={"tokenizer": tokenizer, "label2id": dict(label2id)},
            desc="Encoding",
        )
    return dataset.map(
        _encode_batch,
        batched=True,
        with_indices=True,
        remove_columns=dataset.column_names,
        fn_kwargs={"tokenizer": tokenizer, "label2id": dict(label2id), "following": _following(label2id)},
        desc="Encoding",
    )


def decode_labels(label_ids: Iterable[Iterable[int]], id2label: Mapping[int, str]) -> list[list[str]]:
    """Turn label numbers into tags and drop the positions that are -100.

    Predictions know no -100: give them the references' first, `numpy.where(references == -100, -100, predictions)`.

    Args:
        label_ids: Label numbers of every sentence: lists or an array.
        id2label: Label of every number, such as a config's.

    Returns:
        Tags of every sentence.

    Raises:
        ValueError: If a number has no label.
    """
    try:
        return [[id2label[int(number)] for number in sentence if number != IGNORED] for sentence in label_ids]
    except KeyError as error:
        raise ValueError(
            f"Label number {error.args[0]} is not one of id2label, which has {', '.join(map(str, id2label))}. Was the "
            f"data encoded with another model's label2id?"
        ) from error


def _marks_spans(labels: Iterable[str]) -> bool:
    return all(label == OUTSIDE or label.startswith(("B-", "I-")) for label in labels)


def _following(label2id: Mapping[str, int]) -> dict[str, int]:
    """Number the label of the pieces after a token's first, for every label of the token."""
    if not _marks_spans(label2id):
        return dict.fromkeys(label2id, IGNORED)
    inside = {label: OUTSIDE if label == OUTSIDE else f"I-{split_tag(label)[1]}" for label in label2id}
    return {label: label2id.get(next_label, IGNORED) for label, next_label in inside.items()}


def _encode_batch(
    batch: Mapping[str, list[list[str]]],
    numbers: Sequence[int],
    *,
    tokenizer: PreTrainedTokenizerBase,
    label2id: Mapping[str, int],
    following: Mapping[str, int],
) -> dict[str, Any]:
    encoding = tokenizer(batch["tokens"], is_split_into_words=True, truncation=False, padding=False)
    labels = []
    for row, (number, tokens, tags) in enumerate(zip(numbers, batch["tokens"], batch["tags"], strict=True)):
        _check_tags(number, tags, label2id)
        owners = encoding.word_ids(row)
        _check_owners(number, tokens, owners)
        previous = None
        pieces = []
        for owner in owners:
            if owner is None:
                pieces.append(IGNORED)
            else:
                pieces.append(following[tags[owner]] if owner == previous else label2id[tags[owner]])
            previous = owner
        labels.append(pieces)
    return {**encoding, "labels": labels}


def _encode_texts(
    batch: Mapping[str, list[str]],
    numbers: Sequence[int],
    *,
    tokenizer: PreTrainedTokenizerBase,
    label2id: Mapping[str, int],
) -> dict[str, Any]:
    for number, label in zip(numbers, batch["label"], strict=True):
        if label not in label2id:
            raise ValueError(
                f"Text {number}: label {label!r} is not one of {', '.join(map(repr, label2id))}. Train a model whose "
                f"labels include it (label_list of all splits), or leave such texts out with dataset.filter."
            )
    encoding = tokenizer(batch["text"], truncation=False, padding=False)
    return {**encoding, "labels": [label2id[label] for label in batch["label"]]}


def _check_tags(number: int, tags: Sequence[str], label2id: Mapping[str, int]) -> None:
    for position, tag in enumerate(tags):
        if tag not in label2id:
            raise ValueError(
                f"Sentence {number}, token {position}: tag {tag!r} is not one of the labels "
                f"{', '.join(map(repr, label2id))}. Train a model whose labels include it (label_list of all splits), "
                f"or map the tag to one of them."
            )


def _check_owners(number: int, tokens: Sequence[str], owners: Sequence[int | None]) -> None:
    dropped = sorted(set(range(len(tokens))) - set(owners))
    if dropped:
        raise ValueError(
            f"Sentence {number}, token {dropped[0]}: the tokenizer makes nothing of {tokens[dropped[0]]!r}, so its "
            f"tag has no place. Remove such tokens, or use a tokenizer that keeps them (most drop white space)."
        )
