"""The splits of a recipe's data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_bilstm.data import (
    load_labelled_dataset,
    load_sample,
    load_tagged_dataset,
    read_columns,
    read_conllu,
    read_csv,
    read_labelled_lines,
    read_segmented,
    read_tsv,
    read_word_pos,
)
from hf_bilstm.data.word_pos import ENTITY_TYPES
from hf_bilstm.models.tagging_schemes import OUTSIDE, split_tag
from hf_bilstm.tagsets import report_unknown_tags
from hf_bilstm.training.arguments import DataArguments, read_json_object

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
        Columns `tokens` and `tags`, or `text` and `label` of classification; None when the recipe names no such split.

    Raises:
        ValueError: If the recipe names no data at all, or the data is bad.
        FileNotFoundError: If a file is missing.
    """
    dataset = _load_whole(arguments, split)
    if split == "train" and dataset is not None and arguments.train_fraction < 1:
        kept = range(max(1, round(arguments.train_fraction * len(dataset))))
        return dataset.shuffle(seed=arguments.validation_seed).select(kept)
    return dataset


def _load_whole(arguments: DataArguments, split: str) -> Dataset | None:
    if arguments.validation_fraction and split in ("train", "validation"):
        whole = _load(arguments, "train")
        if whole is None:
            return None
        parts = whole.train_test_split(arguments.validation_fraction, seed=arguments.validation_seed)
        return parts["train" if split == "train" else "test"]
    return _load(arguments, split)


def require_split(arguments: DataArguments, split: str) -> Dataset:
    """Load a split that must be there; see `load_split`."""
    dataset = load_split(arguments, split)
    if dataset is None:
        raise ValueError(f"The recipe names no {split} data: set {split}_file.")
    return dataset


def _load(arguments: DataArguments, split: str) -> Dataset | None:
    """Load a split as the recipe names it."""
    if arguments.dataset in SAMPLE_LANGUAGES:
        dataset = load_sample(split, arguments.task, SAMPLE_LANGUAGES[arguments.dataset])
        return _check_tags(dataset, arguments, f"{arguments.dataset} ({split})")
    if arguments.dataset and arguments.task == "classification":
        return load_labelled_dataset(
            arguments.dataset,
            split=split,
            text_column=arguments.text_column,
            label_column=arguments.label_column,
            name=arguments.dataset_config,
        )
    if arguments.dataset:
        dataset = load_tagged_dataset(
            arguments.dataset,
            split=split,
            token_column=arguments.token_column or "tokens",
            tag_column=arguments.tag_column or "tags",
            name=arguments.dataset_config,
            file_scheme=arguments.file_scheme,
            repair=arguments.repair,
        )
        return _check_tags(dataset, arguments, f"{arguments.dataset} ({split})")
    names = {name: getattr(arguments, f"{name}_file") for name in SPLITS}
    if not any(names.values()):
        raise ValueError(
            "The recipe names no data: set dataset (sample, sample_en, a Hub id or a folder) or train_file, "
            "validation_file and test_file, with data_dir for their folder."
        )
    if names[split] is None:
        return None
    path = Path(arguments.data_dir or ".") / names[split]
    if arguments.task == "classification":
        return _read_labelled(arguments, path)
    if arguments.data_format in ("labelled_text", "tsv", "csv"):
        raise ValueError(
            f"data_format {arguments.data_format!r} has a label a text, for task 'classification'; not for task "
            f"{arguments.task!r}."
        )
    if arguments.data_format != "columns":
        return _read_words(arguments, path, split)
    if getattr(arguments, f"{split}_select"):
        raise ValueError(f"{split}_select needs data_format 'segmented', 'word_pos' or 'conllu', not 'columns'.")
    dataset = read_columns(
        path,
        token_column=_column_number(arguments.token_column, "token_column", 0),
        tag_column=_column_number(arguments.tag_column, "tag_column", -1),
        encoding=arguments.encoding,
        file_scheme=arguments.file_scheme,
        repair=arguments.repair,
    )
    return _check_tags(dataset, arguments, str(path))


def _read_labelled(arguments: DataArguments, path: Path) -> Dataset:
    """Read a file of labelled texts."""
    columns = {"text_column": arguments.text_column, "label_column": arguments.label_column}
    if arguments.data_format == "labelled_text":
        return read_labelled_lines(path, encoding=arguments.encoding)
    if arguments.data_format == "tsv":
        return read_tsv(path, encoding=arguments.encoding, **columns)
    if arguments.data_format == "csv":
        return read_csv(path, encoding=arguments.encoding, **columns)
    raise ValueError(
        f"task 'classification' reads files of data_format labelled_text, tsv or csv, not {arguments.data_format!r}."
    )


def _read_words(arguments: DataArguments, path: Path, split: str) -> Dataset:
    """Read a file of one of the formats that have whole words."""
    options: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in (
            "task",
            "encoding",
            "granularity",
            "white_space",
            "split_sentences",
            "max_sentence_length",
            "tagset",
        )
    }
    options["select"] = getattr(arguments, f"{split}_select")
    options["tag_map"] = read_json_object(arguments.tag_map, "tag_map")
    if arguments.data_format == "segmented":
        return read_segmented(path, **options)
    if arguments.data_format == "conllu":
        return read_conllu(path, tag_column=arguments.tag_column or "upos", **options)
    return read_word_pos(
        path,
        delimiter=arguments.tag_delimiter,
        join_names=arguments.join_names,
        entity_types=read_json_object(arguments.entity_types, "entity_types") or ENTITY_TYPES,
        repair=arguments.repair,
        **options,
    )


def _check_tags(dataset: Dataset, arguments: DataArguments, source: str) -> Dataset:
    """Report the parts of speech that the recipe's tag set does not know; the readers of words do so themselves."""
    if arguments.tagset and arguments.task in ("pos", "segmentation_pos"):
        rows = ((f"{source}, sentence {number}", tags) for number, tags in enumerate(dataset["tags"]))
        plain = arguments.task == "pos"
        report_unknown_tags(
            ((tag if plain else split_tag(tag)[1], place) for place, tags in rows for tag in tags if tag != OUTSIDE),
            arguments.tagset,
        )
    return dataset


def _column_number(column: str | None, name: str, default: int) -> int:
    try:
        return default if column is None else int(column)
    except ValueError:
        raise ValueError(
            f"{name} of a file is a column's number, from 0 or from -1 backwards; got {column!r}."
        ) from None
