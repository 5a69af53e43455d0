"""The command `hf-bilstm`: train, pretrain, search, evaluate, predict, push.

What one command needs is imported inside it.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path

from huggingface_hub.errors import StrictDataclassError

USAGE = """usage: hf-bilstm COMMAND ...

commands (each has --help):
  train CONFIG.yaml [--key value ...]      train a tagger or a classifier from a recipe
  pretrain CONFIG.yaml [--key value ...]   train language models on raw text, for taggers to start from
  search CONFIG.yaml SPACE.yaml [--trials N] [--key value ...]
                                           try settings and write the recipe of the best
  evaluate MODEL [--data_dir DIR ...]      score a trained model
  predict MODEL [FILE]                     tag raw text, one sentence a line, to JSON lines, words or word/tag, or
                                           classify it, to JSON lines
  push MODEL ORG/NAME [--private] [--revision BRANCH] [--create_pr]
                                           push a trained model to the Hub"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command named by the first argument; bad input ends in one line that says what to do."""
    arguments = sys.argv[1:] if arguments is None else arguments
    commands: dict[str, Callable[[Sequence[str]], None]] = {
        "train": train,
        "pretrain": pretrain,
        "search": search,
        "evaluate": evaluate,
        "predict": predict,
        "push": push,
    }
    if not arguments or arguments[0] not in commands:
        wants_help = bool(arguments) and arguments[0] in ("-h", "--help")
        print(USAGE, file=sys.stdout if wants_help else sys.stderr)
        raise SystemExit(0 if wants_help else 2)
    try:
        commands[arguments[0]](arguments[1:])
    except (ValueError, OSError, StrictDataclassError) as error:
        raise SystemExit(f"hf-bilstm {arguments[0]}: {error}") from error


def train(arguments: Sequence[str]) -> None:
    """Train a model from a recipe and print its scores.

    Args:
        arguments: A YAML file, then `--key value` pairs that stand over it.
    """
    if {"-h", "--help"} & set(arguments):
        from hf_bilstm.training.help import format_help

        print(format_help())
        return
    from hf_bilstm.training.recipes import read_recipe

    _join_processes()
    recipe = read_recipe(*_split(arguments))
    from datasets import disable_progress_bars
    from transformers.utils.logging import disable_progress_bar

    from hf_bilstm.training.run import train as run
    from hf_bilstm.training.score_table import format_scores

    disable_progress_bars()  # those of encoding and saving; the Trainer's own stays
    disable_progress_bar()
    results = run(recipe)
    if not results:
        return  # one of several processes, and not the one that speaks
    for split in ("validation", "test"):
        if split in results:
            print(f"\n{split}\n{format_scores(results[split])}")
    print(f"\nSaved to {recipe.training.output_dir}")


def pretrain(arguments: Sequence[str]) -> None:
    """Train language models on raw text and print their perplexity.

    Args:
        arguments: A YAML file, then `--key value` pairs that stand over it.
    """
    if {"-h", "--help"} & set(arguments):
        from hf_bilstm.training.help import format_pretraining_help

        print(format_pretraining_help())
        return
    from hf_bilstm.training.pretraining import pretrain as run
    from hf_bilstm.training.pretraining import read_pretraining_recipe

    _join_processes()
    recipe = read_pretraining_recipe(*_split(arguments))
    from datasets import disable_progress_bars

    disable_progress_bars()
    results = run(recipe)
    if not results:
        return
    for name, value in results.get("validation", {}).items():
        print(f"{name:24}{value:8.2f}")
    print(f"\nSaved to {recipe.training.output_dir}")


def search(arguments: Sequence[str]) -> None:
    """Search for the best settings of a recipe and print a table of the trials.

    Args:
        arguments: A recipe and a space, then options and `--key value` pairs that stand over the recipe's.
    """
    parser = ArgumentParser(
        prog="hf-bilstm search",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
        description="Try settings with optuna and write the best to best.yaml in the recipe's output_dir, a recipe\n"
        "for `hf-bilstm train`. Takes that command's options too (they stand over the recipe's). The space is a YAML\n"
        "file over fields of the model and training arguments:\n"
        "  learning_rate: {low: 1e-4, high: 1e-2, log: true}\n"
        "  hidden_size: {low: 64, high: 256, step: 64}\n"
        "  rnn_type: [lstm, gru]",
    )
    parser.add_argument("recipe", help="YAML file of the recipe that every trial starts from")
    parser.add_argument("space", help="YAML file of what to try")
    parser.add_argument("--trials", type=int, default=20, help="number of trials (default: 20)")
    own, rest = parser.parse_known_args(arguments)

    from datasets import disable_progress_bars

    from hf_bilstm.training.search import BEST_FILE, format_trials
    from hf_bilstm.training.search import search as run

    disable_progress_bars()
    trials = run(own.recipe, own.space, rest, own.trials)
    from hf_bilstm.training.recipes import read_recipe

    best = Path(read_recipe(own.recipe, rest).training.output_dir or ".", BEST_FILE)
    print(f"\n{format_trials(trials)}\n\nThe best is in {best}; train with it: hf-bilstm train {best}")


