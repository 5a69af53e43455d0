"""Draw the figures of docs/how_it_works.md from a trained tagger, with the native runtime.

python scripts/train.py configs/quickstart.yaml
python scripts/draw_how_it_works.py outputs/quickstart docs/images
"""

import sys

sys.path.pop(0)  # this folder, whose evaluate.py would stand in for the library of that name

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bilstm_native import NativeTagger
from bilstm_native.cells import Gates
from bilstm_native.crf import FORBIDDEN
from hf_bilstm.training.plots import _fonts

SENTENCE = "周晓岚在广州参加毕业典礼"
AMBIGUOUS = "南京市长江大桥"


def main() -> None:
    """Draw all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a tagger of characters, one LSTM layer under a CRF")
    parser.add_argument("folder", type=Path, help="where to write the PNG files")
    own = parser.parse_args()
    tagger = NativeTagger.from_pretrained(own.model)
    rcParams["font.family"] = _fonts([SENTENCE])
    own.folder.mkdir(parents=True, exist_ok=True)
    for name, figure in {
        "two_directions": draw_two_directions(SENTENCE[:6]),
        "gates": draw_gates(tagger, SENTENCE),
        "transitions": draw_transitions(tagger),
        "marginals": draw_marginals(tagger, AMBIGUOUS),
    }.items():
        figure.savefig(own.folder / f"how_it_works_{name}.png", dpi=110, bbox_inches="tight")


def draw_two_directions(text: str) -> Figure:
    """Draw the two directions over a sentence: an answer for each token, and one answer for all."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    many, one = figure.subplots(1, 2)
    for axes, title in ((many, "many to many: a tag for every token"), (one, "many to one: a class for the sentence")):
        axes.set_title(title, fontsize=11)
        axes.set_axis_off()
        axes.set_xlim(-0.9, len(text) - 0.2)
        axes.set_ylim(-0.5, 4.6)
        for place, character in enumerate(text):
            _box(axes, place, 0, character, "white")
            _box(axes, place, 1.2, "→", "#cfe2f3")
            _box(axes, place, 2.2, "←", "#f9dcc4")
            _arrow(axes, (place, 0.3), (place, 0.9))
            axes.annotate(
                "",
                (place + 0.33, 1.93),
                (place + 0.33, 0.3),
                arrowprops={"arrowstyle": "->", "color": "gray", "connectionstyle": "arc3,rad=0.25"},
            )
            if place:
                _arrow(axes, (place - 0.7, 1.2), (place - 0.3, 1.2), "tab:blue")
                _arrow(axes, (place - 0.3, 2.2), (place - 0.7, 2.2), "tab:orange")
    tags = ["B-PER", "I-PER", "I-PER", "O", "B-LOC", "I-LOC"]
    for place, tag in enumerate(tags[: len(text)]):
        _box(many, place, 3.9, tag, "#d9ead3", 8)
        _arrow(many, (place, 2.5), (place, 3.6))
        many.annotate(
            "",
            (place - 0.2, 3.6),
            (place - 0.2, 1.5),
            arrowprops={"arrowstyle": "->", "color": "gray", "connectionstyle": "arc3,rad=-0.25"},
        )
    middle, last = (len(text) - 1) / 2, len(text) - 1
    _box(one, middle, 3.9, "class", "#d9ead3", 9)
    _arrow(one, (0, 2.5), (middle - 0.3, 3.6), "tab:orange")
    one.annotate(
        "",
        (middle + 0.3, 3.6),
        (last + 0.25, 1.2),
        arrowprops={"arrowstyle": "->", "color": "tab:blue", "connectionstyle": "arc3,rad=0.6"},
    )
    return figure


def _box(axes: Axes, x: float, y: float, text: str, color: str, size: int = 12) -> None:
    box = {"boxstyle": "round,pad=0.35", "facecolor": color, "edgecolor": "gray"}
    axes.text(x, y, text, ha="center", va="center", fontsize=size, bbox=box)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], color: str = "gray") -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": color})


