"""The page that shows the texts to which a classifier gave a wrong label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from hf_bilstm.training.error_page import COLORS, percentage, visible


class TextError(NamedTuple):
    """A text with a wrong label: its place in the data, both labels, and the model's probability of each."""

    number: int
    text: str
    gold: str
    predicted: str
    confidence: float
    gold_probability: float


def render_text_errors(
    errors: Sequence[TextError],
    summary: Sequence[tuple[str, str]],
    gold: Sequence[str],
    predicted: Sequence[str],
    most: int = 400,
) -> str:
    """Write the page: wrong labels, those first of which the model was surest.

    Args:
        errors: The texts with a wrong label.
        summary: Names and values of the scores that the page opens with.
        gold: Right label of every text of the data.
        predicted: Predicted label of every text.
        most: Most errors shown.

    Returns:
        HTML that needs nothing but itself.
    """
    labels = sorted({*gold, *predicted})
    of_gold, of_predicted = Counter(gold), Counter(predicted)
    correct = Counter(label for label, other in zip(gold, predicted, strict=True) if label == other)
    ranked = sorted(errors, key=lambda error: (-error.confidence, error.number))[:most]
    environment = Environment(
        loader=PackageLoader("hf_bilstm.training"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(visible=visible, percentage=percentage)
    return environment.get_template("text_errors.html").render(
        summary=summary,
        number=len(gold),
        rows=[(label, of_gold[label], correct[label], of_predicted[label]) for label in labels],
        colors={label: place % COLORS for place, label in enumerate(labels)},
        total=len(errors),
        shown=ranked,
        first={error.gold: rank for rank, error in reversed(list(enumerate(ranked, start=1)))},
    )
