"""Text files into lines, with errors that say which byte of which line is wrong."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

_NAMES_LISTED = 20


def read_lines(path: str | Path, encoding: str = "utf-8") -> list[str]:
    """Read a text file as lines, parted by LF or CRLF and by nothing else that Unicode calls a line end.

    Args:
        path: The file.
        encoding: Its encoding, by any name Python knows; a byte order mark is dropped.

    Returns:
        The lines without their ends. Line n of the file is at index n - 1.

    Raises:
        FileNotFoundError: If there is no such file; the message lists what the folder holds.
        ValueError: If the encoding is unknown or the bytes are not in it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(describe_missing(path))
    data = path.read_bytes()
    try:
        codecs.lookup(encoding)
        text = data.decode(encoding)
    except LookupError as error:
        raise ValueError(
            f"{path}: unknown encoding {encoding!r}. Give one that Python knows, for example encoding='utf-8', "
            f"'gb18030' or 'latin-1'."
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(_undecodable(path, data, encoding, error)) from error
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]


def select_lines(path: str | Path, lines: Sequence[str], pattern: str | None) -> Iterator[tuple[int, str]]:
    """Number the lines of a file, and take those in which a pattern is found.

    A carriage return that `read_lines` left parts a line in two, which have one number.

    Args:
        path: The file, for messages.
        lines: Its lines.
        pattern: Regular expression, or None for all lines.

    Yields:
        Number, from 1, and text of a line.

    Raises:
        ValueError: If the pattern is wrong, or found in no line.
    """
    wanted = compile_pattern(pattern)
    found = False
    for number, line in enumerate(lines, start=1):
        for part in line.split("\r"):
            if wanted is None or wanted.search(part):
                found = True
                yield number, part
    if not found:
        raise ValueError(
            f"{path}: select={pattern!r} is found in none of its {len(lines)} lines. Correct the pattern; an empty "
            f"one takes all lines."
        )


def compile_pattern(pattern: str | None) -> re.Pattern[str] | None:
    """Compile the regular expression of an option `select`, or say what is wrong with it."""
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise ValueError(f"select={pattern!r} is no regular expression: {error}.") from error


def _undecodable(path: Path, data: bytes, encoding: str, error: UnicodeDecodeError) -> str:
    line = data[: error.start].decode(encoding, errors="replace").count("\n") + 1
    likely = "'utf-16'" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "'gb18030' or 'latin-1'"
    return (
        f"{path}, line {line}: byte {error.start} of the file, 0x{data[error.start]:02x}, is not valid {encoding}. "
        f"State the file's encoding, for example encoding={likely}."
    )


def describe_missing(path: Path) -> str:
    """Say that a file is missing, and what the folder holds in which it was looked for.

    Args:
        path: What was taken for a file.

    Returns:
        A message.
    """
    if path.is_dir():
        return f"{path} is a folder; name one of its files. It holds {_listing(path)}."
    if path.parent.is_dir():
        return f"No file {path}. {path.parent} holds {_listing(path.parent)}."
    return f"No file {path}: the folder {path.parent} does not exist."


def _listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    more = f" and {len(names) - _NAMES_LISTED} more" if len(names) > _NAMES_LISTED else ""
    return (", ".join(names[:_NAMES_LISTED]) or "nothing") + more
