"""Pictures of a run."""

from __future__ import annotations

from collections.abc import Sequence
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


def plot_perplexity(log_history: list[dict[str, Any]], path: str | Path) -> None:
    """Draw the perplexity of held-out text, together and by direction, over steps.

    Args:
        log_history: The Trainer's `state.log_history`.
        path: PNG file to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    kinds = (("forward_perplexity", "--"), ("backward_perplexity", ":"), ("perplexity", "o-"))
    for kind, style in kinds:
        points = [(entry["step"], entry[f"eval_{kind}"]) for entry in log_history if f"eval_{kind}" in entry]
        color = "tab:blue" if kind == "perplexity" else "tab:gray"
        axes.plot(*zip(*points, strict=True), style, color=color, markersize=3, label=kind.replace("_perplexity", ""))
    axes.annotate(f"{points[-1][1]:.1f}", points[-1], xytext=(0, 6), textcoords="offset points", ha="right")
    axes.set_xlabel("step")
    axes.set_ylabel("perplexity of held-out text")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(["forward", "backward", "both"], frameon=False)
    figure.savefig(path, dpi=130)


def plot_confusion_matrix(
    counts: Sequence[Sequence[int]], rows: Sequence[str], columns: Sequence[str], path: str | Path
) -> None:
    """Draw how often each gold type was given each predicted type.

    Args:
        counts: A number for each row and column, coloured by its share of the row.
        rows: Names of the rows, gold.
        columns: Names of the columns, predicted.
        path: PNG file to write.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    cell, size = (0.62, 10) if len(columns) <= 12 else (0.34, 7)
    # Names that are long or many would run into each other.
    turn: Any = (
        {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, columns), default=0) > 5 else {}
    )
    with rc_context({"font.family": _fonts([*rows, *columns]), "font.size": size}):
        figure = Figure(figsize=(2.2 + cell * len(columns), 1.6 + cell * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        shares = [[count / max(1, sum(row)) for count in row] for row in counts]
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(columns)), columns, parse_math=False, **turn)
        axes.set_yticks(range(len(rows)), rows, parse_math=False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("gold")
        axes.set_xticks([x - 0.5 for x in range(1, len(columns))], minor=True)
        axes.set_yticks([y - 0.5 for y in range(1, len(rows))], minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        for y, row in enumerate(counts):
            for x, count in enumerate(row):
                if count:
                    color = "white" if shares[y][x] > 0.55 else "black"
                    axes.text(x, y, str(count), ha="center", va="center", color=color)
        bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=25, format=lambda share, _: f"{100 * share:.0f} %")
        bar.set_label("share of the row")
        bar.ax.spines[:].set_visible(False)
        figure.savefig(path, dpi=130, bbox_inches="tight")


def plot_length_curve(
    panels: Sequence[tuple[str, str, Sequence[tuple[str, int, float | None]]]], metric: str, path: str | Path
) -> None:
    """Draw a score over lengths, with the number of cases it was measured on.

    Args:
        panels: Of each panel what is measured, what is counted, and of each bin of lengths its name, its count and its
            score, None where there is nothing to score.
        metric: Name of the score.
        path: PNG file to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * len(panels), 4.2), layout="constrained")
    above, below = figure.subplots(2, len(panels), squeeze=False, sharex="col", height_ratios=(3, 1))
    for axes, counts, (length, counted, bins) in zip(above, below, panels, strict=True):
        bars = counts.bar(range(len(bins)), [count for _, count, _ in bins], color="tab:gray", alpha=0.35)
        counts.bar_label(bars, fontsize=8)
        counts.margins(y=0.3)
        counts.set_yticks([])
        counts.set_ylabel(counted)
        counts.set_xticks(range(len(bins)), [name for name, _, _ in bins])
        counts.set_xlabel(length)
        points = [(place, score) for place, (_, _, score) in enumerate(bins) if score is not None]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color="tab:blue")
        for place, score in points:
            axes.annotate(
                f"{score:.2f}",
                (place, score),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                color="tab:blue",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )
        axes.set_ylim(0, 1.1)
        axes.set_ylabel(metric)
        axes.tick_params(bottom=False)
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        counts.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=130)


def _fonts(names: Sequence[str]) -> list[str]:
    """List the fonts to try in turn, so that names in Chinese, Japanese or Korean are drawn where a font has them."""
    from matplotlib.font_manager import get_font_names

    if all(map(str.isascii, names)):
        return ["DejaVu Sans"]
    wanted = (
        "Noto Sans CJK",
        "Source Han Sans",
        "PingFang",
        "Hiragino Sans",
        "Microsoft YaHei",
        "WenQuanYi",
        "SimHei",
    )
    installed = get_font_names()
    return ["DejaVu Sans", *(name for start in wanted for name in installed if name.startswith(start))]