def evaluate(arguments: Sequence[str]) -> None:
    """Score a trained model and print a table.

    Args:
        arguments: A model, then options; data options stand over those that the model was trained with.
    """
    parser = ArgumentParser(
        prog="hf-bilstm evaluate",
        description="Score a trained model. Takes the data options of `hf-bilstm train` too (--data_dir, "
        "--test_file, --file_scheme ...); those left out are the ones the model was trained with.",
    )
    parser.add_argument("model", help="folder or Hub id of a model")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"), help="default: test")
    parser.add_argument("--json", metavar="FILE", help="file to write the scores to")
    parser.add_argument(
        "--report", metavar="FOLDER", help="folder to write errors.html and pictures of the results to"
    )
    own, rest = parser.parse_known_args(arguments)

    from transformers import AutoTokenizer
    from transformers.utils import cached_file

    from hf_bilstm.checkpoints import load_model
    from hf_bilstm.data import encode_dataset
    from hf_bilstm.training.evaluation import check_task, evaluate_model, report_model
    from hf_bilstm.training.recipes import RECIPE_FILE, read_data_arguments
    from hf_bilstm.training.saving import TRAINING_WORDS_FILE
    from hf_bilstm.training.score_table import format_scores
    from hf_bilstm.training.scoring import labels_for_scoring, read_training_words
    from hf_bilstm.training.splits import require_split

    model, tokenizer = load_model(own.model), AutoTokenizer.from_pretrained(own.model)
    recipe_file = cached_file(own.model, RECIPE_FILE, _raise_exceptions_for_missing_entries=False)
    data = read_data_arguments(recipe_file, rest)
    check_task(model, data.task)
    tagged = require_split(data, own.split)
    labels = labels_for_scoring(data.task, model.config.labels, tagged)
    dataset = encode_dataset(tagged, tokenizer, {label: number for number, label in enumerate(labels)})
    words_file = cached_file(own.model, TRAINING_WORDS_FILE, _raise_exceptions_for_missing_entries=False)
    training_words = read_training_words(words_file) if words_file else None
    scores = evaluate_model(model, tokenizer, dataset, data.task, tagged, training_words, labels)
    print(format_scores(scores))
    if own.json:
        Path(own.json).write_text(json.dumps(scores, ensure_ascii=False, indent=2), encoding="utf-8")
    if own.report:
        written = report_model(own.report, model, tokenizer, tagged, dataset, data.task, scores, labels)
        print(f"\nReport: {', '.join(map(str, written))}")


def predict(arguments: Sequence[str]) -> None:
    """Tag raw text and print a JSON object, words, or words with tags, for each line.

    Args:
        arguments: A model, a file or "-" for standard input, and options.
    """
    parser = ArgumentParser(
        prog="hf-bilstm predict",
        formatter_class=RawDescriptionHelpFormatter,
        description="Tag or classify raw text, one sentence a line. Prints one JSON object a line:\n"
        '{"text": ..., "entities": [{"entity_group": ..., "score": ..., "word": ..., "start": ..., "end": ...}]}\n'
        "where score is the probability that exactly this span with this label is there; of a classifier\n"
        '{"text": ..., "label": ..., "score": ..., "scores": {label: probability, ...}}.\n'
        "--format words prints the words of a segmentation model, parted by blanks, and --format word_tag word/TAG.",
    )
    parser.add_argument("model", help="folder or Hub id of a model")
    parser.add_argument("file", nargs="?", default="-", help="UTF-8 text; - (the default) is standard input")
    parser.add_argument("--batch_size", type=int, help="most sentences a batch (default: 128)")
    parser.add_argument("--num_processes", type=int, help="processes that tag side by side (default: threads of one)")
    parser.add_argument("--format", default="json", choices=("json", "words", "word_tag"), help="default: json")
    parser.add_argument("--tagset", help="tag set to print tags in, one that the model maps its tags to, such as upos")
    parser.add_argument(
        "--dictionary", metavar="FILE", help="words that count beside the model's scores: `word [weight] [tag]` a line"
    )
    parser.add_argument("--force", action="store_true", help="let nothing overrule the dictionary")
    parser.add_argument(
        "--runtime", default="torch", choices=("torch", "native"), help="what runs the model; native is NumPy alone"
    )
    own = parser.parse_args(arguments)
    if own.force and not own.dictionary:
        raise ValueError("--force is about a dictionary: name one with --dictionary FILE.")
    from hf_bilstm.predictions import answer, read_lines

    for line in answer(list(read_lines(own.file)), own):
        print(line)


def push(arguments: Sequence[str]) -> None:
    """Push a trained model to the Hub and print where it is.

    Args:
        arguments: A trained folder, a repository's name, and options.
    """
    parser = ArgumentParser(
        prog="hf-bilstm push",
        description="Push what belongs to a trained model (weights, tokenizer, code, card, pictures, recipe, results) "
        "to the Hub in one commit. Log in with `hf auth login`, or set HF_TOKEN.",
    )
    parser.add_argument("model", help="folder that `hf-bilstm train` wrote")
    parser.add_argument("repository", metavar="ORG/NAME", help="repository, made if it is not there")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to push to, made if it is not there")
    parser.add_argument("--create_pr", action="store_true", help="make a pull request")
    own = parser.parse_args(arguments)

    from hf_bilstm.deploy.push import push_folder

    print(
        push_folder(
            own.model,
            own.repository,
            private=own.private or None,
            revision=own.revision,
            create_pr=own.create_pr,
        )
    )


def _split(arguments: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Part the file of a recipe, if there is one, from what stands over it."""
    has_file = bool(arguments) and not arguments[0].startswith("-")
    return (arguments[0], arguments[1:]) if has_file else (None, arguments)


def _join_processes() -> None:
    """Let the processes that a launcher started on a machine without accelerator share one run.

    The Trainer looks for accelerators first and, finding none, has each process train on its own, unless it is told
    to use the CPU before its arguments are made.
    """
    if "LOCAL_RANK" in os.environ:
        import torch

        device = getattr(torch, "accelerator", torch.cuda)  # torch.accelerator came with torch 2.6
        if not device.is_available():
            os.environ.setdefault("ACCELERATE_USE_CPU", "true")
