"""CoNLL-style files: one token a line, its tag in another column, sentences parted by empty lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hf_bilstm.data.normalization import check_token, normalize_tags, to_dataset
from hf_bilstm.data.text_files import read_lines

if TYPE_CHECKING:
    from datasets import Dataset

_DOCUMENT_START = "-DOCSTART-"
_KEY_VALUE_COMMENT = re.compile(r"#\s*[\w.:-]+\s*=(\s|$)")


class _Row(NamedTuple):
    line: int
    columns: list[str]


def read_columns(
    path: str | Path,
    *,
    token_column: int = 0,
    tag_column: int = -1,
    separator: str | None = None,
    encoding: str = "utf-8",
    file_scheme: str = "auto",
    repair: bool = False,
) -> Dataset:
    """Read a file of one token a line.

    Lines that are empty or only white space part sentences, and so do `-DOCSTART-` lines, which are dropped. `#` may
    be a token: a line that starts with it is a comment only if it reads `# key = value`, or if it has another number
    of columns than the first line that does not start with `#`.

    Args:
        path: The file.
        token_column: Column of the token, from 0; negative numbers count from the last column.
        tag_column: Column of the tag, likewise.
        separator: What parts the columns: a string, or None for runs of blanks and tabs (and no other white space).
        encoding: Encoding of the file.
        file_scheme: Scheme of the file's tags: "auto", "none" (plain tags), "iob1", "iob2", "bioes", "bmes", "bilou".
        repair: Whether to mend illegal tags, and log how many, instead of raising.

    Returns:
        A data set with columns `tokens` and `tags`, the tags in IOB2, or plain if the scheme is "none".

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not of this form; the message names the line and the remedy.
    """
    sentences = _parse(path, read_lines(path, encoding), separator)
    _check_columns(path, sentences, token_column, tag_column)
    for row in (row for sentence in sentences for row in sentence):
        where = f"{path}, line {row.line}"
        check_token(row.columns[token_column], where)
        if not row.columns[tag_column].strip():
            raise ValueError(f"{where}: token {row.columns[token_column]!r} has no tag. Give it one, 'O' perhaps.")
    tags = normalize_tags(
        [[row.columns[tag_column] for row in sentence] for sentence in sentences],
        file_scheme=file_scheme,
        repair=repair,
        source=str(path),
        locate=lambda number, position: f"{path}, line {sentences[number][position].line}",
    )
    return to_dataset([[row.columns[token_column] for row in sentence] for sentence in sentences], tags)


def _parse(path: str | Path, lines: list[str], separator: str | None) -> list[list[_Row]]:
    """Split lines into sentences of rows that all have the same number of columns."""
    if separator == "":
        raise ValueError("separator='' parts nothing; give the string between columns, or None for blanks and tabs.")
    sentences: list[list[_Row]] = [[]]
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(_DOCUMENT_START):
            sentences.append([])
        elif not _KEY_VALUE_COMMENT.match(line):
            sentences[-1].append(_Row(number, _split(line, separator)))
    rows = [row for sentence in sentences for row in sentence]
    if not rows:
        raise ValueError(f"{path} holds no sentence: all of its {len(lines)} lines are empty or comments.")
    first = next((row for row in rows if not row.columns[0].startswith("#")), rows[0])
    return [kept for sentence in sentences if (kept := [row for row in sentence if _belongs(path, row, first)])]


def _split(line: str, separator: str | None) -> list[str]:
    # str.split() would cut at U+00A0 and U+3000 too, which are tokens in some corpora.
    return line.split(separator) if separator else re.split(r"[ \t]+", line.strip(" \t"))


def _belongs(path: str | Path, row: _Row, first: _Row) -> bool:
    """Say whether a row is a token (or else a comment), and refuse one of the wrong width."""
    if len(row.columns) == len(first.columns):
        return True
    if row.columns[0].startswith("#"):
        return False
    raise ValueError(
        f"{path}, line {row.line}: {len(row.columns)} columns {row.columns}, where line {first.line} has "
        f"{len(first.columns)}. Correct the line, or state what parts the columns: separator='\\t' takes only tabs."
    )


def _check_columns(path: str | Path, sentences: list[list[_Row]], token_column: int, tag_column: int) -> None:
    row = sentences[0][0]
    width = len(row.columns)
    for name, column in (("token_column", token_column), ("tag_column", tag_column)):
        if not -width <= column < width:
            raise ValueError(
                f"{path}, line {row.line}: no column {column}, the lines have {width} ({row.columns}). Give "
                f"{name} a number from 0 to {width - 1}, or state what parts the columns (separator)."
            )
    if token_column % width == tag_column % width:
        raise ValueError(
            f"{path}, line {row.line}: token and tag are both column {token_column % width} of {width} "
            f"({row.columns}). Give token_column and tag_column, or state what parts the columns (separator)."
        )
