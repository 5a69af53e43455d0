"""Tag sets for parts of speech, with meanings and examples, and mappings between them.

`pku` (Peking University, the People's Daily), `863` (as LTP uses it) and `upos` (Universal Dependencies). README.md in
this folder has the sources. `nt` is an organization in PKU and a time in 863.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from transformers.utils import logging

logger = logging.get_logger(__name__)

TAGSETS = ("pku", "863", "upos")
_FOLDER = Path(__file__).parent
_MOST_LISTED = 20


@dataclass(frozen=True)
class TagMeaning:
    """What a tag means, in Chinese (`zh`) and English (`en`), with `examples`."""

    zh: str
    en: str
    examples: tuple[str, ...]


@dataclass(frozen=True)
class TagMapping:
    """A tag of another set that stands for a tag.

    Attributes:
        target: The other set's tag.
        loss: What the mapping loses or gets wrong; empty where it loses nothing.
        source: Who says so; README.md in this folder explains the names.
    """

    target: str
    loss: str
    source: str


def load_tagset(name: str) -> dict[str, TagMeaning]:
    """Load a tag set.

    Args:
        name: "pku", "863" or "upos".

    Returns:
        The meaning of every tag.

    Raises:
        ValueError: If there is no such tag set.
    """
    _check(name)
    return {tag: TagMeaning(zh, en, tuple(examples.split())) for tag, zh, en, examples in _read_table(name)}


def load_mapping(source: str, target: str) -> dict[str, TagMapping]:
    """Load the mapping from one tag set to another.

    Args:
        source: Tag set of the tags: "pku" or "863".
        target: Tag set wanted: "upos", "863" or "pku".

    Returns:
        For every tag of `source`, what stands for it.

    Raises:
        ValueError: If there is no such mapping.
    """
    _check(source)
    if target not in mapped_tagsets(source):
        known = ", ".join(map(repr, mapped_tagsets(source))) or "no other set"
        raise ValueError(f"There is no mapping from {source!r} to {target!r}; {source!r} is mapped to {known}.")
    return {tag: TagMapping(*rest) for tag, *rest in _read_table(f"{source}_to_{target}")}


def mapped_tagsets(source: str) -> list[str]:
    """Name the tag sets that a tag set is mapped to."""
    return [target for target in TAGSETS if (_FOLDER / f"{source}_to_{target}.tsv").is_file()]


def map_tags(tags: Iterable[str], source: str, target: str) -> list[str]:
    """Write tags in another tag set.

    Args:
        tags: Plain tags.
        source: Their tag set.
        target: Tag set wanted.

    Returns:
        As many tags.

    Raises:
        ValueError: If there is no such mapping, or a tag is not of `source`.
    """
    mapping = load_mapping(source, target)
    tags = list(tags)
    unknown = sorted(set(tags) - set(mapping))
    if unknown:
        raise ValueError(
            f"{', '.join(map(repr, unknown[:_MOST_LISTED]))}: not in the tag set {source!r}, whose tags are "
            f"{', '.join(mapping)}. Correct the tags, or name their tag set."
        )
    return [mapping[tag].target for tag in tags]


def report_unknown_tags(tags: Iterable[tuple[str, str]], tagset: str) -> list[str]:
    """Log the tags that a tag set does not know, how often each occurs and where first.

    Args:
        tags: Tags, each with its place.
        tagset: Name of a tag set.

    Returns:
        The unknown tags, sorted.
    """
    known = load_tagset(tagset)
    counts: dict[str, int] = {}
    first: dict[str, str] = {}
    for tag, place in tags:
        if tag not in known:
            counts[tag] = counts.get(tag, 0) + 1
            first.setdefault(tag, place)
    for tag in sorted(counts)[:_MOST_LISTED]:
        logger.warning(
            f"{first[tag]}: tag {tag!r} ({counts[tag]} in all) is not in the tag set {tagset!r}. It is kept as it "
            f"is; `tag_map: {{{tag}: …}}` in the recipe writes another in its place."
        )
    if len(counts) > _MOST_LISTED:
        logger.warning(f"{len(counts) - _MOST_LISTED} more tags are not in the tag set {tagset!r}.")
    return sorted(counts)


def describe_tags(tags: Sequence[str], tagset: str) -> dict[str, Any]:
    """Make the fields of a model's config that let it explain and map its tags without this package.

    Args:
        tags: The tags of the model.
        tagset: Their tag set.

    Returns:
        `tagset`; `tag_meanings`, of every tag that the set knows `{"zh", "en", "examples"}`; `tag_mappings`, for every
        other set that the tags map to, a dictionary of tags.
    """
    meanings = load_tagset(tagset)
    known = [tag for tag in tags if tag in meanings]
    mappings = {target: load_mapping(tagset, target) for target in mapped_tagsets(tagset)}
    return {
        "tagset": tagset,
        "tag_meanings": {
            tag: {"zh": meanings[tag].zh, "en": meanings[tag].en, "examples": list(meanings[tag].examples)}
            for tag in known
        },
        "tag_mappings": {name: {tag: mapping[tag].target for tag in known} for name, mapping in mappings.items()},
    }


def _check(name: str) -> None:
    if name not in TAGSETS:
        raise ValueError(f"There is no tag set {name!r}; there are {', '.join(map(repr, TAGSETS))}.")


@cache
def _read_table(name: str) -> tuple[tuple[str, ...], ...]:
    lines = (_FOLDER / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    return tuple(tuple(line.split("\t")) for line in lines[1:])


__all__ = [
    "TAGSETS",
    "TagMapping",
    "TagMeaning",
    "describe_tags",
    "load_mapping",
    "load_tagset",
    "map_tags",
    "mapped_tagsets",
    "report_unknown_tags",
]
