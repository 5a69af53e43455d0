"""Labelled texts: lines of a label and a text, and tables (TSV, CSV) with a column for each."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_bilstm.data.text_files import read_lines

if TYPE_CHECKING:
    from datasets import Dataset

# Where a text or a label was found, the label and the text.
Row = tuple[str, str, str]


def read_labelled_lines(path: str | Path, *, encoding: str = "utf-8") -> Dataset:
    """Read a file of one text a line, with its label before it: `label text`.

    The label ends at the first blank or tab. Lines are parted at line feeds alone; empty ones are left out.

    Args:
        path: The file.
        encoding: Its encoding, such as "utf-8", "latin-1" or "gb18030".

    Returns:
        A data set with columns `text` and `label`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not in the encoding, or a line is not of this form.
    """
    rows = []
    for number, line in enumerate(read_lines(path, encoding), start=1):
        if line.strip():
            label, *rest = re.split(r"[ \t]+", line, maxsplit=1)
            rows.append((f"{path}, line {number}", label, rest[0] if rest else ""))
    return to_labelled_dataset(rows, str(path), "write a label, a blank and a text a line")


def read_tsv(
    path: str | Path, *, text_column: str = "text", label_column: str = "label", encoding: str = "utf-8"
) -> Dataset:
    """Read a table whose columns are parted by tabs and named in its first line. Quotation marks are text.

    Args:
        path: The file.
        text_column: Name of the column of texts.
        label_column: Name of the column of labels.
        encoding: Encoding of the file.

    Returns:
        A data set with columns `text` and `label`; other columns are left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not in the encoding, lacks a column, or a line has another number of columns.
    """
    lines = read_lines(path, encoding)
    cells = ((number, line.split("\t")) for number, line in enumerate(lines, start=1) if line.strip())
    return _read_table(path, cells, text_column, label_column)


def read_csv(
    path: str | Path, *, text_column: str = "text", label_column: str = "label", encoding: str = "utf-8"
) -> Dataset:
    """Read a table whose columns are parted by commas and named in its first line (RFC 4180).

    A cell in quotation marks may hold commas, line feeds, and quotation marks, doubled.

    Args:
        path: The file.
        text_column: Name of the column of texts.
        label_column: Name of the column of labels.
        encoding: Encoding of the file.

    Returns:
        A data set with columns `text` and `label`; other columns are left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not in the encoding, lacks a column, or a row has another number of columns.
    """
    return _read_table(path, _csv_cells(path, read_lines(path, encoding)), text_column, label_column)


def to_labelled_dataset(rows: Iterable[Row], source: str, remedy: str) -> Dataset:
    """Make a data set of labelled texts.

    Args:
        rows: Place, label and text of each.
        source: What they were read from, for messages.
        remedy: What to write where something is missing, for messages.

    Returns:
        A data set with columns `text` and `label`.

    Raises:
        ValueError: If a label or a text is empty, or there is none.
    """
    from datasets import Dataset

    texts, labels = [], []
    for place, label, text in rows:
        for name, value in (("label", label), ("text", text)):
            if not value.strip():
                raise ValueError(f"{place}: the {name} is empty; {remedy}, or remove the row.")
        texts.append(text)
        labels.append(label)
    if not texts:
        raise ValueError(f"{source} holds no labelled text; {remedy}.")
    return Dataset.from_dict({"text": texts, "label": labels})


def _read_table(
    path: str | Path, cells: Iterable[tuple[int, Sequence[str]]], text_column: str, label_column: str
) -> Dataset:
    """Pick two columns of a table, given its rows with the number of the line where each ends."""
    numbered = iter(cells)
    _, header = next(numbered, (0, []))
    for name, column in (("text_column", text_column), ("label_column", label_column)):
        if column not in header:
            raise ValueError(
                f"{path}, line 1: no column {column!r} among {', '.join(map(repr, header)) or 'no columns'}. Name it "
                f"with {name}; the first line holds the columns' names."
            )
    place_of_text, place_of_label = header.index(text_column), header.index(label_column)

    def rows() -> Iterator[Row]:
        for number, row in numbered:
            if len(row) != len(header):
                raise ValueError(
                    f"{path}, line {number}: {len(row)} columns, where line 1 names {len(header)} "
                    f"({', '.join(header)}). Correct the line: a tab, comma or quotation mark too many or too few."
                )
            yield f"{path}, line {number}", row[place_of_label], row[place_of_text]

    return to_labelled_dataset(rows(), str(path), "give each row a label and a text")


def _csv_cells(path: str | Path, lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Split lines into cells, and number each row by its last line."""
    # A carriage return would end a row, and is part of a cell here: another character stands for it meanwhile.
    used = set().union(*lines)
    stand_in = next(chr(code) for code in range(0xE000, 0xF900) if chr(code) not in used)
    reader = csv.reader((line.replace("\r", stand_in) + "\n" for line in lines), strict=True)
    usual = csv.field_size_limit(2**31 - 1)  # texts have no maximum length; 131,072 characters are the module's
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: {error}. A cell with a comma, a line feed or a quotation mark stands in "
            f"quotation marks, those inside doubled; a file whose quotation marks are text is read as tsv."
        ) from error
    finally:
        csv.field_size_limit(usual)
    for number, row in rows:
        yield number, [cell.replace(stand_in, "\r") for cell in row]