def gates_over_time(tagger: NativeTagger, ids: np.ndarray) -> tuple[Gates, np.ndarray]:
    """Run the forward cell of the first layer by hand, and keep what its gates decide.

    Args:
        tagger: A tagger of LSTM cells.
        ids: (T,) of a sentence.

    Returns:
        The gates, and the memory c, (T, H) each.
    """
    cell: Any = tagger.encoder.layers[0].forward_cell
    x = tagger.encoder.embed(ids, np.array([len(ids)]))
    h = c = np.zeros((1, cell.hidden_size))
    opened, memory = [], []
    for projected in cell.project(x):
        opened.append(cell.gates(projected[None], h))
        h, c = cell.step(projected[None], h, c)
        memory.append(c)
    gates = Gates(*(np.concatenate(gate) for gate in zip(*opened, strict=True)))
    return gates, np.concatenate(memory)


def draw_gates(tagger: NativeTagger, text: str) -> Figure:
    """Draw input, forget and output gate and the memory of some units over a sentence."""
    gates, memory = gates_over_time(tagger, np.array(tagger.tokenizer.encode(text).ids))
    units = np.argsort(-memory.std(axis=0))[:12]  # those that change most
    panels = {
        "input gate i": gates.input,
        "forget gate f": gates.forget,
        "output gate o": gates.output,
        "memory c": memory,
    }
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, (title, values) in zip(figure.subplots(1, 4), panels.items(), strict=True):
        is_gate = title != "memory c"
        reach = 1 if is_gate else float(np.abs(memory[:, units]).max())
        image = axes.imshow(
            values[:, units].T,
            aspect="auto",
            vmin=0 if is_gate else -reach,
            vmax=reach,
            cmap="viridis" if is_gate else "RdBu",
        )
        axes.set_title(title, fontsize=10)
        axes.set_xticks(range(len(text)), list(text), fontsize=8)
        axes.set_yticks([])
        figure.colorbar(image, ax=axes, shrink=0.8)
        if title == "input gate i":
            axes.set_ylabel("units")
    return figure


def state_names(tagger: NativeTagger) -> list[str]:
    """Name the states of a tagger."""
    pairs = zip(tagger.states.prefixes, tagger.states.types, strict=True)
    return [f"{prefix}-{kind}" if prefix else kind for prefix, kind in pairs]


def draw_transitions(tagger: NativeTagger) -> Figure:
    """Draw the scores of the legal moves; what is illegal stays gray."""
    names, scores = state_names(tagger), tagger.crf.transitions
    legal = np.where(scores > FORBIDDEN / 2, scores, np.nan)
    reach = float(np.nanmax(np.abs(legal)))
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    axes = figure.add_subplot(facecolor="0.8")
    image = axes.imshow(legal, cmap="RdBu", vmin=-reach, vmax=reach)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("to")
    axes.set_ylabel("from")
    figure.colorbar(image, ax=axes, label="score of the move; gray: illegal")
    return figure


def draw_marginals(tagger: NativeTagger, text: str) -> Figure:
    """Draw the probability of each state at each token of a sentence that can be read in more than one way."""
    ids, lengths = np.array(tagger.tokenizer.encode(text).ids), np.array([len(text)])
    (emissions,) = tagger.emissions([ids.tolist()])
    marginals = tagger.crf.marginals(emissions[:, None], lengths)[:, 0]  # (T, S)
    path = tagger.crf.best_paths(emissions[:, None], lengths)[:, 0]
    names = state_names(tagger)
    shown = np.flatnonzero(marginals.max(axis=0) > 0.02)
    figure = Figure(figsize=(8, 0.5 + 0.36 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(marginals[:, shown].T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(text)), list(text))
    axes.set_yticks(range(len(shown)), [names[state] for state in shown], fontsize=8)
    for place, row in enumerate(marginals[:, shown]):
        for y, probability in enumerate(row):
            if probability > 0.02:
                color = "white" if probability > 0.6 else "black"
                weight = "bold" if path[place] == shown[y] else "normal"
                axes.text(
                    place, y, f"{probability:.2f}", ha="center", va="center", fontsize=7, color=color, weight=weight
                )
    figure.colorbar(image, ax=axes, label="probability")
    return figure


if __name__ == "__main__":
    main()
