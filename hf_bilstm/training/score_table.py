"""Scores as a table of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def format_scores(scores: dict[str, Any]) -> str:
    """Lay scores out as a table.

    Args:
        scores: What `evaluate_model` gives.

    Returns:
        Lines of text, percentages with two decimals.
    """
    by_kind = scores.get("per_type") or scores.get("per_tag") or scores.get("per_label") or {}
    width = max(map(len, ("right tags of them", *by_kind)))
    lines = [f"{'':{width}}  {'precision':>9}  {'recall':>9}  {'f1':>9}  {'number':>9}"]
    for kind, row in by_kind.items():
        figures = "  ".join(f"{100 * row[name]:9.2f}" for name in ("precision", "recall", "f1"))
        lines.append(f"{kind:{width}}  {figures}  {row['number']:>9}")
    if "f1" in scores:
        figures = "  ".join(f"{100 * scores[name]:9.2f}" for name in ("precision", "recall", "f1"))
        number = sum(row["number"] for row in by_kind.values())
        lines.append(f"{'micro average':{width}}  {figures}  {number:>9}")
        lines += [f"{name:{width}}  {row}" for name, row in _word_rows(scores, number)]
    if "per_label" in scores:
        lines.append(f"{'macro F1':{width}}  {100 * scores['macro_f1']:9.2f}")
    name = "accuracy" if "per_label" in scores else "tag accuracy"
    lines.append(f"{name:{width}}  {100 * scores['accuracy']:9.2f}")
    return "\n".join(lines)


def _word_rows(scores: dict[str, Any], number: int) -> Iterator[tuple[str, str]]:
    """Lay out what segmentation is scored by beside its words' types; `number` is that of the gold words."""
    if "word_f1" in scores and len(scores["per_type"]) > 1:
        figures = "  ".join(f"{100 * scores[f'word_{name}']:9.2f}" for name in ("precision", "recall", "f1"))
        yield "words alone", f"{figures}  {number:>9}"
        yield "right tags of them", f"{100 * scores['tag_accuracy']:9.2f}"
    if "oov_recall" in scores:
        new = scores["oov_number"]
        yield "out-of-vocabulary", f"{'':9}  {100 * scores['oov_recall']:9.2f}  {'':9}  {new:>9}"
        yield "in vocabulary", f"{'':9}  {100 * scores['iv_recall']:9.2f}  {'':9}  {number - new:>9}"
