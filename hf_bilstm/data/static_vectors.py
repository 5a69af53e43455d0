"""Static vectors of a vocabulary: folders and repositories of the Hub that hold them as a table in safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from transformers.utils import cached_file

from hf_bilstm.data.text_files import describe_missing, read_lines
from hf_bilstm.data.vectors import WordVectors, check_size, has_no_space, read_vectors

_FOLDERS = ("", "0_StaticEmbedding")  # where model2vec and sentence-transformers write
_TABLE, _TOKENIZER, _WORDS = "model.safetensors", "tokenizer.json", "vocab.txt"
_TABLE_NAMES = ("embeddings", "embedding.weight")  # in the same two


class _Vocabulary(NamedTuple):
    words: Iterable[str]  # in the order of their ids
    look_up: Callable[[str], int | None]  # the id of a word


def load_vectors(
    source: str | Path,
    words: Iterable[str],
    *,
    size: int | None = None,
    first_words: int = 0,
    is_token: Callable[[str], bool] = has_no_space,
) -> WordVectors:
    """Load vectors of some words from a file (see `read_vectors`), or from a folder or a repository of the Hub.

    Folders and repositories hold a table in model.safetensors, as model2vec and sentence-transformers write it, and
    its vocabulary in tokenizer.json, or in vocab.txt, a word a line. A word has a vector if it is one token there.
    Only the rows of the words asked for are read.

    Args:
        source: A file, a folder, or an id on the Hub.
        words: Words wanted.
        size: Numbers that a vector must have, or None for as many as there are.
        first_words: How many words are wanted from the source's start.
        is_token: Which words count among these.

    Returns:
        The vectors found.

    Raises:
        OSError: If there is nothing of this name, or it cannot be reached.
        ValueError: If a file is wrong, or the vectors are of another size.
    """
    if Path(source).is_file():
        return read_vectors(source, words, size=size, first_words=first_words, is_token=is_token)
    is_hub_id = str(source).count("/") == 1 and not Path(source).parent.is_dir()
    if not Path(source).is_dir() and not is_hub_id:
        raise FileNotFoundError(f"{describe_missing(Path(source))} An id on the Hub is ORG/NAME.")
    table, vocabulary = _find(str(source))
    first: dict[str, None] = {}
    for word in vocabulary.words if first_words else ():
        if len(first) == first_words:
            break
        if is_token(word) and vocabulary.look_up(word) is not None:
            first[word] = None
    ids = {word: vocabulary.look_up(word) for word in (*words, *first)}
    try:
        with safe_open(table, framework="pt") as tensors:
            rows = _rows(table, tensors)
            found = {word: token_id for word, token_id in ids.items() if token_id is not None}
            check_size(source, rows.get_shape()[1], size)
            return WordVectors(rows.get_shape()[1], _read_rows(table, tensors, rows, found), list(first))
    except SafetensorError as error:
        raise ValueError(f"{table} is damaged ({error}): fetch it again.") from error


def _find(source: str) -> tuple[str, _Vocabulary]:
    """Find the table and its vocabulary in a folder, or in a repository of the Hub."""
    for folder in _FOLDERS:
        table, tokenizer, words = (
            cached_file(source, name, subfolder=folder, _raise_exceptions_for_missing_entries=False)
            for name in (_TABLE, _TOKENIZER, _WORDS)
        )
        if table and tokenizer:
            return table, _tokens(tokenizer)
        if table and words:
            lines = read_lines(words)
            ids = {word: number for number, word in reversed(list(enumerate(lines))) if word}
            return table, _Vocabulary([line for line in lines if line], ids.get)
    raise ValueError(
        f"{source} holds no static vectors: {_TABLE} is needed, and {_TOKENIZER} or {_WORDS} (a word a line) beside "
        f"it, in the folder itself or in {_FOLDERS[1]}. Give such a folder, or a file of word2vec, GloVe or fastText."
    )


def _tokens(file: str) -> _Vocabulary:
    """Read the words that are single tokens, whatever marks tell a word's first token from its others."""
    tokenizer = Tokenizer.from_file(file)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    model = json.loads(tokenizer.to_str())["model"]
    unknown = model.get("unk_id") if "unk_id" in model else tokenizer.token_to_id(model.get("unk_token") or "")

    def look_up(word: str) -> int | None:
        ids = tokenizer.encode(word, add_special_tokens=False).ids
        return ids[0] if len(ids) == 1 and ids[0] != unknown else None

    texts = (tokenizer.decode([token_id]).strip() for token_id in range(tokenizer.get_vocab_size()))
    return _Vocabulary(texts, look_up)


def _rows(file: str, tensors: Any) -> Any:
    """Find the table: by its name, or because it is the only one."""
    tables = [name for name in tensors.keys() if len(tensors.get_slice(name).get_shape()) == 2]  # noqa: SIM118
    named = [name for name in tables if name in _TABLE_NAMES] or tables
    if len(named) != 1:
        raise ValueError(
            f"{file} holds {len(tables)} tables ({', '.join(tables[:5])}), which is not what static vectors are: one, "
            f"or one of the name {' or '.join(_TABLE_NAMES)}. Give a repository of static vectors."
        )
    return tensors.get_slice(named[0])


def _read_rows(file: str, tensors: Any, rows: Any, ids: dict[str, int]) -> dict[str, NDArray[np.float32]]:
    """Read the rows of words; model2vec may let tokens share rows (`mapping`) and weigh each (`weights`)."""
    names = set(tensors.keys())
    mapping = tensors.get_tensor("mapping").tolist() if "mapping" in names else None
    weights = tensors.get_tensor("weights").tolist() if "weights" in names else None
    vectors: dict[str, NDArray[np.float32]] = {}
    for word, token_id in ids.items():
        row = token_id if mapping is None else mapping[token_id]
        if row >= rows.get_shape()[0]:
            raise ValueError(
                f"{file} has {rows.get_shape()[0]} vectors, and {word!r} is number {row} of the vocabulary: the two "
                f"do not belong together. Fetch both again."
            )
        vector = rows[row : row + 1][0].float().numpy()
        vectors[word] = vector * np.float32(1.0 if weights is None else weights[token_id])
    return vectors
