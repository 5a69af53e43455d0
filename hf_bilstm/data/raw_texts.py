"""Raw text for language models: files, folders and data sets into texts, and texts into blocks of one length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_bilstm.data.hub import load_split_as_it_is
from hf_bilstm.data.text_files import describe_missing, read_lines

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset
    from transformers import PreTrainedTokenizerBase


def read_raw_texts(path: str | Path, *, encoding: str = "utf-8") -> Dataset:
    """Read files of raw text, a text a line.

    Args:
        path: A file, or a folder, whose `.txt` files are read in the order of their names, those of its folders too.
        encoding: Their encoding.

    Returns:
        A data set with the column `text`; empty lines are left out.

    Raises:
        FileNotFoundError: If there is no such file, or no `.txt` file in the folder.
        ValueError: If a file is not in the encoding, or there is no text.
    """
    from datasets import Dataset

    path = Path(path)
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"No .txt file is in {path}. {describe_missing(path)}")
    texts = [line for file in files for line in read_lines(file, encoding) if line.strip()]
    if not texts:
        raise ValueError(f"{path} holds no text: all lines are empty.")
    return Dataset.from_dict({"text": texts})


def load_raw_texts(
    name_or_path: str, *, split: str, text_column: str = "text", name: str | None = None, streaming: bool = False
) -> Dataset | IterableDataset:
    """Load the texts of a data set of the Hub or of a local folder.

    Args:
        name_or_path: Id on the Hub, or a folder.
        split: Split wanted.
        text_column: Column of the texts.
        name: Configuration of the data set, if it has several.
        streaming: Whether to read it as it is needed.

    Returns:
        A data set with the column `text`.

    Raises:
        ValueError: If the split or the column is missing.
    """
    dataset: Any = load_split_as_it_is(name_or_path, split, name, streaming=streaming)
    columns = dataset.column_names or list(next(iter(dataset)))
    if text_column not in columns:
        raise ValueError(
            f"{name_or_path} ({split}) has no column {text_column!r}; it has {', '.join(map(repr, columns))}. Name "
            f"the right one with text_column."
        )
    dataset = dataset.select_columns(text_column)
    return dataset if text_column == "text" else dataset.rename_column(text_column, "text")


def pack(
    texts: Dataset | IterableDataset, tokenizer: PreTrainedTokenizerBase, block_size: int
) -> Dataset | IterableDataset:
    """Put texts one after the other into blocks of tokens, so that hardly a batch has padding. No token is lost.

    Before each text stands a padding token. A model reads it, as a vector of zeros, but never has to predict it.

    Args:
        texts: Columns `text`, or `tokens`, given words.
        tokenizer: Any.
        block_size: Tokens of a block; the last one of a thousand texts may have fewer.

    Returns:
        A data set with what the tokenizer returns, but for the mask: `input_ids`, and `char_input_ids` of models that
        look into words.

    Raises:
        ValueError: If no token is left.
    """
    columns: Any = texts.column_names or list(next(iter(texts)))
    arguments = {"tokenizer": tokenizer, "block_size": block_size}
    packed: Any = texts.map(_pack_batch, batched=True, remove_columns=columns, fn_kwargs=arguments)
    if getattr(packed, "num_rows", 1) == 0:
        raise ValueError(f"Of {len(texts)} texts no token is left: the tokenizer makes nothing of them.")
    return packed


def _pack_batch(
    batch: Mapping[str, list[Any]], *, tokenizer: PreTrainedTokenizerBase, block_size: int
) -> dict[str, list[Any]]:
    is_split = "tokens" in batch
    encoded = tokenizer(
        batch["tokens" if is_split else "text"],
        is_split_into_words=is_split,
        truncation=False,
        padding=False,
        return_attention_mask=False,
    )
    boundaries: dict[str, Any] = {"input_ids": tokenizer.pad_token_id}
    if "char_input_ids" in encoded:
        boundaries["char_input_ids"] = [0] * len(next(row[0] for row in encoded["char_input_ids"] if row))
    packed = {}
    for name, boundary in boundaries.items():
        stream = [token for row in encoded[name] if row for token in (boundary, *row)]
        packed[name] = [stream[first : first + block_size] for first in range(0, len(stream), block_size)]
    return packed


def iterate_texts(texts: Dataset | IterableDataset) -> Iterator[Any]:
    """Give the texts, or the lists of words, of a data set."""
    for row in texts:
        yield row["tokens"] if "tokens" in row else row["text"]
