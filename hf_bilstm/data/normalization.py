"""What every reader of tagged text ends with: tags detected, checked, mended if asked, and written in IOB2."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from transformers.utils import logging

from hf_bilstm.models.tagging_schemes import (
    OUTSIDE,
    SCHEMES,
    detect_scheme,
    repair_tags,
    spans_to_tags,
    tags_to_spans,
)

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.get_logger(__name__)

FILE_SCHEMES = ("auto", "none", *SCHEMES)
# The label of the spans of a word segmentation, whose tags (B, M, E, S) name none.
WORD_LABEL = "WORD"

Locate = Callable[[int, int], str]


def normalize_tags(
    sentences: Sequence[Sequence[str]], *, file_scheme: str, repair: bool, source: str, locate: Locate
) -> list[list[str]]:
    """Check the tags of a corpus and write them in IOB2.

    Args:
        sentences: Tags of every sentence.
        file_scheme: Their scheme, one of `FILE_SCHEMES`; "auto" tells it from the tags, "none" takes them as they are.
        repair: Whether to mend illegal tags, and log how many there were, or to refuse them.
        source: What holds the tags, for the messages.
        locate: Names the place of a tag, given the numbers of its sentence and token.

    Returns:
        Tags in IOB2, or the plain tags unchanged. Bare segmentation tags get the type `WORD_LABEL`.

    Raises:
        ValueError: If the scheme is unknown or cannot be told, a tag is not of the scheme, or one is illegal and
            `repair` is off.
    """
    if file_scheme not in FILE_SCHEMES:
        raise ValueError(f"Unknown file_scheme {file_scheme!r}; choose one of {', '.join(map(repr, FILE_SCHEMES))}.")
    scheme = _detect(sentences, source, locate) if file_scheme == "auto" else file_scheme
    if scheme == "none":
        return [list(tags) for tags in sentences]
    _check_known(sentences, scheme, locate)
    mended = 0
    normalized = []
    for number, tags in enumerate(sentences):
        legal, changed = repair_tags(tags, scheme)
        if changed and not repair:
            raise ValueError(_illegal(tags, legal, scheme, number, locate))
        mended += changed
        spans = [span._replace(label=span.label or WORD_LABEL) for span in tags_to_spans(legal, scheme)]
        normalized.append(spans_to_tags(spans, len(tags), "iob2"))
    if mended:
        logger.warning(f"{source}: mended {mended} illegal tag{'s' * (mended > 1)} (scheme {scheme!r}).")
    return normalized


def check_token(token: str, where: str) -> None:
    """Refuse a token that is empty or only blanks and tabs; other white space, such as U+00A0, is a token.

    Args:
        token: The token.
        where: Its place, for the message.

    Raises:
        ValueError: If there is nothing in the token.
    """
    if not token.strip(" \t"):
        raise ValueError(
            f"{where}: the token is empty or blank ({token!r}). Remove it, or name the right token column."
        )


def to_dataset(tokens: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> Dataset:
    """Make the data set that every reader of tagged text returns, with columns `tokens` and `tags`."""
    from datasets import Dataset, Features, Sequence, Value

    features = Features({"tokens": Sequence(Value("string")), "tags": Sequence(Value("string"))})
    return Dataset.from_dict({"tokens": tokens, "tags": tags}, features=features)


def _detect(sentences: Sequence[Sequence[str]], source: str, locate: Locate) -> str:
    try:
        return detect_scheme(sentences)
    except ValueError as error:
        places = [(number, position) for number, tags in enumerate(sentences) for position in range(len(tags))]
        flat = [[tag] for tags in sentences for tag in tags]
        # The contradiction shows at the last tag of the shortest beginning whose scheme cannot be told.
        last = bisect.bisect_left(range(len(flat)), True, key=lambda end: not _has_scheme(flat[: end + 1]))
        remedy = f"(file_scheme takes one of {', '.join(map(repr, FILE_SCHEMES))}.)"
        raise ValueError(f"{locate(*places[last])}: {error} {remedy}") from error


def _has_scheme(sentences: Sequence[Sequence[str]]) -> bool:
    try:
        detect_scheme(sentences)
    except ValueError:
        return False
    return True


def _check_known(sentences: Sequence[Sequence[str]], scheme: str, locate: Locate) -> None:
    known = {OUTSIDE}
    for number, tags in enumerate(sentences):
        for position, tag in enumerate(tags):
            if tag in known:
                continue
            try:
                tags_to_spans([tag], scheme)
            except ValueError as error:
                raise ValueError(
                    f"{locate(number, position)}: tag {tag!r} is not of scheme {scheme!r}. Correct it, or state the "
                    f"scheme: file_scheme takes one of {', '.join(map(repr, FILE_SCHEMES))}."
                ) from error
            known.add(tag)


def _illegal(tags: Sequence[str], legal: Sequence[str], scheme: str, number: int, locate: Locate) -> str:
    position = next(i for i, (tag, mended) in enumerate(zip(tags, legal, strict=True)) if tag != mended)
    before = repr(tags[position - 1]) if position else "the sentence's start"
    after = repr(tags[position + 1]) if position + 1 < len(tags) else "the sentence's end"
    return (
        f"{locate(number, position)}: tag {tags[position]!r}, between {before} and {after}, is illegal in scheme "
        f"{scheme!r} (legal would be {legal[position]!r}). Correct it, or have such tags mended with repair=True "
        f"(`repair: true` in a YAML file, `--repair true` on the command line)."
    )
