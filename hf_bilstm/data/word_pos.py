"""Words with tags, `word/tag`, as in the People's Daily corpus of Peking University.

A paragraph is a line: an id that is dropped, and words with tags, parted by white space. Square brackets around words
mark a compound name, its label glued to the closing one:

    19980101-01-001-006/m  在/p  １９９８年/t  ，/w  我/r  通过/p  [中央/n  人民/n  广播/vn  电台/n]nt  ，/w
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from transformers.utils import logging

from hf_bilstm.data.text_files import read_lines, select_lines
from hf_bilstm.data.words import WordSentence, to_task_dataset
from hf_bilstm.models.tagging_schemes import Span

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.get_logger(__name__)

ENTITY_TYPES = {"nr": "PER", "ns": "LOC", "nt": "ORG"}
NAME_TAG = "nr"
_PARAGRAPH_ID = re.compile(r"\d{8}(-\d+)+(/\w+)?")
# Each has two characters.
_COMPOUND_SURNAMES = frozenset(
    re.findall(
        "..",
        "万俟上官东方东郭令狐公冶公孙公羊单于南宫司徒司空司马呼延夏侯太史太叔宇文宗政尉迟慕容拓跋欧阳"
        "濮阳淳于澹台独孤申屠百里皇甫端木第五西门诸葛赫连轩辕钟离长孙闻人闾丘鲜于",
    )
)
_REMARK = re.compile(r"[（〈(][^）〉)]*[）〉)]")  # describes a character that the encoding lacks: 钟（昆音）

_REMEDY = "Write '[' before a name's first word and ']' with its label after its last, or mend with repair: true."


class _Bracket(NamedTuple):
    label: str
    start: int  # word
    end: int  # word after the last


def read_word_pos(
    path: str | Path,
    *,
    task: str = "segmentation_pos",
    encoding: str = "utf-8",
    select: str | None = None,
    delimiter: str = "/",
    join_names: bool = False,
    entity_types: Mapping[str, str] = ENTITY_TYPES,
    repair: bool = False,
    **shape: Any,
) -> Dataset:
    """Read a file of words with tags.

    The last delimiter of a token splits it, so that a word may hold it (`1/2/m`) or be it (`//w`). For "ner" the
    entities are the outermost brackets whose label `entity_types` names, and elsewhere the words whose tag it names;
    a surname and the given name after it are one entity. For the other tasks brackets mean nothing.

    Args:
        path: The file.
        task: "segmentation_pos", "segmentation", "pos" or "ner".
        encoding: Encoding of the file: "utf-8", "gb18030" (which reads GBK), and so on.
        select: Regular expression: lines in which it finds nothing are left out. None takes all lines.
        delimiter: What stands between a word and its tag.
        join_names: Whether a surname and a given name, both tagged `nr`, become one word.
        entity_types: Entity types of bracket labels and tags, for "ner".
        repair: Whether a bracket without its other half is left out (a closing one) or taken for a part of its word
            (an opening one), and counted, instead of refused.
        **shape: What `to_task_dataset` takes beside.

    Returns:
        A data set with columns `tokens` and `tags`, as the task wants them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not of the form; the message names it.
    """
    if not delimiter or delimiter.isspace():
        raise ValueError(f"delimiter={delimiter!r}: it takes what stands between a word and its tag, such as '/'.")
    mark = re.escape(delimiter)
    # The word is as short as may be, so that "电台/n]/nt" is a word and a closing bracket; a tag holds no delimiter.
    token = re.compile(rf"(\[*)(.+?){mark}((?:(?!{mark})[^\[\]])+)((?:\](?:{mark})?\w+)*)")
    sentences = []
    unmatched = 0
    for number, line in select_lines(path, read_lines(path, encoding), select):
        place = f"{path}, line {number}"
        pieces = line.split()
        if pieces and _PARAGRAPH_ID.fullmatch(pieces[0]):
            pieces = pieces[1:]
        if pieces:
            words, tags, brackets, odd = _parse(pieces, token, delimiter, place, repair)
            unmatched += odd
            names = _names(words, tags, brackets)
            entities = _entities(tags, brackets, names, entity_types)
            sentence = WordSentence(tuple(words), tuple(tags), tuple(entities), place=place)
            sentences.append(_join_names(sentence, names) if join_names else sentence)
    if not sentences:
        raise ValueError(f"{path} holds no word; write words as word{delimiter}tag, parted by white space.")
    if unmatched:
        logger.warning(f"{path}: mended {unmatched} bracket{'s' * (unmatched > 1)} without the other half.")
    return to_task_dataset(sentences, task, **shape)


def write_word_pos(words: Iterable[tuple[str, str]], delimiter: str = "/") -> str:
    """Write words with their tags as a line that `read_word_pos` reads.

    Args:
        words: Words and tags.
        delimiter: What stands between a word and its tag.

    Returns:
        `word/tag`, parted by blanks.
    """
    return " ".join(f"{word}{delimiter}{tag}" for word, tag in words)


def _parse(
    pieces: Sequence[str], token: re.Pattern[str], delimiter: str, place: str, repair: bool
) -> tuple[list[str], list[str], list[_Bracket], int]:
    """Read the words, tags and brackets of a line, and count the brackets that had to be mended."""
    words: list[str] = []
    tags: list[str] = []
    brackets: list[_Bracket] = []
    opened: list[int] = []
    unmatched = 0
    for position, piece in enumerate(pieces):
        match = token.fullmatch(piece)
        if match is None:
            raise ValueError(
                f"{place}: {piece!r} is not word{delimiter}tag. Give the word its tag, or say what stands between "
                f"them (tag_delimiter); for words without tags take data_format 'segmented'."
            )
        opens, word, tag, closes = match.groups()
        words.append(word)
        tags.append(tag)
        opened += [position] * len(opens)
        for label in closes.replace(delimiter, "").split("]")[1:]:
            if opened:
                brackets.append(_Bracket(label, opened.pop(), position + 1))
            elif repair:
                unmatched += 1
            else:
                raise ValueError(f"{place}: {piece!r} closes a bracket that is not open. {_REMEDY}")
    if opened and not repair:
        raise ValueError(f"{place}: the bracket before {words[opened[-1]]!r} is not closed. {_REMEDY}")
    for position in opened:
        words[position] = f"[{words[position]}"
    return words, tags, brackets, unmatched + len(opened)


def _names(words: Sequence[str], tags: Sequence[str], brackets: Sequence[_Bracket]) -> list[tuple[int, int]]:
    """Find a surname and the given name after it; give the positions of the two, exclusive of the second's end."""
    edges = {edge for bracket in brackets for edge in (bracket.start, bracket.end)}
    names = []
    last = len(words) - 1
    while last > 0:  # from right to left: what comes last in a run of names is a given name
        pair = (last - 1, last + 1)
        both_names = tags[last - 1] == tags[last] == NAME_TAG and last not in edges
        if both_names and _is_surname(words[last - 1]) and len(_REMARK.sub("字", words[last])) <= 2:
            names.append(pair)
            last -= 2
        else:
            last -= 1
    return names[::-1]


