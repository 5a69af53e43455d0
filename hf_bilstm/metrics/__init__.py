"""Scores of taggers and classifiers: classes of the `evaluate` library, and the plain functions under them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_bilstm.metrics.scores import span_scores
    from hf_bilstm.metrics.span_f1 import SpanF1
    from hf_bilstm.metrics.tag_accuracy import TagAccuracy
    from hf_bilstm.metrics.text_classification import TextClassification
    from hf_bilstm.metrics.word_segmentation import WordSegmentation

# Module of every public name. They are imported at first use: `import evaluate` alone takes seconds.
_MODULES = {
    "SpanF1": "span_f1",
    "TagAccuracy": "tag_accuracy",
    "TextClassification": "text_classification",
    "WordSegmentation": "word_segmentation",
    "span_scores": "scores",
}

__all__ = ["SpanF1", "TagAccuracy", "TextClassification", "WordSegmentation", "span_scores"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
