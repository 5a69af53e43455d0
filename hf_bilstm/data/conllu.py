"""CoNLL-U files, the form of the Universal Dependencies treebanks, read with the `conllu` library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_bilstm.data.text_files import compile_pattern, read_lines
from hf_bilstm.data.words import WordSentence, to_task_dataset

if TYPE_CHECKING:
    from conllu import Token, TokenList
    from datasets import Dataset

TAG_COLUMNS = ("upos", "xpos")
# Joins the tags of the words that one written token stands for: du = de + le is ADP+DET.
_TAG_JOINT = "+"
# Columns that are not looked at are not checked either.
_UNREAD = ("lemma", "feats", "head", "deprel", "deps")


class _Item(NamedTuple):
    """A word, or a written token that stands for several: its text, tag, and whether white space follows."""

    form: str
    tag: str
    space: bool


def read_conllu(
    path: str | Path,
    *,
    task: str = "pos",
    tag_column: str = "upos",
    encoding: str = "utf-8",
    select: str | None = None,
    **shape: Any,
) -> Dataset:
    """Read a CoNLL-U file.

    For "pos" the words are the syntactic ones, those of multiword tokens apart (`de`, `le` for `du`). The tasks on
    characters need what is written: a multiword token is cut into its words where they spell it, as `do` and `n't`
    spell `don't`, and is otherwise one word with their tags joined, `ADP+DET`. Empty nodes and comments are left out.
    White space is taken to follow a word that has no `SpaceAfter=No`, in a file that says so of any word.

    Args:
        path: The file.
        task: "pos", "segmentation" or "segmentation_pos".
        tag_column: "upos" or "xpos".
        encoding: Encoding of the file.
        select: Regular expression: sentences in whose `sent_id` it finds nothing are left out. None takes all.
        **shape: What `to_task_dataset` takes beside.

    Returns:
        A data set with columns `tokens` and `tags`, as the task wants them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not of this form, or a word has no tag; the message names the line.
    """
    if tag_column not in TAG_COLUMNS:
        raise ValueError(f"tag_column {tag_column!r}: CoNLL-U has the tag columns 'upos' (the default) and 'xpos'.")
    lines = read_lines(path, encoding)
    knows_spaces = any("SpaceAfter=No" in line for line in lines)
    wanted = compile_pattern(select)
    needs_tags = task in ("pos", "segmentation_pos")
    sentences = []
    for start, sentence, numbers in _parse(path, lines):
        if wanted is not None and not wanted.search(str(sentence.metadata.get("sent_id", ""))):
            continue
        words = _words(path, sentence, numbers, tag_column if needs_tags else None, as_written=task != "pos")
        forms, tags, spaces = zip(*words, strict=True)
        place = f"{path}, line {start}"
        sentences.append(WordSentence(forms, tags, spaces=spaces if knows_spaces else None, place=place))
    if not sentences:
        chosen = "" if select is None else f" whose sent_id has {select!r}"
        raise ValueError(f"{path} holds no sentence{chosen}; CoNLL-U has a word a line, its columns parted by tabs.")
    return to_task_dataset(sentences, task, **shape)


def _parse(path: str | Path, lines: Sequence[str]) -> Iterator[tuple[int, TokenList, list[int]]]:
    """Parse each sentence; give its first line, its tokens, and the line of each token."""
    from conllu import parse
    from conllu.exceptions import ParseException

    readers: dict[str, Any] = {name: lambda line, i: line[i] for name in _UNREAD}
    start = 0
    for end, line in enumerate([*lines, ""]):
        if line.strip():
            continue
        numbers = [number for number in range(start, end) if not lines[number].lstrip().startswith("#")]
        for number in numbers:
            _check_columns(f"{path}, line {number + 1}", lines[number])
        if numbers:
            try:
                (sentence,) = parse("\n".join(lines[start:end]), field_parsers=readers)
            except ParseException as error:
                raise ValueError(f"{path}, sentence in lines {start + 1} to {end}: {error}") from error
            yield start + 1, sentence, [number + 1 for number in numbers]
        start = end + 1


def _check_columns(place: str, line: str) -> None:
    columns = line.split("\t")
    if len(columns) != 10 or not all(columns):
        raise ValueError(
            f"{place}: {len([c for c in columns if c])} columns {columns}, where CoNLL-U has 10 parted by tabs, '_' "
            f"for none. Correct the line, or read the file as data_format 'columns'."
        )


def _words(
    path: str | Path, sentence: TokenList, numbers: Sequence[int], tag_column: str | None, as_written: bool
) -> list[_Item]:
    words: list[_Item] = []
    held: list[_Item] = []  # words of the multiword token at hand
    whole: _Item | None = None
    last = 0  # id of its last word
    for token, number in zip(sentence, numbers, strict=True):
        key = token["id"]
        space = (token.get("misc") or {}).get("SpaceAfter") != "No"
        if isinstance(key, tuple):
            if key[1] == "-" and as_written:
                whole, last = _Item(token["form"], "", space), key[2]
            continue
        item = _Item(token["form"], _tag(token, tag_column, f"{path}, line {number}"), space)
        if whole is None:
            words.append(item)
            continue
        held.append(item)
        if key == last:
            words += _written(whole, held)
            whole, held = None, []
    if whole is not None:
        raise ValueError(f"{path}, line {numbers[0]}: the sentence ends before word {last} of {whole.form!r}.")
    return words


def _tag(token: Token, tag_column: str | None, place: str) -> str:
    if tag_column is None:
        return ""
    tag = token[tag_column]
    if tag in (None, "_"):
        raise ValueError(
            f"{place}: the word {token['form']!r} has no tag in column {tag_column.upper()}. Fill it in, or take "
            f"tag_column {'xpos' if tag_column == 'upos' else 'upos'!r}."
        )
    return str(tag)


def _written(whole: _Item, words: Sequence[_Item]) -> list[_Item]:
    """Cut a multiword token into the words that spell it, or keep it whole with their tags."""
    if "".join(word.form for word in words) != whole.form:
        return [whole._replace(tag=_TAG_JOINT.join(word.tag for word in words))]
    return [*(word._replace(space=False) for word in words[:-1]), words[-1]._replace(space=whole.space)]
