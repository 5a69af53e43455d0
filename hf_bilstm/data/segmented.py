"""Segmented text: a sentence a line, its words parted by white space, as in the files of the SIGHAN bakeoffs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_bilstm.data.text_files import read_lines, select_lines
from hf_bilstm.data.words import WordSentence, to_task_dataset

if TYPE_CHECKING:
    from datasets import Dataset


def read_segmented(
    path: str | Path, *, task: str = "segmentation", encoding: str = "utf-8", select: str | None = None, **shape: Any
) -> Dataset:
    """Read a file of segmented text.

    Words are parted by any run of white space, the full-width blank U+3000 too; lines without a word are left out.

    Args:
        path: The file.
        task: "segmentation".
        encoding: Encoding of the file: "utf-8", "gb18030" (which reads GBK and GB2312), "big5hkscs" and so on.
        select: Regular expression: lines in which it finds nothing are left out. None takes all lines.
        **shape: `white_space`, `split_sentences` and `max_sentence_length` of `to_task_dataset`.

    Returns:
        A data set with columns `tokens` (characters) and `tags` (`B-WORD`, `I-WORD`).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not in the encoding or holds no word.
    """
    sentences = [
        WordSentence(tuple(words), place=f"{path}, line {number}")
        for number, line in select_lines(path, read_lines(path, encoding), select)
        if (words := line.split())
    ]
    if not sentences:
        raise ValueError(f"{path} holds no word; write a sentence a line, its words parted by white space.")
    return to_task_dataset(sentences, task, **shape)
