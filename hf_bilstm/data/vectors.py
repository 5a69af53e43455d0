"""Files of pretrained word vectors: read once, front to back, of which only the words asked for are kept."""

from __future__ import annotations

import bz2
import codecs
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers.utils import logging

from hf_bilstm.data.text_files import describe_missing

logger = logging.get_logger(__name__)

_CHUNK = 1 << 20  # bytes of a binary file that are read at once
_LONGEST_WORD = 10_000  # bytes
_LONGEST_LINE = 1 << 20  # bytes
# What files of other kinds begin with, and what to do about them.
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive: unpack it, and give the file inside",
    b"\xba\x16\x4f\x2f": "a fastText model with its n-grams: give the .vec file that is published with it",
    b"\x93NUMPY": "a NumPy array, which has no words: write lines of a word and its numbers",
    b"\x80": "a pickle, which could run code: write lines of a word and its numbers",
    b"\xff\xfe": "text in UTF-16: convert it to UTF-8",
    b"\xfe\xff": "text in UTF-16: convert it to UTF-8",
}


class WordVectors(NamedTuple):
    """Vectors of words.

    Args:
        size: D, the numbers of a vector.
        vectors: (D,) float32, by word.
        first_words: The words that the source begins with, as many as were asked for.
    """

    size: int
    vectors: dict[str, NDArray[np.float32]]
    first_words: list[str]


class _Layout(NamedTuple):
    size: int
    number: int | None  # of words, where a header says it
    is_binary: bool


class _Record(NamedTuple):
    number: int  # of the line, or of the word in a binary file
    word: bytes
    values: bytes


def has_no_space(word: str) -> bool:
    """Tell whether a word could be a token: it is not empty, and no white space stands in it."""
    return word.split() == [word]


def check_size(source: str | Path, size: int, wanted: int | None) -> None:
    """Refuse vectors of another size.

    Args:
        source: Where they come from.
        size: Numbers that each has.
        wanted: Numbers that each must have, or None.

    Raises:
        ValueError: If the two differ.
    """
    if wanted not in (None, size):
        raise ValueError(
            f"{source} has vectors of {size} numbers, and {wanted} are wanted: leave out embedding_size (size=) to "
            f"take the {size}, or give vectors of {wanted}."
        )


def read_vectors(
    path: str | Path,
    words: Iterable[str],
    *,
    size: int | None = None,
    first_words: int = 0,
    is_token: Callable[[str], bool] = has_no_space,
) -> WordVectors:
    """Read vectors of some words in the format of word2vec (text or binary), GloVe or fastText (.vec).

    The file may be compressed by gzip or bzip2. A first line of two whole numbers is a header: how many words there
    are, and numbers of a vector. A file without one is text, and its first line tells the size. Words may hold spaces.
    If a word comes again, its first vector counts, and how many such words there are is logged.

    Args:
        path: The file, in UTF-8.
        words: Words wanted.
        size: Numbers that a vector must have, or None for as many as the file has.
        first_words: How many words are wanted from the file's start, where the usual files have the most frequent.
        is_token: Which words count among these.

    Returns:
        The vectors found.

    Raises:
        FileNotFoundError: If there is no such file; the message lists what the folder holds.
        ValueError: If the file is of another kind or size, or cut off, or a line is wrong. Of words that are not
            wanted, the numbers are counted only.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(describe_missing(path))
    wanted = {word.encode("utf-8", "surrogatepass"): word for word in words}
    vectors: dict[str, NDArray[np.float32]] = {}
    first: dict[str, None] = {}
    repeated: dict[str, int] = {}
    try:
        layout = _examine(path)
        check_size(path, layout.size, size)
        with _open(path) as stream:
            for record in (_binary_records if layout.is_binary else _text_records)(path, stream, layout):
                word = wanted.get(record.word)
                if len(first) < first_words and is_token(text := record.word.decode("utf-8", "replace")):
                    first[text] = None
                    word = text
                if word in vectors:
                    repeated.setdefault(word, record.number)
                elif word is not None:
                    vectors[word] = _numbers(path, record, layout)
    except (EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system, and not of what decompresses
        raise ValueError(f"{path} is damaged or cut off ({error}): fetch it again.") from error
    if repeated:
        places = ", ".join(f"{word!r} ({_unit(layout)} {number})" for word, number in repeated.items())
        logger.warning(f"{path}: {len(repeated)} words come again, the first vector of each counts: {places:.300}.")
    return WordVectors(layout.size, vectors, list(first))


def _open(path: Path) -> IO[bytes]:
    """Open a file as bytes, uncompressed."""
    with path.open("rb") as file:
        start = file.read(4)
    is_bzip2 = start[:3] == b"BZh" and start[3:].isdigit()
    opener: Any = gzip.open if start[:2] == b"\x1f\x8b" else bz2.open if is_bzip2 else open
    stream: IO[bytes] = opener(path, "rb")
    return stream


def _examine(path: Path) -> _Layout:
    """Tell a file's layout from its beginning."""
    with _open(path) as stream:
        line = stream.readline(_LONGEST_LINE)
        for beginning, remedy in _OTHER_KINDS.items():
            if line.startswith(beginning):
                raise ValueError(f"{path} is {remedy}.")
        fields = line.removeprefix(codecs.BOM_UTF8).split()
        if len(fields) == 2 and all(field.isdigit() for field in fields):
            number, size = map(int, fields)
            if size < 1:
                raise ValueError(f"{path}, line 1: the header {_show(line)} promises vectors of {size} numbers.")
            return _Layout(size, number, _is_binary(stream.read(4 * size + _LONGEST_WORD)))
    size = 0
    while size + 1 < len(fields) and _is_number(fields[-1 - size]):
        size += 1
    if size < 2:
        raise ValueError(
            f"{path}, line 1: {_show(line)} is neither a header (how many words, and numbers of a vector) nor a word "
            f"and the numbers of its vector."
        )
    return _Layout(size, None, is_binary=False)


