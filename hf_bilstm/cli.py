"""The command `hf-bilstm`: train, pretrain, search, evaluate, predict, push.

What one command needs is imported inside it.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

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
    if any(argument in ("-h", "--help") for argument in arguments):
        from hf_bilstm.training.help import format_help

        print(format_help())
        return
    from hf_bilstm.training.recipes import read_recipe

    _join_processes()
    config_file = arguments[0] if arguments and not arguments[0].startswith("-") else None
    recipe = read_recipe(config_file, arguments[1:] if config_file else arguments)
    from datasets import disable_progress_bars
    from transformers.utils.logging import disable_progress_bar

    from hf_bilstm.training.run import train as run

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
    if any(argument in ("-h", "--help") for argument in arguments):
        from hf_bilstm.training.help import format_pretraining_help

        print(format_pretraining_help())
        return
    from hf_bilstm.training.pretraining import pretrain as run
    from hf_bilstm.training.pretraining import read_pretraining_recipe

    _join_processes()
    config_file = arguments[0] if arguments and not arguments[0].startswith("-") else None
    recipe = read_pretraining_recipe(config_file, arguments[1:] if config_file else arguments)
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

    from transformers.utils import cached_file

    from hf_bilstm.data import encode_dataset
    from hf_bilstm.training.evaluation import check_task, evaluate_model, report_model
    from hf_bilstm.training.recipes import read_data_arguments
    from hf_bilstm.training.run import RECIPE_FILE, TRAINING_WORDS_FILE
    from hf_bilstm.training.scoring import labels_for_scoring, read_training_words
    from hf_bilstm.training.splits import require_split

    model, tokenizer = _load(own.model)
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
    texts = list(_read_lines(own.file))
    for line in (_answer_natively if own.runtime == "native" else _answer)(texts, own):
        print(line)


def _write_tagged(texts: list[str], results: Iterable[Any], line_format: str) -> Iterator[str]:
    return (_LINES[line_format](text, found) for text, found in zip(texts, results, strict=True))


def _answer(texts: list[str], own: Namespace) -> Iterator[str]:
    """Tag or classify texts with the model in PyTorch."""
    from hf_bilstm import BiLstmForSequenceClassification, TaggingPipeline, UserDictionary

    dictionary = UserDictionary.from_file(own.dictionary, own.force) if own.dictionary else None
    model, tokenizer = _load(own.model)
    if isinstance(model, BiLstmForSequenceClassification):
        if own.format != "json" or own.dictionary or own.tagset:
            raise ValueError(f"{own.model} classifies texts: leave out --format, --tagset and --dictionary.")
        return _classify(model, tokenizer, texts, own.batch_size or 128)
    options: dict[str, Any] = {"return_words": True} if own.format == "words" else {"tagset": own.tagset}
    options |= {"batch_size": own.batch_size, "dictionary": dictionary}
    tagger = TaggingPipeline(model=model, tokenizer=tokenizer, **options)
    return _write_tagged(texts, tagger(text for text in texts), own.format)


def _answer_natively(texts: list[str], own: Namespace) -> Iterator[str]:
    """Tag or classify texts with the model in NumPy."""
    for option in ("batch_size", "dictionary", "tagset"):
        if getattr(own, option) is not None:
            raise ValueError(f"--{option} goes with --runtime torch; leave one of the two out.")
    try:
        from bilstm_native import load
    except ImportError as error:
        raise ValueError(f"--runtime native: {error}. pip install 'hf_bilstm[native]'") from error
    model = load(own.model)
    if not hasattr(model, "words"):
        if own.format != "json":
            raise ValueError(f"{own.model} classifies texts: leave out --format.")
        return _write_classified(texts, model(texts))
    return _write_tagged(texts, model.words(texts) if own.format == "words" else model(texts), own.format)


def _classify(model: Any, tokenizer: Any, texts: list[str], batch_size: int) -> Iterator[str]:
    """Classify texts, those of like length together."""
    from transformers import TextClassificationPipeline

    classifier = TextClassificationPipeline(model=model, tokenizer=tokenizer, batch_size=batch_size)
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    answers: list[Any] = [None] * len(texts)
    for place, answer in zip(order, classifier([texts[place] for place in order], top_k=None), strict=True):
        answers[place] = answer
    return _write_classified(texts, answers)


def _write_classified(texts: list[str], answers: list[list[dict[str, Any]]]) -> Iterator[str]:
    for text, labels in zip(texts, answers, strict=True):
        scores = {item["label"]: item["score"] for item in labels}
        line = {"text": text, "label": labels[0]["label"], "score": labels[0]["score"], "scores": scores}
        yield json.dumps(line, ensure_ascii=False)


def _json_line(text: str, entities: list[dict[str, Any]]) -> str:
    return json.dumps({"text": text, "entities": entities}, ensure_ascii=False)


def _words_line(text: str, words: list[str]) -> str:
    return " ".join(words)


def _word_tag_line(text: str, spans: list[dict[str, Any]]) -> str:
    """Write `word/TAG` for every word; what is outside of spans is tagged `O`, so that no text is missing."""
    from hf_bilstm.data import write_word_pos

    words: list[tuple[str, str]] = []
    end = 0
    for span in [*spans, {"start": len(text), "end": len(text), "word": ""}]:
        words += [(word, "O") for word in text[end : span["start"]].split()]
        words += [(part, span["entity_group"]) for part in span["word"].split()]
        end = span["end"]
    return write_word_pos(words)


_LINES: dict[str, Callable[[str, Any], str]] = {"json": _json_line, "words": _words_line, "word_tag": _word_tag_line}


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


def _load(name: str) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    import hf_bilstm  # noqa: F401  (registers the Auto classes)
    from hf_bilstm.training.evaluation import load_model

    return load_model(name), AutoTokenizer.from_pretrained(name)


def _read_lines(name: str) -> Iterator[str]:
    """Give a file's lines, parted at line feeds alone; a carriage return before one is part of the line's end."""
    data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n") if data else [], start=1):
        try:
            yield line.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{name}, line {number}: not UTF-8 at byte {error.start + 1}; convert the file."
            ) from None


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
