"""The page that shows a tagger's errors in context."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from hf_bilstm.metrics.errors import KINDS, MISSED, WRONG_TYPE, SpanError, overlap
from hf_bilstm.models.tagging_schemes import Span

COLORS = 8  # that the page's style sheet has
CONTEXT = 60  # tokens shown on each side of an error
TITLES = {"missed": "Missed", "spurious": "Spurious", "wrong_type": "Wrong type", "wrong_boundary": "Wrong boundary"}
MEANINGS = {
    "missed": "a gold span that no span of the model stands for",
    "spurious": "a span of the model that stands for no gold span",
    "wrong_type": "right boundaries, another type",
    "wrong_boundary": "the right type, other boundaries that overlap the right ones",
}
_JOINERS = "\u200c\u200d"  # the letters and emoji beside them show that they are there


class Sentence(NamedTuple):
    """What is known of a sentence: its `tokens`, its `gold` and `predicted` spans, and the `errors` among them."""

    tokens: Sequence[str]
    gold: Sequence[Span]
    predicted: Sequence[Span]
    errors: Sequence[SpanError]


class _Atom(NamedTuple):
    text: str
    gold: Span | None
    predicted: Span | None
    focus: bool


class _Look(NamedTuple):
    plain_tags: bool  # every token is a span of its own
    named: bool  # types are told by labels
    colors: dict[str, int]  # of types
    separator: str  # what stands between tokens


class _Case(NamedTuple):
    number: int
    error: SpanError
    confidence: float | None


def render_errors(
    sentences: Sequence[Sentence],
    summary: Sequence[tuple[str, str]],
    posteriors: Sequence[Mapping[Span, float]] | None = None,
    plain_tags: bool = False,
    errors_per_kind: int = 200,
) -> str:
    """Write the page: errors by kind, those first of which the model was surest.

    Args:
        sentences: Every sentence of the data, with and without errors.
        summary: Names and values of the scores that the page opens with.
        posteriors: Of each sentence the model's probability of spans. None, and spans that are not in it, are unknown.
        plain_tags: Whether every token is a span of its own, as with parts of speech.
        errors_per_kind: Most errors shown of a kind.

    Returns:
        HTML that needs nothing but itself.
    """
    types = sorted({span.label for sentence in sentences for span in (*sentence.gold, *sentence.predicted)})
    colors = {kind: place % COLORS for place, kind in enumerate(types)}
    look = _Look(plain_tags, len(types) > 1, colors, _separator(sentences))
    sections = []
    for kind in (WRONG_TYPE,) if plain_tags else KINDS:
        cases = [
            _Case(number, error, _confidence(error, posteriors[number] if posteriors is not None else {}))
            for number, sentence in enumerate(sentences)
            for error in sentence.errors
            if error.kind == kind
        ]
        cases.sort(key=lambda case: -1.0 if case.confidence is None else case.confidence, reverse=True)
        shown = [_describe(case, sentences[case.number], look) for case in cases[:errors_per_kind]]
        _link(shown, kind)
        sections.append(
            {
                "kind": kind,
                "title": "Wrong tag" if plain_tags else TITLES[kind],
                "meaning": "another tag than the data's" if plain_tags else MEANINGS[kind],
                "total": len(cases),
                "shown": shown,
                "first": {item["type"]: item["anchor"] for item in reversed(shown)},
            }
        )
    environment = Environment(
        loader=PackageLoader("hf_bilstm.training"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("errors.html").render(
        sections=sections,
        rows=_count(sentences, types),
        summary=summary,
        sentences=len(sentences),
        plain_tags=plain_tags,
        named=look.named,
        has_confidence=posteriors is not None,
        context=CONTEXT,
    )


def _confidence(error: SpanError, posteriors: Mapping[Span, float]) -> float | None:
    """Give the model's probability of its wrong answer: of its span, or of there being no such span."""
    if error.predicted is not None:
        return posteriors.get(error.predicted)
    probability = posteriors.get(error.gold) if error.gold is not None else None
    return None if probability is None else 1 - probability


def _count(sentences: Sequence[Sentence], types: Sequence[str]) -> list[dict[str, Any]]:
    """Count spans and errors by type, and in all."""
    gold = Counter(span.label for sentence in sentences for span in sentence.gold)
    predicted = Counter(span.label for sentence in sentences for span in sentence.predicted)
    correct = Counter(span.label for sentence in sentences for span in set(sentence.gold) & set(sentence.predicted))
    errors = [error for sentence in sentences for error in sentence.errors]
    of_kind = Counter((error.kind, (error.gold or error.focus).label) for error in errors)
    taken = Counter(error.predicted.label for error in errors if error.kind == WRONG_TYPE and error.predicted)
    rows: list[dict[str, Any]] = [
        {
            "type": kind,
            "gold": gold[kind],
            "predicted": predicted[kind],
            "correct": correct[kind],
            "taken": taken[kind],
            **{error: of_kind[error, kind] for error in KINDS},
        }
        for kind in types
    ]
    total = {name: sum(row[name] for row in rows) for name in ("gold", "predicted", "correct", "taken", *KINDS)}
    return [*rows, {"type": None, **total}]


def _separator(sentences: Sequence[Sentence]) -> str:
    """Tell what stands between tokens: nothing where most of them are single characters."""
    tokens = [token for sentence in sentences for token in sentence.tokens]
    return "" if 2 * sum(len(token) == 1 for token in tokens) > len(tokens) else " "


