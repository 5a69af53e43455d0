"""Pictures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def plot_learning_curve(log_history: list[dict[str, Any]], metric: str, path: str | Path) -> None:
    """Draw training loss, validation loss and validation score over epochs.

    Args:
        log_history: The Trainer's `state.log_history`.
        metric: Name of the validation score.
        path: PNG file to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for key, label, style in (("loss", "training loss", "-"), ("eval_loss", "validation loss", "--")):
        points = [(entry["epoch"], entry[key]) for entry in log_history if key in entry]
        if points:
            axes.plot(*zip(*points, strict=True), style, color="tab:gray", label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss per token")
    axes.set_ylim(bottom=0)
    points = [(entry["epoch"], entry[f"eval_{metric}"]) for entry in log_history if f"eval_{metric}" in entry]
    if points:
        scores = axes.twinx()
        scores.plot(*zip(*points, strict=True), "o-", color="tab:blue", markersize=3, label=f"validation {metric}")
        best = max(points, key=lambda point: point[1])
        scores.annotate(
            f"{best[1]:.4f}", best, xytext=(0, 6), textcoords="offset points", ha="center", color="tab:blue"
        )
        scores.set_ylabel(metric, color="tab:blue")
        scores.margins(y=0.15)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=150)
