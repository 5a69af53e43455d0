"""Names, texts and tables in Markdown, whatever characters are in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_SCORES = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "macro_f1": "macro F1",
    "word_f1": "F1 of words alone",
    "oov_recall": "recall of unseen words",
    "accuracy": "tag accuracy",
}


def code(text: str) -> str:
    """Write a name as Markdown code, whatever the name holds."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    padding = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def prose(text: str) -> str:
    """Write a text within a line of Markdown so that nothing in it is markup."""
    return re.sub(r"([\\`*_\[\]<>~$&#])", r"\\\1", " ".join(text.split()))


def percent(share: float) -> str:
    """Write a share in percent."""
    return f"{100 * share:.2f}"


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]], numbers_from: int | None = None) -> str:
    """Lay out a table; cells are Markdown already.

    Args:
        titles: Heads of the columns.
        rows: Cells of each row; their pipes are escaped.
        numbers_from: First column of numbers, which stand on the right; None if there is none.

    Returns:
        Lines of Markdown.
    """
    first = len(titles) if numbers_from is None else numbers_from
    rule = ["---" if column < first else "--:" for column in range(len(titles))]
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (titles, rule, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def label_table(
    kinds: Sequence[str], title: str, meanings: Mapping[str, str], words: Mapping[str, Sequence[str]]
) -> str:
    """List labels with what is known of them.

    Args:
        kinds: Types, or labels where they are plain.
        title: What to call them.
        meanings: Meanings of some.
        words: Frequent words of some.

    Returns:
        A table, without the columns of which nothing is known.
    """
    columns = [(title, [code(kind) for kind in kinds])]
    if any(kind in meanings for kind in kinds):
        columns.append(("meaning", [prose(meanings.get(kind, "")) for kind in kinds]))
    if words:
        columns.append(("frequent in the training data", [" · ".join(map(prose, words.get(k, ()))) for k in kinds]))
    return markdown_table([name for name, _ in columns], list(zip(*(cells for _, cells in columns), strict=True)))


def score_table(scored: Mapping[str, Mapping[str, Any]], task: str) -> str:
    """List the scores of splits, in percent; those that only say again what F1 says are left out."""
    names = {**_SCORES, "accuracy": "accuracy"} if task == "classification" else _SCORES
    keys = [
        key
        for key in _SCORES
        if any(key in scores and (key == "f1" or scores[key] != scores.get("f1")) for scores in scored.values())
    ]
    rows = [
        [split, *(percent(scores[key]) if key in scores else "" for key in keys)] for split, scores in scored.items()
    ]
    return markdown_table(["split", *(names[key] for key in keys)], rows, numbers_from=1)


def type_table(per_type: Mapping[str, Mapping[str, float]], title: str) -> str:
    """List the scores of types, in percent, and how many there are of each."""
    keys = ("precision", "recall", "f1")
    rows = [
        [code(kind), *(percent(scores[key]) for key in keys), f"{scores['number']:,}"]
        for kind, scores in per_type.items()
    ]
    return markdown_table([title, "precision", "recall", "F1", "in the data"], rows, numbers_from=1)


def data_table(splits: Mapping[str, Mapping[str, int]]) -> str:
    """List how much data there is in each split."""
    keys = list(dict.fromkeys(key for counts in splits.values() for key in counts))
    rows = [[split, *(f"{counts[key]:,}" for key in keys)] for split, counts in splits.items()]
    return markdown_table(["split", *keys], rows, numbers_from=1)