def _is_binary(sample: bytes) -> bool:
    """Tell numbers of four bytes from text, which hardly one of them could be."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return True
    return any(byte < ord("\t") for byte in sample)


def _text_records(path: Path, stream: IO[bytes], layout: _Layout) -> Iterator[_Record]:
    """Part lines into words and vectors, whose numbers are left unread: most words are not wanted."""
    found = 0
    for number, line in enumerate(stream, start=1):
        line = line.rstrip(b" \t\r\n")
        if number == 1:
            line = b"" if layout.number is not None else line.removeprefix(codecs.BOM_UTF8)
        if not line:
            continue
        found += 1
        if b"\t" in line:
            line = line.replace(b"\t", b" ")
        if line.count(b" ") == layout.size:
            word, _, values = line.partition(b" ")
        else:  # the word holds spaces, or several part the numbers
            fields = line.rsplit(None, layout.size)
            if len(fields) < layout.size or (len(fields) == layout.size and not line.startswith(b" ")):
                raise ValueError(
                    f"{path}, line {number}: {_show(line)} has {len(fields) - 1} numbers after its word, and "
                    f"{layout.size} are expected. Correct the line, or fetch the file again."
                )
            word, values = b" ".join(fields[: -layout.size]), b" ".join(fields[-layout.size :])
        yield _Record(number, word, values)
    if layout.number is not None and found < layout.number:
        raise ValueError(
            f"{path} ends after {found} of the {layout.number} words that its first line promises: fetch it again, or "
            f"correct that number."
        )


def _binary_records(path: Path, stream: IO[bytes], layout: _Layout) -> Iterator[_Record]:
    """Part a binary file: each word ends with a space, and its numbers follow, little-endian float32."""
    stream.readline()
    buffer, start, width = b"", 0, 4 * layout.size
    for number in range(1, (layout.number or 0) + 1):
        end = buffer.find(b" ", start)
        while end < 0 or end + 1 + width > len(buffer):
            more = stream.read(_CHUNK)
            if not more or (end < 0 and len(buffer) - start > _LONGEST_WORD):
                raise ValueError(
                    f"{path}, word {number} of {layout.number}: the file ends, or is no binary file of word2vec. "
                    f"Fetch it again."
                )
            buffer, start = buffer[start:] + more, 0
            end = buffer.find(b" ")
        # Some writers end a vector with a line feed.
        yield _Record(number, buffer[start:end].lstrip(b"\n"), buffer[end + 1 : end + 1 + width])
        start = end + 1 + width


def _numbers(path: Path, record: _Record, layout: _Layout) -> NDArray[np.float32]:
    where = f"{path}, {_unit(layout)} {record.number}"
    if layout.is_binary:
        vector = np.frombuffer(record.values, dtype="<f4").astype(np.float32)
    else:
        fields = record.values.split()
        wrong = next((field for field in fields if not _is_number(field)), None)
        if wrong is not None or len(fields) != layout.size:
            problem = f"{_show(wrong)} is no number" if wrong is not None else f"there are {len(fields)} numbers"
            raise ValueError(
                f"{where}: {problem} in the vector of {_show(record.word)}, where {layout.size} numbers are expected. "
                f"Correct the line, or fetch the file again."
            )
        with np.errstate(over="ignore"):  # it becomes infinity, which is refused below
            vector = np.array([float(field) for field in fields], dtype=np.float32)
    if not np.isfinite(vector).all():
        raise ValueError(f"{where}: the vector of {_show(record.word)} holds NaN or infinity. Take the word out.")
    return vector


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _unit(layout: _Layout) -> str:
    return "word" if layout.is_binary else "line"


def _show(text: bytes) -> str:
    return repr(text[:60].decode("utf-8", "replace")) + "..." * (len(text) > 60)
