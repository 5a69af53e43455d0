"""Change one option of a recipe at a time, and show what it is worth on validation data, over seeds.

    python scripts/ablation.py configs/quickstart.yaml scripts/ablation.yaml --seeds 0 1 2 --json outputs/ablation.json

The second file lists the changes, each a mapping of recipe keys to values; keys that follow on the command line stand
over the recipe's in every row. A score is the best evaluation of a training. Test data is not looked at. Each training
runs on one thread, `--processes` of them at once.
"""

import os
import sys

sys.path.pop(0)  # this folder, whose evaluate.py would stand in for the library of that name
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory

import yaml


def best_score(recipe_file: str, options: list[str]) -> float:
    """Train by a recipe and give its best validation score."""
    from datasets import disable_progress_bars
    from transformers import PrinterCallback, set_seed
    from transformers.trainer_utils import SaveStrategy

    from hf_bilstm.training.building import build
    from hf_bilstm.training.recipes import read_recipe
    from hf_bilstm.training.run import make_trainer, settle_machine
    from hf_bilstm.training.scoring import main_metric
    from hf_bilstm.training.splits import require_split

    disable_progress_bars()
    with TemporaryDirectory() as folder:
        quiet = ["--output_dir", folder, "--report_to", "none", "--disable_tqdm", "true", "--log_level", "error"]
        recipe = read_recipe(recipe_file, [*options, *quiet])
        recipe.training.save_strategy, recipe.training.load_best_model_at_end = SaveStrategy.NO, False
        data = require_split(recipe.data, "train"), require_split(recipe.data, "validation")
        set_seed(recipe.training.seed)
        settle_machine(recipe.training)
        tokenizer, model = build(recipe, *data)
        trainer = make_trainer(recipe, tokenizer, model.config.labels, *data, model=model)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    metric = f"eval_{main_metric(recipe.data.task)}"
    return max(row[metric] for row in trainer.state.log_history if metric in row)


def as_options(change: dict[str, object]) -> list[str]:
    """Write a change as on a command line."""
    options: list[str] = []
    for key, value in change.items():
        items = value if isinstance(value, list) else [value]
        options += [f"--{key}", *(json.dumps(item) if isinstance(item, dict) else str(item) for item in items)]
    return options


def describe(change: dict[str, object]) -> str:
    """Name a row of the table."""
    return ", ".join(f"`{key}: {value}`" for key, value in change.items()) or "the recipe"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="YAML file of the recipe")
    parser.add_argument("changes", help="YAML file: a list of mappings, each a row of the table")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of each row (default: 0 1 2)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="trainings at once (default: the cores)")
    parser.add_argument("--json", metavar="FILE", help="write the scores to this file")
    own, overrides = parser.parse_known_args()

    changes = [{}, *yaml.safe_load(Path(own.changes).read_text(encoding="utf-8"))]
    rows = []
    # Results come in order as they are done, so that a long run shows its table row by row.
    with ProcessPoolExecutor(own.processes, mp_context=get_context("spawn")) as pool:
        waiting = [
            [
                pool.submit(best_score, own.recipe, [*overrides, *as_options(c), "--seed", str(seed)])
                for seed in own.seeds
            ]
            for c in changes
        ]
        print("| change | mean | standard deviation | difference |\n|---|---|---|---|")
        for change, futures in zip(changes, waiting, strict=True):
            scores = [100 * future.result() for future in futures]
            mean = fmean(scores)
            rows.append({"change": change, "scores": scores, "mean": mean})
            spread = f"{stdev(scores):.2f}" if len(scores) > 1 else "–"
            difference = f"{mean - rows[0]['mean']:+.2f}" if change else ""
            print(f"| {describe(change)} | {mean:.2f} | {spread} | {difference} |", flush=True)
    if own.json:
        Path(own.json).parent.mkdir(parents=True, exist_ok=True)
        Path(own.json).write_text(json.dumps({"seeds": own.seeds, "rows": rows}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