def _link(shown: list[dict[str, Any]], kind: str) -> None:
    """Give each error an anchor, and a link to the next one of its type."""
    following: dict[str, str] = {}
    for rank in range(len(shown), 0, -1):
        item = shown[rank - 1]
        item.update(rank=rank, anchor=f"{kind}-{rank}", next=following.get(item["type"]))
        following[item["type"]] = item["anchor"]


def _describe(case: _Case, sentence: Sentence, look: _Look) -> dict[str, Any]:
    """Lay out one error: its two answers, and the sentence around it."""
    error, tokens = case.error, sentence.tokens
    focus = error.focus
    start, end = max(0, focus.start - CONTEXT), min(len(tokens), focus.end + CONTEXT)
    others = sentence.predicted if error.kind == MISSED else sentence.gold
    touching = [span for span in others if overlap(span, focus)] if None in (error.gold, error.predicted) else []

    def answer(span: Span | None) -> dict[str, Any] | None:
        if span is None:
            return None
        text = visible(look.separator.join(tokens[span.start : span.end]))
        return {
            "text": text,
            "type": span.label,
            "color": look.colors[span.label],
            "start": span.start,
            "end": span.end,
        }

    gold, predicted = sentence.gold, sentence.predicted
    if look.plain_tags:  # a label at every token would hide those that matter
        gold = [other.gold for other in sentence.errors if other.gold]
        predicted = [other.predicted for other in sentence.errors if other.predicted]
    return {
        "type": (error.gold or focus).label,
        "confidence": None if case.confidence is None else percentage(case.confidence),
        "sentence": case.number,
        "gold": answer(error.gold),
        "predicted": answer(error.predicted),
        "touching": [answer(span) for span in touching],
        "before": start,
        "after": len(tokens) - end,
        "segments": _segments(_atoms(tokens, gold, predicted, focus, (start, end), look.separator), look),
    }


def _atoms(
    tokens: Sequence[str],
    gold: Sequence[Span],
    predicted: Sequence[Span],
    focus: Span,
    window: tuple[int, int],
    separator: str,
) -> list[_Atom]:
    """List the window's tokens, and what separates them, each with the spans it lies in."""
    owners: list[dict[int, Span]] = [
        {place: span for span in spans for place in range(span.start, span.end)} for spans in (gold, predicted)
    ]
    atoms: list[_Atom] = []
    for place in range(*window):
        here = [owner.get(place) for owner in owners]
        inside = focus.start <= place < focus.end
        if separator and atoms:
            # A span covers the separators between its own tokens only.
            left = atoms[-1]
            shared = [span if span is before else None for span, before in zip(here, left[1:3], strict=True)]
            atoms.append(_Atom(separator, shared[0], shared[1], inside and left.focus))
        atoms.append(_Atom(visible(tokens[place]), here[0], here[1], inside))
    return atoms


def _segments(atoms: Sequence[_Atom], look: _Look) -> list[dict[str, Any]]:
    """Join neighbours that lie in the same spans; say where each span begins, for its label, and where it ends."""
    groups = [
        list(group) for _, group in groupby(atoms, key=lambda atom: (id(atom.gold), id(atom.predicted), atom[3]))
    ]
    nothing = _Atom("", None, None, False)
    segments: list[dict[str, Any]] = []
    for before, group, after in zip([[nothing], *groups], groups, [*groups[1:], [nothing]], strict=False):
        head, previous, following = group[0], before[0], after[0]
        segment: dict[str, Any] = {"head": head.text, "rest": "".join(atom.text for atom in group[1:])}
        segment["focus"], segment["reserve"] = head.focus, 0.0
        for name, span, left, right in (
            ("gold", head.gold, previous.gold, following.gold),
            ("predicted", head.predicted, previous.predicted, following.predicted),
        ):
            named = span is not None and left is not span and look.named
            segment[f"{name}_label"] = span.label if span and named else None
            segment[f"{name}_ends"] = span is not None and right is not span
            segment[name] = look.colors[span.label] if span else None
        segments.append(segment)
    for name in ("gold", "predicted"):
        _reserve(segments, name)
    return segments


def _reserve(segments: list[dict[str, Any]], name: str) -> None:
    """Widen a span, in em, whose label would run into the next one's."""
    position, label_end, last = 0.0, 0.0, 0
    for place, segment in enumerate(segments):
        if segment[f"{name}_label"]:
            if position < label_end:
                segments[last]["reserve"] = max(segments[last]["reserve"], round(label_end - position, 2))
            label_end = position + 0.68 * _width(segment[f"{name}_label"]) + 0.2
        if segment[name] is not None:
            last = place
        position += _width(segment["head"] + segment["rest"])


def percentage(probability: float) -> str:
    """Write a probability in percent."""
    return "> 99.9 %" if probability > 0.999 else f"{100 * probability:.1f} %"


def _width(text: str) -> float:
    """Estimate how wide a text is, in em."""
    return sum(1.0 if unicodedata.east_asian_width(character) in "WF" else 0.56 for character in text)


def visible(text: str) -> str:
    """Show the characters that a page cannot: line ends, tabs and other controls."""
    return "".join(_name(character) for character in text)


def _name(character: str) -> str:
    if character < " ":
        return chr(0x2400 + ord(character))  # a picture of the control character
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") and character not in _JOINERS
    return f"[U+{ord(character):04X}]" if hidden else character
