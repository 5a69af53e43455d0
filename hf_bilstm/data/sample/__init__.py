"""The built-in corpus: Chinese and English sentences with words, parts of speech, entities and a topic.

A line is a topic, a tab, and words parted by one space, each `characters/TAG`. Square brackets around whole words mark
an entity, its type after the closing one. In a language that is written with spaces, a `+` ends a word that no space
follows:

    sport	[虹口/ns 体育场/n]LOC 以/p 三/m 比/v 一/m 获胜/v 。/w
    daily	I/PRON do/AUX+ n't/PART mind/VERB [Monday/PROPN]TIME+ ./PUNCT
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from hf_bilstm.data.text_files import read_lines
from hf_bilstm.data.words import TASKS, WordSentence, to_task_dataset
from hf_bilstm.models.tagging_schemes import Span

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "validation", "test")
ENTITY_TYPES = ("PER", "LOC", "ORG", "TIME")
_FOLDER = Path(__file__).parent
_SPACED = {"zh": False, "en": True}
# The characters may hold slashes and brackets: only the last slash splits, and "[/w" is the bracket itself.
_WORD = re.compile(r"(?P<opens>\[)?(?P<word>.+)/(?P<tag>[A-Za-z]+)(?:\](?P<type>[^\s/\]+]*))?(?P<joined>\+)?")


@dataclass(frozen=True)
class SampleSentence(WordSentence):
    """A sentence of the built-in corpus, with words, tags and entities.

    Attributes:
        topic: What it is about.
        spaces: For every word, whether a space follows it.
    """

    topic: str = ""

    @property
    def text(self) -> str:
        """The sentence as it is written."""
        return "".join(word + " " * space for word, space in zip(self.words, self.spaces or (), strict=True))

    def over_characters(self, spans: Sequence[Span]) -> list[Span]:
        """Turn spans over words into spans over the characters of `text`."""
        spaces = self.spaces or ()
        ends = list(accumulate(len(word) + space for word, space in zip(self.words, spaces, strict=True)))
        starts = [0, *ends]
        return [Span(span.label, starts[span.start], ends[span.end - 1] - spaces[span.end - 1]) for span in spans]

    def word_spans(self, labels: Sequence[str]) -> list[Span]:
        """Give every word its span over characters, with its own label."""
        return self.over_characters([Span(label, i, i + 1) for i, label in enumerate(labels)])


def load_sample(split: str, task: str = "ner", language: str = "zh") -> Dataset:
    """Load a split of the built-in corpus, made for one task.

    Args:
        split: "train", "validation" or "test".
        task: What `for_task` makes for the language.
        language: "zh" or "en".

    Returns:
        A data set with columns `tokens` and `tags`, or `text` and `label`.

    Raises:
        ValueError: If there is no such split, task or language.
    """
    if split not in SPLITS:
        raise ValueError(f"The sample has no split {split!r}; it has {', '.join(map(repr, SPLITS))}.")
    sentences = read_sample_file(_FOLDER / _known(language) / f"{split}.txt", language)
    return for_task(sentences, task, language)


def for_task(sentences: list[SampleSentence], task: str, language: str = "zh") -> Dataset:
    """Make the data set of one task from sentences.

    Args:
        sentences: What `read_sample_file` returns.
        task: "ner", "segmentation" and "segmentation_pos" have characters for tokens, and tags in IOB2; "pos" has
            words and plain tags; "classification" has columns `text` and `label` (the topic). In English, "ner" has
            words for tokens, and there is no segmentation.
        language: "zh" or "en".

    Returns:
        A data set with columns `tokens` and `tags`, or `text` and `label`.

    Raises:
        ValueError: If there is no such task in the language, or no such language.
    """
    tasks = _TASKS[_known(language)]
    if task not in tasks:
        raise ValueError(f"The sample ({language}) has no task {task!r}; it has {', '.join(map(repr, tasks))}.")
    if task == "classification":
        return _classification(sentences)
    return to_task_dataset(sentences, task, granularity="char" if language == "zh" else "word")


def read_sample_file(path: str | Path, language: str = "zh") -> list[SampleSentence]:
    """Read a file in the form of the built-in corpus.

    Args:
        path: The file, in UTF-8.
        language: "zh", written without spaces, or "en", written with them but where a `+` ends a word.

    Returns:
        Its sentences.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not of the form, and then the message names it; or if there is no such language.
    """
    spaced = _SPACED[_known(language)]
    lines = read_lines(path)
    sentences = [_parse(line, spaced, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line]
    if not sentences:
        raise ValueError(f"{path} holds no sentence; write one a line: topic, a tab, words as characters/TAG.")
    return sentences


def _known(language: str) -> str:
    if language not in _SPACED:
        raise ValueError(f"The sample has no language {language!r}; it has {', '.join(map(repr, _SPACED))}.")
    return language


def _parse(line: str, spaced: bool, where: str) -> SampleSentence:
    topic, tab, rest = line.partition("\t")
    if not tab or not topic.strip() or not rest:
        raise ValueError(f"{where}: expected a topic, a tab and words, found {line!r}.")
    words, tags, entities, spaces = [], [], [], []
    start: int | None = None
    for position, piece in enumerate(rest.split(" ")):
        match = _WORD.fullmatch(piece)
        if match is None:
            raise ValueError(f"{where}: {piece!r} is not characters/TAG. Part words by one space, with a tag each.")
        if match["opens"]:
            if start is not None:
                raise ValueError(f"{where}: {piece!r} opens an entity inside another. Close that one first.")
            start = position
        words.append(match["word"])
        tags.append(match["tag"])
        spaces.append(spaced and match["joined"] is None)
        if match["type"] is not None:
            if start is None:
                raise ValueError(
                    f"{where}: {piece!r} closes an entity that is not open. Write '[' before its first word."
                )
            if match["type"] not in ENTITY_TYPES:
                raise ValueError(
                    f"{where}: {piece!r} has entity type {match['type']!r}; write one of {', '.join(ENTITY_TYPES)}."
                )
            entities.append(Span(match["type"], start, position + 1))
            start = None
    if start is not None:
        raise ValueError(f"{where}: the entity that starts at {words[start]!r} is not closed. Write ']' and its type.")
    spaces[-1] = False
    return SampleSentence(tuple(words), tuple(tags), tuple(entities), tuple(spaces), place=where, topic=topic)


def _classification(sentences: list[SampleSentence]) -> Dataset:
    from datasets import Dataset

    return Dataset.from_dict(
        {"text": [sentence.text for sentence in sentences], "label": [sentence.topic for sentence in sentences]}
    )


_TASKS = {"zh": (*TASKS, "classification"), "en": ("ner", "pos", "classification")}
