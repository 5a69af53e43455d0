"""Sentences of words, which readers of segmented text make, into the data set of a task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from transformers.utils import logging

from hf_bilstm.data.normalization import WORD_LABEL, to_dataset
from hf_bilstm.data.sentences import cut_places
from hf_bilstm.models.tagging_schemes import Span, spans_to_tags, tags_to_spans
from hf_bilstm.models.tokenizer_backend import WHITE_SPACE
from hf_bilstm.tagsets import report_unknown_tags

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.get_logger(__name__)

TASKS = ("ner", "segmentation", "segmentation_pos", "pos")
_RUNS = re.compile(f"[{WHITE_SPACE}]+|[^{WHITE_SPACE}]+")


@dataclass(frozen=True)
class WordSentence:
    """A sentence of words and what is known about them.

    Attributes:
        words: Its words.
        tags: Part of speech of every word; None where the format has none.
        entities: Named entities, over words; None where the format has none.
        spaces: Whether white space follows each word; None where nothing does, or nobody knows.
        place: Where it stands, for messages: "file, line 3".
    """

    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    entities: tuple[Span, ...] | None = None
    spaces: tuple[bool, ...] | None = None
    place: str = "a sentence"

    @property
    def text(self) -> str:
        """The sentence as it is written, without the white space between its words."""
        return "".join(self.words)

    def between(self, start: int, end: int) -> WordSentence:
        """Take the words from `start` to `end` (exclusive), and the entities that lie among them."""
        entities = self.entities
        if entities is not None:
            inside = (span for span in entities if start <= span.start and span.end <= end)
            entities = tuple(Span(span.label, span.start - start, span.end - start) for span in inside)
        tags = None if self.tags is None else self.tags[start:end]
        spaces = None if self.spaces is None else self.spaces[start:end]
        return replace(self, words=self.words[start:end], tags=tags, entities=entities, spaces=spaces)


def to_task_dataset(
    sentences: Sequence[WordSentence],
    task: str,
    *,
    granularity: str = "char",
    white_space: str = "drop",
    split_sentences: bool = False,
    max_sentence_length: int | None = None,
    tag_map: Mapping[str, str] | None = None,
    tagset: str | None = None,
) -> Dataset:
    """Make the data set of a task from sentences of words.

    Args:
        sentences: What a reader of words gives.
        task: "segmentation" (characters tagged `B-WORD`, `I-WORD`), "segmentation_pos" (characters tagged `B-n`,
            `I-n` and so on), "pos" (words with plain tags) or "ner" (characters or words in IOB2).
        granularity: What a token of "ner" is, "char" or "word"; "pos" has words whatever it says, and segmentation
            has characters.
        white_space: "drop", or "token": white space between words, where the data knows of any, is a token tagged
            `O` of the tasks on characters.
        split_sentences: Whether sentences are parted after 。！？；… and the closing quotes that follow.
        max_sentence_length: Most characters of a sentence: longer ones are parted after a comma or else any word.
            None for no limit.
        tag_map: Tags to write in place of others, `{"vvn": "vn"}`; the number of changes is logged.
        tagset: Name of a tag set of `hf_bilstm.tagsets`: tags that it does not know are kept, and logged.

    Returns:
        A data set with columns `tokens` and `tags`.

    Raises:
        ValueError: If the task is unknown, or asks for what the data does not have.
    """
    _check_task(sentences, task, granularity)
    if task in ("pos", "segmentation_pos"):
        if tag_map:
            sentences = _map_tags(sentences, tag_map)
        if tagset:
            places = ((tag, s.place) for s in sentences for tag in s.tags or ())
            report_unknown_tags(places, tagset)
    if split_sentences or max_sentence_length is not None:
        sentences = [piece for s in sentences for piece in _split(s, split_sentences, max_sentence_length)]
    if task == "pos":
        return to_dataset([list(s.words) for s in sentences], [list(s.tags or ()) for s in sentences])
    if task == "ner" and granularity == "word":
        tags = [spans_to_tags(s.entities or (), len(s.words), "iob2") for s in sentences]
        return to_dataset([list(s.words) for s in sentences], tags)
    rows = [_characters(s, task, white_space == "token") for s in sentences]
    parted = sum(number for _, _, number in rows)
    if parted and task != "ner":
        logger.warning(f"{_file(sentences)}: parted {parted} words at the white space in them, a boundary always.")
    return to_dataset([tokens for tokens, _, _ in rows], [tags for _, tags, _ in rows])


def words_of(dataset: Dataset) -> set[str]:
    """Collect the words that the tags of a data set mark.

    Args:
        dataset: Columns `tokens` and `tags`, the tags in IOB2.

    Returns:
        The distinct words: all tokens of each span, joined.
    """
    return {
        "".join(tokens[span.start : span.end])
        for tokens, tags in zip(dataset["tokens"], dataset["tags"], strict=True)
        for span in tags_to_spans(tags, "iob2")
    }


def _check_task(sentences: Sequence[WordSentence], task: str, granularity: str) -> None:
    if task not in TASKS:
        raise ValueError(f"There is no task {task!r}; write one of {', '.join(map(repr, TASKS))}.")
    if task.startswith("segmentation") and granularity != "char":
        raise ValueError(f"task {task!r} finds words in characters: it takes granularity 'char', not {granularity!r}.")
    first = next(iter(sentences), None)
    if first is None:
        return
    if task in ("pos", "segmentation_pos") and first.tags is None:
        raise ValueError(
            f"{first.place}: task {task!r} needs words with tags, and this format has words alone. Use task "
            f"'segmentation', or data_format 'word_pos', 'conllu' or 'columns'."
        )
    if task == "ner" and first.entities is None:
        raise ValueError(
            f"{first.place}: task 'ner' needs entities, and this format has none. Use task 'segmentation', or "
            f"data_format 'word_pos' or 'columns'."
        )


def _map_tags(sentences: Sequence[WordSentence], tag_map: Mapping[str, str]) -> list[WordSentence]:
    counts = Counter(tag for s in sentences for tag in s.tags or () if tag in tag_map)
    for tag, number in counts.items():
        logger.warning(f"{_file(sentences)}: tag {tag!r} became {tag_map[tag]!r} {number} times, as tag_map says.")
    return [replace(s, tags=tuple(tag_map.get(tag, tag) for tag in s.tags or ())) for s in sentences]


def _split(sentence: WordSentence, at_ends: bool, max_length: int | None) -> Iterable[WordSentence]:
    places = cut_places(sentence.words, at_ends=at_ends, max_length=max_length, whole=sentence.entities or ())
    start = 0
    for end in places:
        yield sentence.between(start, end)
        start = end


def _characters(sentence: WordSentence, task: str, keep_space: bool) -> tuple[list[str], list[str], int]:
    """Lay a sentence out as characters; give them, their tags, and how many words held white space."""
    characters: list[str] = []
    bounds: list[tuple[int, int]] = []  # first character of each word, and the one after its last
    spans: list[Span] = []
    parted = 0
    last = len(sentence.words) - 1
    for number, word in enumerate(sentence.words):
        first, pieces = len(characters), 0
        for run in _RUNS.findall(word):
            if run[0] not in WHITE_SPACE:
                label = sentence.tags[number] if task == "segmentation_pos" and sentence.tags else WORD_LABEL
                spans.append(Span(label, len(characters), len(characters) + len(run)))
                characters += run
                pieces += 1
            elif keep_space:
                characters.append(" ")
        parted += pieces > 1
        bounds.append((first, len(characters)))
        if keep_space and sentence.spaces and sentence.spaces[number] and number < last:
            characters.append(" ")
    if task == "ner":
        spans = [Span(s.label, bounds[s.start][0], bounds[s.end - 1][1]) for s in sentence.entities or ()]
    return characters, spans_to_tags(spans, len(characters), "iob2"), parted


def _file(sentences: Sequence[WordSentence]) -> str:
    return sentences[0].place.rsplit(", line", 1)[0] if sentences else "the data"
