"""Word lists: files of words, and words as the tokens that a tokenizer makes of them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .tokenizer_backend import WHITE_SPACE, read_options

_WHITE_SPACE_RUN = re.compile(f"[{WHITE_SPACE}]+")


class WordListEntry(NamedTuple):
    """A line of a word list: its number from 1, its word, and its number and tag where it has them."""

    line: int
    word: str
    number: float | None
    tag: str | None


def read_word_list(path: str | Path) -> Iterator[WordListEntry]:
    """Read a word list: `word`, `word number`, `word number tag` or `word tag` a line, in UTF-8.

    Where a line has a tab, tabs part its fields, and the word may hold spaces; spaces part them otherwise. Empty lines
    are skipped.

    Args:
        path: The file.

    Yields:
        Its entries.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not UTF-8, or a line is not of this form.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}; convert the file.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip(WHITE_SPACE):
            word, *fields = [field.strip(WHITE_SPACE) for field in line.split("\t")] if "\t" in line else line.split()
            fields = [field for field in fields if field]
            value = _read_number(fields[0]) if fields else None
            tags = fields if value is None else fields[1:]
            if not word or len(tags) > 1 or (value is not None and not math.isfinite(value)):
                raise ValueError(
                    f"{path}, line {number}: {line.strip()!r} is not `word [number] [tag]`. Where a word holds "
                    f"spaces, part the fields by tabs: a tab after the word, even if nothing follows."
                )
            yield WordListEntry(number, word, value, tags[0] if tags else None)


def _read_number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def fold_text(text: str, tokenizer: Any) -> str:
    """Fold a text as a tokenizer does before it looks tokens up.

    Args:
        text: The text.
        tokenizer: A `BiLstmTokenizer`, or what a generic class reads from its files.

    Returns:
        The folded text.
    """
    normalizer = tokenizer.backend_tokenizer.normalizer
    return normalizer.normalize_str(text) if normalizer else text


def split_words(words: Iterable[str], tokenizer: Any) -> Iterator[list[str]]:
    """Split words into the folded texts of the tokens that a tokenizer makes of them in raw text.

    Args:
        words: The words.
        tokenizer: A `BiLstmTokenizer`, or what a generic class reads from its files.

    Yields:
        The tokens of each word. Those not in the vocabulary keep their text.
    """
    backend = tokenizer.backend_tokenizer
    options = read_options(backend)
    if options["granularity"] == "word":
        for word in words:
            yield [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str(fold_text(word, tokenizer))]
        return
    # A folding looks at nothing but the one character that it replaces: each is folded once.
    folded = _Memory(lambda character: fold_text(character, tokenizer))
    run = " " if options["white_space"] == "token" else ""
    for word in words:
        yield [folded[character] for character in _WHITE_SPACE_RUN.sub(run, word)]


class _Memory(dict[str, str]):
    def __init__(self, function: Callable[[str], str]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, key: str) -> str:
        self[key] = self._function(key)
        return self[key]
