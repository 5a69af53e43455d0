"""Data sets of the Hub, of a local folder or at hand, into the form that the readers of files return."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers.utils import logging

from hf_bilstm.data.labelled_texts import to_labelled_dataset
from hf_bilstm.data.normalization import check_token, normalize_tags, to_dataset

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.get_logger(__name__)


def load_tagged_dataset(
    name_or_path: str | Path,
    *,
    split: str,
    token_column: str = "tokens",
    tag_column: str = "tags",
    name: str | None = None,
    revision: str | None = None,
    file_scheme: str = "auto",
    repair: bool = False,
) -> Dataset:
    """Load a tagged data set of the Hub or of a local folder.

    Args:
        name_or_path: Id on the Hub, or a folder: one that `save_to_disk` wrote, or one of data files.
        split: Split wanted. Slices such as "train[:100]" work unless `save_to_disk` wrote the folder.
        token_column: Column of the tokens, a list of strings a row.
        tag_column: Column of the tags, a list of strings or of `ClassLabel` a row.
        name: Configuration of the data set, if it has several.
        revision: Branch, tag or commit on the Hub.
        file_scheme: Scheme of the tags: "auto", "none" (plain tags), "iob1", "iob2", "bioes", "bmes", "bilou".
        repair: Whether to mend illegal tags, and log how many, instead of raising.

    Returns:
        A data set with columns `tokens` and `tags`, the tags in IOB2, or plain if the scheme is "none".

    Raises:
        ValueError: If the split or a column is missing, or the rows are not tagged sentences.
    """
    return from_dataset(
        load_split_as_it_is(name_or_path, split, name, revision),
        token_column=token_column,
        tag_column=tag_column,
        file_scheme=file_scheme,
        repair=repair,
        source=f"{name_or_path} ({split})",
    )


def load_labelled_dataset(
    name_or_path: str | Path,
    *,
    split: str,
    text_column: str = "text",
    label_column: str = "label",
    name: str | None = None,
    revision: str | None = None,
) -> Dataset:
    """Load a data set of labelled texts of the Hub or of a local folder.

    Args:
        name_or_path: As in `load_tagged_dataset`.
        split: Split wanted.
        text_column: Column of the texts.
        label_column: Column of the labels, strings or `ClassLabel`.
        name: Configuration of the data set, if it has several.
        revision: Branch, tag or commit on the Hub.

    Returns:
        A data set with columns `text` and `label`, both strings.

    Raises:
        ValueError: If the split or a column is missing or of another type, or a text or a label is empty.
    """
    from datasets import ClassLabel, Value

    dataset, source = load_split_as_it_is(name_or_path, split, name, revision), f"{name_or_path} ({split})"
    _check_columns(dataset, source, text_column=text_column, label_column=label_column)
    names = {}
    for column in (text_column, label_column):
        kind = dataset.features[column]
        if column == label_column and isinstance(kind, ClassLabel):
            names = dict(enumerate(kind.names))
        elif not (isinstance(kind, Value) and kind.dtype in ("string", "large_string")):
            raise ValueError(
                f"{source}: column {column!r} is {kind}, but a string a row (or a ClassLabel, for labels) is needed. "
                f"Name another column, or give numbers their names with dataset.cast_column({column!r}, "
                f"ClassLabel(names=[...]))."
            )
    pairs = zip(dataset[label_column], dataset[text_column], strict=True)
    rows = (
        (f"{source}, row {row}", str(names.get(label, "") if names else label or ""), text or "")
        for row, (label, text) in enumerate(pairs)
    )
    return to_labelled_dataset(rows, source, "fill it in")


def from_dataset(
    dataset: Dataset,
    *,
    token_column: str = "tokens",
    tag_column: str = "tags",
    file_scheme: str = "auto",
    repair: bool = False,
    source: str = "data set",
) -> Dataset:
    """Bring a data set at hand into the form that the readers return; rows without tokens are left out, and logged.

    Args:
        dataset: One row a sentence.
        token_column: Column of the tokens, a list of strings a row.
        tag_column: Column of the tags, a list of strings or of `ClassLabel` a row.
        file_scheme: Scheme of the tags: "auto", "none" (plain tags), "iob1", "iob2", "bioes", "bmes", "bilou".
        repair: Whether to mend illegal tags, and log how many, instead of raising.
        source: What to call the data set in messages.

    Returns:
        A data set with columns `tokens` and `tags`, the tags in IOB2, or plain if the scheme is "none".

    Raises:
        ValueError: If a column is missing or of another type, or the rows are not tagged sentences.
    """
    _check_columns(dataset, source, token_column=token_column, tag_column=tag_column)
    dataset = dataset.with_format(None)
    sentences = []
    rows = zip(_strings(dataset, token_column, source), _strings(dataset, tag_column, source), strict=True)
    for row, (tokens, tags) in enumerate(rows):
        if len(tokens) != len(tags):
            raise ValueError(
                f"{source}, row {row}: {len(tokens)} tokens but {len(tags)} tags. Correct the row, or drop it with "
                f"dataset.filter."
            )
        for position, token in enumerate(tokens):
            check_token(token, f"{source}, row {row}, token {position}")
        if tokens:
            sentences.append((row, tokens, tags))
    if not sentences:
        raise ValueError(f"{source} holds no sentence: {len(dataset)} rows, none with a token.")
    if len(sentences) < len(dataset):
        logger.warning(f"{source}: left out {len(dataset) - len(sentences)} rows without tokens.")
    normalized = normalize_tags(
        [tags for _, _, tags in sentences],
        file_scheme=file_scheme,
        repair=repair,
        source=source,
        locate=lambda number, position: f"{source}, row {sentences[number][0]}, token {position}",
    )
    return to_dataset([tokens for _, tokens, _ in sentences], normalized)


def _check_columns(dataset: Dataset, source: str, **columns: str) -> None:
    """See that a data set has the columns that two options name."""
    for column in columns.values():
        if column not in dataset.column_names:
            raise ValueError(
                f"{source} has no column {column!r}; it has {', '.join(map(repr, dataset.column_names))}. Name the "
                f"right ones with {' and '.join(columns)}."
            )


def _strings(dataset: Dataset, column: str, source: str) -> Iterator[list[str]]:
    """Read a column of lists of strings, or of `ClassLabel` numbers, whose names it gives."""
    from datasets import ClassLabel, Value

    inner = getattr(dataset.features[column], "feature", None)
    names = inner.names if isinstance(inner, ClassLabel) else None
    if names is None and not (isinstance(inner, Value) and inner.dtype in ("string", "large_string")):
        raise ValueError(
            f"{source}: column {column!r} is {dataset.features[column]}, but a list of strings a row (or of "
            f"ClassLabel, for tags) is needed. Name another column, or give numbers their names with "
            f"dataset.cast_column({column!r}, Sequence(ClassLabel(names=[...])))."
        )
    for row, values in enumerate(dataset[column]):
        for value in values if values is not None else [None]:
            if value is None or (names is not None and not 0 <= value < len(names)):
                raise ValueError(
                    f"{source}, row {row}: column {column!r} holds {value!r}, which is no value. Fill it in, or drop "
                    f"the row with dataset.filter."
                )
        yield values if names is None else [names[value] for value in values]


def load_split_as_it_is(
    name_or_path: str | Path,
    split: str,
    name: str | None = None,
    revision: str | None = None,
    streaming: bool = False,
) -> Any:
    """Load a split with the columns it has.

    Args:
        name_or_path: Id on the Hub, or a folder: one that `save_to_disk` wrote, or one of data files.
        split: Split wanted.
        name: Configuration of the data set, if it has several.
        revision: Branch, tag or commit on the Hub.
        streaming: Whether to read it as it is needed.

    Returns:
        A `Dataset`, or an `IterableDataset`.

    Raises:
        ValueError: If there is no such split.
    """
    path = Path(name_or_path)
    if any((path / file).is_file() for file in ("dataset_dict.json", "state.json")):
        saved = _load_saved(path, split)
        return saved.to_iterable_dataset() if streaming else saved
    return _load_by_name(str(name_or_path), split, name, revision, streaming)


def _load_saved(path: Path, split: str) -> Dataset:
    from datasets import Dataset, load_from_disk

    saved = load_from_disk(str(path))
    splits = {str(saved.split or split): saved} if isinstance(saved, Dataset) else saved
    if split not in splits:
        raise ValueError(_missing_split(path, split, list(splits)))
    return splits[split]


def _load_by_name(name_or_path: str, split: str, name: str | None, revision: str | None, streaming: bool) -> Any:
    from datasets import get_dataset_split_names, load_dataset

    try:
        return load_dataset(name_or_path, name, split=split, revision=revision, streaming=streaming)
    except ValueError as error:
        found = get_dataset_split_names(name_or_path, name, revision=revision)
        wanted = {re.split(r"\W", part)[0] for part in split.split("+")}
        if wanted <= set(found):
            raise
        raise ValueError(_missing_split(name_or_path, split, found)) from error


def _missing_split(name_or_path: str | Path, split: str, found: list[str]) -> str:
    return f"{name_or_path} has no split {split!r}; it has {', '.join(map(repr, found))}."
