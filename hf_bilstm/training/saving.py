"""The folder of a run: what is written to it, all or nothing, and what an earlier run left there."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_bilstm import deploy
from hf_bilstm.training.recipes import RECIPE_FILE, RESULTS_FILE, Recipe, describe_recipe
from hf_bilstm.training.scoring import write_training_words

# What serves the model on Inference Endpoints, copied from deploy/.
SERVING_FILES = ("handler.py", "requirements.txt")
TRAINING_WORDS_FILE = "training_words.txt"


def save(
    folder: Path,
    recipe: Recipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    results: dict[str, Any],
    training_words: Collection[str] | None = None,
) -> None:
    """Write model, tokenizer, the code of all, recipe and results; a crash on the way leaves what was there before.

    Args:
        folder: Output directory.
        recipe: What was done.
        model: The trained model.
        tokenizer: Its tokenizer.
        results: Contents of all_results.json.
        training_words: Contents of training_words.txt, for segmentation.
    """
    with whole_or_nothing(folder) as unfinished:
        save_trained(unfinished, recipe, model, tokenizer, results)
        for name in SERVING_FILES:
            shutil.copyfile(Path(deploy.__file__).with_name(name), unfinished / name)
        if training_words is not None:
            write_training_words(training_words, unfinished / TRAINING_WORDS_FILE)


def save_trained(
    folder: Path,
    recipe: Iterable[Any],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    results: dict[str, Any],
) -> None:
    """Write model, tokenizer, the code of both, recipe and results.

    Args:
        folder: Where to.
        recipe: What was done, in groups of arguments.
        model: The trained model.
        tokenizer: Its tokenizer.
        results: Contents of all_results.json.
    """
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    text = yaml.safe_dump(describe_recipe(recipe), allow_unicode=True, sort_keys=False)
    (folder / RECIPE_FILE).write_text(text, encoding="utf-8")
    (folder / RESULTS_FILE).write_text(json.dumps(results, ensure_ascii=False, indent=2), encoding="utf-8")


@contextmanager
def whole_or_nothing(folder: Path) -> Iterator[Path]:
    """Give a folder to write to, whose files are moved to another when all are there; a crash leaves that as it was.

    Args:
        folder: Where the files are to be in the end.

    Yields:
        The folder to write to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as unfinished:
        yield Path(unfinished)
        for file in sorted(Path(unfinished).iterdir()):
            os.replace(file, folder / file.name)


def part_from_earlier_runs(recipe: Any) -> None:
    """Keep a new run's checkpoints from mixing with an older one's, from which a later resume could go on."""
    training = recipe.training
    old = sorted(Path(training.output_dir or ".").glob("checkpoint-*"))
    if not old or checkpoint_to_resume(training.resume_from_checkpoint):
        return
    if not recipe.run.overwrite_output_dir:
        raise ValueError(
            f"{training.output_dir} holds checkpoints of an earlier run ({old[0].name}). Go on with it, "
            f"--resume_from_checkpoint true; or start anew, --overwrite_output_dir true or another --output_dir."
        )
    if training.process_index == 0:
        for folder in old:
            shutil.rmtree(folder)


def checkpoint_to_resume(value: str | None) -> str | bool | None:
    """Read `resume_from_checkpoint`: true means the newest checkpoint of the output directory."""
    return {"true": True, "false": None}.get(str(value).lower(), value)
