"""The built-in corpus: Chinese sentences with words, parts of speech (PKU), entities and a topic.

A line is a topic, a tab, and words parted by one space, each `characters/TAG`. Square brackets around whole words mark
an entity, its type after the closing one:

    sport	[虹口/ns 体育场/n]LOC 以/p 三/m 比/v 一/m 获胜/v 。/w
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_bilstm.data.text_files import read_lines
from hf_bilstm.data.words import TASKS, WordSentence, to_task_dataset
from hf_bilstm.models.tagging_schemes import Span

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "validation", "test")
ENTITY_TYPES = ("PER", "LOC", "ORG", "TIME")
_FOLDER = Path(__file__).parent / "zh"
# The characters may hold slashes and brackets: only the last slash splits, and "[/w" is the bracket itself.
_WORD = re.compile(r"(?P<opens>\[)?(?P<word>.+)/(?P<tag>[A-Za-z]+)(?:\](?P<type>[^\s/\]]*))?")


@dataclass(frozen=True)
class SampleSentence(WordSentence):
    """A sentence of the built-in corpus, with words, tags and entities.

    Attributes:
        topic: What it is about.
    """

    topic: str = ""


def load_sample(split: str, task: str = "ner") -> Dataset:
    """Load a split of the built-in corpus, made for one task.

    Args:
        split: "train", "validation" or "test".
        task: "ner", "segmentation" and "segmentation_pos" have characters for tokens, and tags in IOB2; "pos" has
            words and plain tags; "classification" has columns `text` and `label` (the topic).

    Returns:
        A data set with columns `tokens` and `tags`, or `text` and `label`.

    Raises:
        ValueError: If there is no such split or task.
    """
    if split not in SPLITS:
        raise ValueError(f"The sample has no split {split!r}; it has {', '.join(map(repr, SPLITS))}.")
    return for_task(read_sample_file(_FOLDER / f"{split}.txt"), task)


def for_task(sentences: list[SampleSentence], task: str) -> Dataset:
    """Make the data set of one task from sentences.

    Args:
        sentences: What `read_sample_file` returns.
        task: One of the tasks of `load_sample`.

    Returns:
        A data set with columns `tokens` and `tags`, or `text` and `label`.

    Raises:
        ValueError: If there is no such task.
    """
    if task == "classification":
        return _classification(sentences)
    if task not in TASKS:
        raise ValueError(
            f"The sample has no task {task!r}; it has {', '.join(map(repr, (*TASKS, 'classification')))}."
        )
    return to_task_dataset(sentences, task)


def read_sample_file(path: str | Path) -> list[SampleSentence]:
    """Read a file in the form of the built-in corpus.

    Args:
        path: The file, in UTF-8.

    Returns:
        Its sentences.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not of the form; the message names it.
    """
    lines = read_lines(path)
    sentences = [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line]
    if not sentences:
        raise ValueError(f"{path} holds no sentence; write one a line: topic, a tab, words as characters/TAG.")
    return sentences


def _parse(line: str, where: str) -> SampleSentence:
    topic, tab, rest = line.partition("\t")
    if not tab or not topic.strip() or not rest:
        raise ValueError(f"{where}: expected a topic, a tab and words, found {line!r}.")
    words, tags, entities = [], [], []
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
    return SampleSentence(tuple(words), tuple(tags), tuple(entities), place=where, topic=topic)


def _classification(sentences: list[SampleSentence]) -> Dataset:
    from datasets import Dataset

    return Dataset.from_dict(
        {"text": [sentence.text for sentence in sentences], "label": [sentence.topic for sentence in sentences]}
    )
