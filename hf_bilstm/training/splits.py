"""The splits of a recipe's data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hf_bilstm.data import load_sample, load_tagged_dataset, read_columns
from hf_bilstm.training.arguments import DataArguments

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "validation", "test")
SAMPLE_LANGUAGES = {"sample": "zh", "sample_en": "en"}


def load_split(arguments: DataArguments, split: str) -> Dataset | None:
    """Load one split.

    Args:
        arguments: Where the data is and what form it has.
        split: "train", "validation" or "test".

    Returns:
        Columns `tokens` and `tags`, or None when the recipe names no such split.

    Raises:
        ValueError: If the recipe names no data at all, or the data is bad.
        FileNotFoundError: If a file is missing.
    """
    if arguments.dataset in SAMPLE_LANGUAGES:
        return load_sample(split, arguments.task, SAMPLE_LANGUAGES[arguments.dataset])
    if arguments.dataset:
        return load_tagged_dataset(
            arguments.dataset,
            split=split,
            token_column=arguments.token_column or "tokens",
            tag_column=arguments.tag_column or "tags",
            name=arguments.dataset_config,
            file_scheme=arguments.file_scheme,
            repair=arguments.repair,
        )
    names = {name: getattr(arguments, f"{name}_file") for name in SPLITS}
    if not any(names.values()):
        raise ValueError(
            "The recipe names no data: set dataset (sample, sample_en, a Hub id or a folder) or train_file, "
            "validation_file and test_file, with data_dir for their folder."
        )
    if names[split] is None:
        return None
    return read_columns(
        Path(arguments.data_dir or ".") / names[split],
        token_column=_column_number(arguments.token_column, "token_column", 0),
        tag_column=_column_number(arguments.tag_column, "tag_column", -1),
        encoding=arguments.encoding,
        file_scheme=arguments.file_scheme,
        repair=arguments.repair,
    )


def require_split(arguments: DataArguments, split: str) -> Dataset:
    """Load a split that must be there; see `load_split`."""
    dataset = load_split(arguments, split)
    if dataset is None:
        raise ValueError(f"The recipe names no {split} data: set {split}_file.")
    return dataset


def _column_number(column: str | None, name: str, default: int) -> int:
    try:
        return default if column is None else int(column)
    except ValueError:
        raise ValueError(
            f"{name} of a file is a column's number, from 0 or from -1 backwards; got {column!r}."
        ) from None
