"""Tagging schemes: tags, spans and words into each other, and the states a tagger reasons in.

A span is `Span(label, start, end)` over token positions, `end` exclusive. A scheme writes spans as one tag a token:

| scheme | first | inside | last | single | note |
|--------|-------|--------|------|--------|------|
| iob1   | I     | I      | I    | I      | B only where a span touches one of its own label before it |
| iob2   | B     | I      | I    | B      | what the Hub's pipelines read |
| bioes  | B     | I      | E    | S      | |
| bmes   | B     | M      | E    | S      | bioes by other names |
| bilou  | B     | I      | L    | U      | bioes by other names |

A tag is `prefix-label` (`B-ORG`; everything after the first hyphen is the label), `O`, or a prefix alone (`B`, for
word segmentation, whose label is then "").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

OUTSIDE = "O"
# First, inside, last and single, in each scheme that tells them apart.
_FOUR_POSITIONS = {"bioes": ("B", "I", "E", "S"), "bmes": ("B", "M", "E", "S"), "bilou": ("B", "I", "L", "U")}
# Tuples, because `"" in "BI"` and `"BI" in "BI"` are true.
_PREFIXES: dict[str, tuple[str, ...]] = {"iob1": ("B", "I"), "iob2": ("B", "I"), **_FOUR_POSITIONS}
SCHEMES = tuple(_PREFIXES)


class Span(NamedTuple):
    """A labelled stretch of tokens: `label`, first position `start`, position after the last `end`."""

    label: str
    start: int
    end: int


def split_tag(tag: str) -> tuple[str, str]:
    """Split a tag into prefix and label: `B-creative-work` is `("B", "creative-work")`, `S` is `("S", "")`."""
    prefix, _, label = tag.partition("-")
    return prefix, label


def _join(prefix: str, label: str) -> str:
    return f"{prefix}-{label}" if label else prefix


def _check_scheme(scheme: str) -> None:
    if scheme not in _PREFIXES:
        raise ValueError(f"Unknown tagging scheme {scheme!r}; choose one of {', '.join(map(repr, SCHEMES))}.")


def tags_to_spans(tags: Sequence[str], scheme: str) -> list[Span]:
    """Read the spans of a tag sequence.

    Illegal input is read by one rule: a tag that may continue the open span and has its label does; any other tag but
    `O` starts a new span, and a span nobody closed ends before the next tag that does not continue it.

    Args:
        tags: Tags of one sentence.
        scheme: One of `SCHEMES`.

    Returns:
        Spans in order of position.

    Raises:
        ValueError: If the scheme is unknown or a tag's prefix is not one of the scheme's.
    """
    _check_scheme(scheme)
    prefixes = _PREFIXES[scheme]
    continues = prefixes[1:3]  # inside and last; "I" alone in the two-prefix schemes
    closes = prefixes[2:4]  # last and single; nothing in the two-prefix schemes
    spans: list[Span] = []
    open_label: str | None = None
    start = 0
    for position, tag in enumerate(tags):
        prefix, label = split_tag(tag)
        if tag != OUTSIDE and prefix not in prefixes:
            raise ValueError(
                f"Tag {tag!r} at position {position} is not one of scheme {scheme!r}, whose tags are 'O' and "
                f"{', '.join(repr(p + '-…') for p in prefixes)}."
            )
        if open_label is not None and not (prefix in continues and label == open_label):
            spans.append(Span(open_label, start, position))
            open_label = None
        if tag == OUTSIDE:
            continue
        if open_label is None:
            open_label, start = label, position
        if prefix in closes:
            spans.append(Span(open_label, start, position + 1))
            open_label = None
    if open_label is not None:
        spans.append(Span(open_label, start, len(tags)))
    return spans


def spans_to_tags(spans: Iterable[Span | tuple[str, int, int]], length: int, scheme: str) -> list[str]:
    """Write spans as tags.

    Args:
        spans: Spans that neither overlap nor leave the sentence, in any order.
        length: Number of tokens of the sentence.
        scheme: One of `SCHEMES`.

    Returns:
        `length` tags.

    Raises:
        ValueError: If the scheme is unknown, or a span is empty, outside the sentence or overlaps another.
    """
    _check_scheme(scheme)
    tags = [OUTSIDE] * length
    previous = Span("", -1, -1)
    for label, start, end in sorted(spans, key=lambda span: span[1]):
        if not 0 <= start < end <= length:
            raise ValueError(f"Span {(label, start, end)} does not fit a sentence of {length} tokens.")
        if start < previous.end:
            raise ValueError(
                f"Spans {tuple(previous)} and {(label, start, end)} overlap; a tag sequence cannot say so."
            )
        if scheme in _FOUR_POSITIONS:
            first, inside, last, single = _FOUR_POSITIONS[scheme]
        else:
            first = inside = last = single = "I"
            touches = previous.end == start and previous.label == label
            if scheme == "iob2" or touches:
                first = single = "B"
        if end - start == 1:
            tags[start] = _join(single, label)
        else:
            tags[start:end] = [_join(inside, label)] * (end - start)
            tags[start], tags[end - 1] = _join(first, label), _join(last, label)
        previous = Span(label, start, end)
    return tags


def convert_tags(tags: Sequence[str], source: str, target: str) -> list[str]:
    """Rewrite legal tags of one scheme in another, without loss.

    Args:
        tags: Tags of one sentence.
        source: Scheme of `tags`, one of `SCHEMES`.
        target: Scheme wanted, one of `SCHEMES`.

    Returns:
        As many tags.

    Raises:
        ValueError: If the tags are illegal in `source` (`repair_tags` mends them) or a scheme is unknown.
    """
    spans = tags_to_spans(tags, source)
    rewritten = spans_to_tags(spans, len(tags), source)
    if list(tags) != rewritten:
        position = next(i for i, (a, b) in enumerate(zip(tags, rewritten, strict=True)) if a != b)
        before = repr(tags[position - 1]) if position else "the sentence's start"
        after = repr(tags[position + 1]) if position + 1 < len(tags) else "the sentence's end"
        raise ValueError(
            f"Tag {tags[position]!r} at position {position}, between {before} and {after}, is illegal in scheme "
            f"{source!r} (legal would be {rewritten[position]!r}). Check the scheme, or mend the tags with "
            f"repair_tags."
        )
    return rewritten if source == target else spans_to_tags(spans, len(tags), target)


def repair_tags(tags: Sequence[str], scheme: str) -> tuple[list[str], int]:
    """Mend illegal tags by the rule of `tags_to_spans`.

    Args:
        tags: Tags of one sentence, legal or not.
        scheme: One of `SCHEMES`.

    Returns:
        Legal tags that say the same spans, and how many tags had to change.
    """
    repaired = spans_to_tags(tags_to_spans(tags, scheme), len(tags), scheme)
    return repaired, sum(old != new for old, new in zip(tags, repaired, strict=True))


def _check_plain(tags: set[str]) -> None:
    """Refuse to take tags for plain ones when some of them look like `B-ORG`: the others are mistyped more likely."""
    schemed = sorted(tag for tag in tags if split_tag(tag)[0] in set("BIESMLU") and split_tag(tag)[1])
    others = sorted(tag for tag in tags if split_tag(tag)[0] not in set("BIESMLU"))
    if schemed:
        raise ValueError(
            f"Some tags are in a scheme ({', '.join(map(repr, schemed[:3]))}) and some in none "
            f"({', '.join(map(repr, others[:3]))}). Correct the latter, or state 'none' if all are plain tags."
        )


def detect_scheme(sentences: Iterable[Sequence[str]]) -> str:
    """Tell the scheme of a corpus from its tags.

    Args:
        sentences: Tags of every sentence.

    Returns:
        One of `SCHEMES`, or "none" for plain tags (parts of speech, say). The prefixes decide, and between IOB1 and
        IOB2, whose prefixes are the same, the one in which fewer tags are illegal. Whether the tags are legal is for
        `convert_tags` to say.

    Raises:
        ValueError: If the tags are in no one scheme, for example both `M-ORG` and `I-ORG`, or both `B-ORG` and `NN`.
    """
    distinct = list(dict.fromkeys(map(tuple, sentences)))
    tags = {tag for sentence in distinct for tag in sentence} - {OUTSIDE}
    prefixes = {split_tag(tag)[0] for tag in tags}
    if not tags or not prefixes <= set("BIESMLU"):
        _check_plain(tags)
        return "none"
    candidates = [scheme for scheme, known in _PREFIXES.items() if prefixes <= set(known)]
    if not candidates:
        raise ValueError(
            f"The tags' prefixes {', '.join(sorted(prefixes))} belong to no one scheme; state the scheme, one of "
            f"{', '.join(map(repr, SCHEMES))}, or 'none' for plain tags."
        )
    if prefixes <= {"B", "I"}:
        # Both read the same spans, so a wrong guess could only change which tags are called illegal.
        return min(("iob2", "iob1"), key=lambda scheme: sum(repair_tags(tags, scheme)[1] for tags in distinct))
    return next(scheme for scheme in ("bioes", "bmes", "bilou") if scheme in candidates)


def words_to_spans(words: Iterable[str], label: str = "WORD") -> list[Span]:
    """Give each word of a segmented text its span over characters.

    Args:
        words: Words in order; none may be empty.
        label: Label of every span.

    Returns:
        Spans that tile `"".join(words)`.

    Raises:
        ValueError: If a word is empty.
    """
    spans: list[Span] = []
    start = 0
    for word in words:
        if not word:
            raise ValueError(f"Word {len(spans)} is empty; drop it before asking for spans.")
        spans.append(Span(label, start, start + len(word)))
        start += len(word)
    return spans


def spans_to_words(spans: Iterable[Span], text: Sequence[str] | str) -> list[str]:
    """Cut a text, or its list of tokens, into the words that spans mark."""
    return ["".join(text[start:end]) for _, start, end in spans]


def close_labels(labels: Iterable[str]) -> list[str]:
    """Make a label set in which every type can start and go on: `O` first, then `B-X`, `I-X` by type.

    Args:
        labels: Tags in the IOB2 scheme, in any order, `O` or not.

    Returns:
        The closed label set, the same for the same types whatever the order of `labels`.

    Raises:
        ValueError: If a label is not in the IOB2 scheme.
    """
    inside = [label for label in labels if label != OUTSIDE]
    foreign = [label for label in inside if split_tag(label)[0] not in ("B", "I")]
    if foreign:
        raise ValueError(
            f"Label {foreign[0]!r} is neither 'O' nor 'B-…' nor 'I-…', so there is no set to close. Write the tags in "
            f"IOB2 first (convert_tags); plain labels are closed as they are."
        )
    types = sorted({split_tag(label)[1] for label in inside})
    return [OUTSIDE, *(_join(prefix, kind) for kind in types for prefix in "BI")]


@dataclass(frozen=True)
class StateSpace:
    """What a tagger reasons in: its states, their labels, and which state may follow which.

    Attributes:
        states: Name of each of the S states.
        state_to_label: Index of the label that each state folds to, S entries.
        transitions: S x S, `transitions[i][j]` says whether state j may follow state i.
        starts: S entries, whether a sentence may start in the state.
        ends: S entries, whether a sentence may end in the state.
    """

    states: tuple[str, ...]
    state_to_label: tuple[int, ...]
    transitions: tuple[tuple[bool, ...], ...]
    starts: tuple[bool, ...]
    ends: tuple[bool, ...]


def state_space(labels: Sequence[str], scheme: str) -> StateSpace:
    """Derive the states and legal transitions of a tagger from its labels.

    Args:
        labels: The model's labels in order: plain names for scheme "none", `O`, `B-X` and `I-X` otherwise. A type with
            `B-X` alone can only be single tokens.
        scheme: "none", "iob2" or "bioes".

    Returns:
        The state space. Under "bioes" the label `B-X` has the states `B-X` and `S-X`, and `I-X` has `I-X` and `E-X`.

    Raises:
        ValueError: If the labels contradict the scheme or are not distinct.
    """
    if len(set(labels)) != len(labels):
        twice = sorted({label for label in labels if list(labels).count(label) > 1})
        raise ValueError(f"Labels must be distinct; {', '.join(map(repr, twice))} occur more than once.")
    if scheme == "none":
        everywhere = (True,) * len(labels)
        return StateSpace(
            tuple(labels), tuple(range(len(labels))), (everywhere,) * len(labels), everywhere, everywhere
        )
    if scheme not in ("iob2", "bioes"):
        raise ValueError(f"A tagger reasons in 'none', 'iob2' or 'bioes', not {scheme!r}.")
    _check_iob2_labels(labels, scheme)
    rows = _state_rows(labels, scheme)
    return StateSpace(
        states=tuple(row.name for row in rows),
        state_to_label=tuple(row.label_index for row in rows),
        transitions=tuple(tuple(_may_follow(previous, state) for state in rows) for previous in rows),
        starts=tuple(row.starts for row in rows),
        ends=tuple(row.ends for row in rows),
    )


class _State(NamedTuple):
    label_index: int
    name: str
    starts: bool  # a span, or is O: may be a sentence's first
    ends: bool  # a span, or is O: may be a sentence's last


def _check_iob2_labels(labels: Sequence[str], scheme: str) -> None:
    for label in labels:
        prefix, kind = split_tag(label)
        if label != OUTSIDE and prefix not in ("B", "I"):
            raise ValueError(
                f"Label {label!r} contradicts tagging_scheme={scheme!r}, which takes 'O', 'B-…' and 'I-…' only. Write "
                f"the labels in IOB2 (hf_bilstm.models.tagging_schemes.convert_tags), or use tagging_scheme='none'."
            )
        if prefix == "I" and _join("B", kind) not in labels:
            raise ValueError(
                f"Label {label!r} has no {_join('B', kind)!r} to start it, which tagging_scheme={scheme!r} needs. "
                f"hf_bilstm.models.tagging_schemes.close_labels adds what is missing."
            )


def _state_rows(labels: Sequence[str], scheme: str) -> list[_State]:
    rows: list[_State] = []
    for index, label in enumerate(labels):
        prefix, kind = split_tag(label)
        if label == OUTSIDE or scheme == "iob2":
            rows.append(_State(index, label, prefix != "I", True))
        elif prefix == "B":
            if _join("I", kind) in labels:
                rows.append(_State(index, label, True, False))
            rows.append(_State(index, _join("S", kind), True, True))
        else:
            rows.append(_State(index, label, False, False))
            rows.append(_State(index, _join("E", kind), False, True))
    return rows


def _may_follow(previous: _State, state: _State) -> bool:
    if state.starts:
        return previous.ends
    prefix, kind = split_tag(previous.name)
    return prefix in ("B", "I") and kind == split_tag(state.name)[1]
