"""Train with shares of the labelled sentences, with and without a pretrained model, and draw the test scores.

    python scripts/learning_curve.py configs/resume_ner.yaml scripts/learning_curve.yaml --data_dir FOLDER

The second file lists the trainings, each a mapping of recipe keys to values, with a `train_fraction`, and a
`model_name_or_path` where it starts from a pretrained model; keys that follow on the command line stand over the
recipe's in all of them. What is best on validation data is scored on test data, once, as in any training. A point of
the figure is the mean over seeds; the band is from the least to the most.

Each training runs on one thread, `--processes` of them at once, into a folder of its own below `--output_dir`, so that
a run that was broken off goes on where it was; figure and scores stand beside them.
"""

import os
import sys

sys.path.pop(0)  # this folder, whose evaluate.py would stand in for the library of that name
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import yaml

SPLITS = ("validation", "test")


def scores_of(recipe_file: str, options: list[str], folder: Path) -> dict[str, float]:
    """Train by a recipe, unless that is done, and give the scores of both splits in percent."""
    from datasets import disable_progress_bars

    from hf_bilstm.training.recipes import read_recipe
    from hf_bilstm.training.run import train
    from hf_bilstm.training.scoring import main_metric

    disable_progress_bars()
    quiet = ["--output_dir", str(folder), "--report_to", "none", "--disable_tqdm", "true", "--log_level", "error"]
    recipe = read_recipe(recipe_file, [*options, *quiet])
    done = folder / "all_results.json"
    results = json.loads(done.read_text(encoding="utf-8")) if done.exists() else train(recipe)
    return {split: 100 * results[split][main_metric(recipe.data.task)] for split in SPLITS}


def draw(rows: list[dict[str, Any]], picture: Path) -> None:
    """Draw test scores over shares, a line with and a line without pretraining."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, color in (("pretrained", "tab:blue"), ("from nothing", "tab:gray")):
        chosen = [row for row in rows if ("model_name_or_path" in row["change"]) == (name == "pretrained")]
        points = sorted((row["change"]["train_fraction"], row["test"]) for row in chosen)
        shares = [share for share, _ in points]
        axes.plot(shares, [fmean(scores) for _, scores in points], "o-", color=color, label=name)
        least, most = [min(scores) for _, scores in points], [max(scores) for _, scores in points]
        axes.fill_between(shares, least, most, color=color, alpha=0.15, linewidth=0)
        for share, scores in points:
            axes.annotate(
                f"{fmean(scores):.1f}",
                (share, fmean(scores)),
                xytext=(0, 6 if name == "pretrained" else -13),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=color,
            )
    axes.set_xscale("log", base=2)
    axes.set_xticks(shares, [str(Fraction(share).limit_denominator(1000)) for share in shares])
    axes.set_xlabel("share of the labelled sentences")
    axes.set_ylabel("test score, percent")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(picture, dpi=150)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="YAML file of the recipe")
    parser.add_argument("changes", help="YAML file: a list of mappings, each a point of the figure")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of each point (default: 0 1 2)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="trainings at once (default: the cores)")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/learning_curve"), help="folder to write to")
    own, overrides = parser.parse_known_args()

    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(own.processes, mp_context=get_context("spawn")) as pool:
        waiting = []
        for change in yaml.safe_load(Path(own.changes).read_text(encoding="utf-8")):
            start = "pretrained" if "model_name_or_path" in change else "from_nothing"
            options = [*overrides, *(f"--{key}={value}" for key, value in change.items())]
            folders = [own.output_dir / f"{change['train_fraction']}_{start}_{seed}" for seed in own.seeds]
            futures = [
                pool.submit(scores_of, own.recipe, [*options, f"--seed={seed}"], folder)
                for seed, folder in zip(own.seeds, folders, strict=True)
            ]
            waiting.append((change, start, futures))
        print("| share | start | validation | test |\n|---|---|---|---|")
        for change, start, futures in waiting:
            done = [future.result() for future in futures]
            row = {split: [scores[split] for scores in done] for split in SPLITS}
            rows.append({"change": change, **row})
            spreads = [f"{fmean(s):.2f} ± {stdev(s):.2f}" if len(s) > 1 else f"{s[0]:.2f}" for s in row.values()]
            print(f"| {change['train_fraction']} | {start} | {' | '.join(spreads)} |", flush=True)
    scores = {"seeds": own.seeds, "rows": rows}
    (own.output_dir / "scores.json").write_text(json.dumps(scores, indent=2), encoding="utf-8")
    draw(rows, own.output_dir / "learning_curve.png")


if __name__ == "__main__":
    main()