def _is_surname(word: str) -> bool:
    return len(word) == 1 or word in _COMPOUND_SURNAMES


def _entities(
    tags: Sequence[str],
    brackets: Sequence[_Bracket],
    names: Sequence[tuple[int, int]],
    entity_types: Mapping[str, str],
) -> list[Span]:
    """Choose the entities: outermost brackets first, then names, then words."""
    candidates = [Span(entity_types[label], start, end) for label, start, end in brackets if label in entity_types]
    if NAME_TAG in entity_types:
        candidates += [Span(entity_types[NAME_TAG], start, end) for start, end in names]
    candidates += [Span(entity_types[tag], i, i + 1) for i, tag in enumerate(tags) if tag in entity_types]
    taken = [False] * len(tags)
    entities = []
    for span in sorted(candidates, key=lambda span: span.start - span.end):
        if not any(taken[span.start : span.end]):
            taken[span.start : span.end] = [True] * (span.end - span.start)
            entities.append(span)
    return sorted(entities, key=lambda span: span.start)


def _join_names(sentence: WordSentence, names: Sequence[tuple[int, int]]) -> WordSentence:
    given = {start + 1 for start, _ in names}
    words: list[str] = []
    tags: list[str] = []
    places = [0]  # new position of each old word, and of the end
    for position, (word, tag) in enumerate(zip(sentence.words, sentence.tags or (), strict=True)):
        if position in given:
            words[-1] += word
        else:
            words.append(word)
            tags.append(tag)
        places.append(len(words))
    # A given name belongs to the word of its surname.
    starts = [place - 1 if i in given else place for i, place in enumerate(places[:-1])]
    entities = tuple(Span(s.label, starts[s.start], places[s.end]) for s in sentence.entities or ())
    return WordSentence(tuple(words), tuple(tags), entities, place=sentence.place)
