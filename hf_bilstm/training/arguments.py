"""Recipes: a YAML file and the command line, read into typed arguments."""

from __future__ import annotations

import argparse
import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from transformers import HfArgumentParser, TrainingArguments

from hf_bilstm.models.configuration_bilstm import BiLstmConfig

# Set from the tokenizer, the labels and the words, never by hand; label_weights is given by label instead.
_DERIVED_FIELDS = {
    "vocab_size",
    "pad_token_id",
    "unk_token_id",
    "white_space_token_id",
    "label_weights",
    "lexicon_size",
    "dictionary_nodes",
    "dictionary_profiles",
}


def _model_arguments() -> type:
    """Make a dataclass of the configuration's own fields; None leaves a field as the configuration has it."""
    helps = {
        "model_name_or_path": "Checkpoint or Hub id to fine-tune; a new model when absent.",
        "label_weights": 'Weights of labels in the loss, as {"O": 0.5}; labels left out weigh 1.',
    }
    columns: list[tuple[str, Any, Any]] = [
        (name, str | None, field(default=None, metadata={"help": text})) for name, text in helps.items()
    ]
    explained = dict(re.findall(r"^ {8}(\w+): (.+?)(?=\n {8}\w+: |\n\n)", BiLstmConfig.__doc__ or "", re.M | re.S))
    for own in fields(BiLstmConfig):
        if own.name in explained and own.name not in _DERIVED_FIELDS:
            kind: Any = float if own.type == float | int else own.type
            metadata = {"help": " ".join(explained[own.name].split())}
            columns.append((own.name, kind | None, field(default=None, metadata=metadata)))
    return make_dataclass("ModelArguments", columns)


ModelArguments = _model_arguments()


@dataclass
class DataArguments:
    """Where the data is, what form it has and how it becomes tokens."""

    task: Literal["ner", "segmentation", "pos", "segmentation_pos"] = field(
        default="ner", metadata={"help": "What is tagged: entities, words, parts of speech, or words with them."}
    )
    dataset: str | None = field(
        default=None,
        metadata={"help": "'sample' (the built-in corpus), a Hub id or a folder of datasets; files when absent."},
    )
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration name of a Hub data set."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder that the file names are relative to."})
    train_file: str | None = field(default=None, metadata={"help": "Training file."})
    validation_file: str | None = field(default=None, metadata={"help": "Validation file."})
    test_file: str | None = field(default=None, metadata={"help": "Test file."})
    data_format: Literal["columns"] = field(
        default="columns", metadata={"help": "Form of the files: columns, one token a line."}
    )
    token_column: str | None = field(
        default=None, metadata={"help": "Column of the tokens: a number from 0 in files, a name in data sets."}
    )
    tag_column: str | None = field(
        default=None, metadata={"help": "Column of the tags: a number (-1 the last) in files, a name in data sets."}
    )
    file_scheme: Literal["auto", "none", "iob1", "iob2", "bioes", "bmes", "bilou"] = field(
        default="auto", metadata={"help": "Tagging scheme of the data."}
    )
    encoding: str = field(default="utf-8", metadata={"help": "Encoding of the files."})
    repair: bool = field(
        default=False, metadata={"help": "Mend illegal tags, and report how many, instead of stopping."}
    )
    granularity: Literal["char", "word"] = field(
        default="char", metadata={"help": "What a token of a new model is: a character or a word."}
    )
    white_space: Literal["drop", "token"] = field(
        default="drop", metadata={"help": "Whether white space becomes a token of character models."}
    )
    fold: list[str] = field(
        default_factory=list, metadata={"help": "What the tokenizer folds: any of lower, width, digits."}
    )
    min_frequency: int = field(
        default=1, metadata={"help": "Times a token must occur in the training data to enter the vocabulary."}
    )
    lexicon_file: str | None = field(
        default=None,
        metadata={"help": "Words that join those of the training data in the lexicon: `word [frequency]` a line."},
    )
    lexicon_min_frequency: int = field(
        default=1, metadata={"help": "Times a word must occur in the training data to enter the lexicon."}
    )


@dataclass
class RunArguments:
    """What the run does beyond TrainingArguments."""

    early_stopping_patience: int = field(
        default=0, metadata={"help": "Evaluations without a better score before training stops; 0 never stops early."}
    )
    ema_decay: float = field(
        default=0.0,
        metadata={"help": "Decay of the moving average of the weights that is evaluated and saved; 0 for none."},
    )

    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "Remove the checkpoints of an earlier run from the output directory first."}
    )

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.early_stopping_patience < 0:
            raise ValueError(f"early_stopping_patience must be 0 or more, got {self.early_stopping_patience}.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be at least 0 and below 1, got {self.ema_decay}.")


class Recipe(NamedTuple):
    """The four groups of arguments of a run."""

    model: Any  # ModelArguments is made at import, which a type checker cannot see
    data: DataArguments
    run: RunArguments
    training: TrainingArguments


def read_recipe(config_file: str | None, overrides: Sequence[str]) -> Recipe:
    """Read a recipe, with the command line's word over the file's.

    Args:
        config_file: YAML file of argument names and values, or None.
        overrides: Arguments as on a command line, `["--learning_rate", "0.001"]`.

    Returns:
        The groups of arguments.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a key is unknown (naming the nearest one) or a value has the wrong type.
    """
    kinds = (ModelArguments, DataArguments, RunArguments, TrainingArguments)
    values = load_yaml(config_file) if config_file else {}
    known = argument_names(*kinds)
    for key in values:
        if key not in known:
            raise ValueError(f"{config_file}: unknown key {key!r}.{suggestion(str(key), known)}")
    return Recipe(*_parse(kinds, values, overrides))


def read_data_arguments(config_file: str | None, overrides: Sequence[str]) -> DataArguments:
    """Read the data arguments of a recipe alone, with the command line's word over the file's.

    Args:
        config_file: YAML file of a whole recipe, or None.
        overrides: Data arguments as on a command line.

    Returns:
        The data arguments.
    """
    values = load_yaml(config_file) if config_file else {}
    known = argument_names(DataArguments)
    (arguments,) = _parse((DataArguments,), {key: value for key, value in values.items() if key in known}, overrides)
    return arguments


def argument_names(*kinds: type) -> set[str]:
    """Names of the arguments that some dataclasses take."""
    return {argument.name for kind in kinds for argument in fields(kind) if argument.init}


def load_yaml(config_file: str) -> dict[str, Any]:
    """Read a YAML file of keys and values, or say what is wrong with it."""
    path = Path(config_file)
    if not path.is_file():
        recipes = sorted(other.name for other in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        holds = f" {path.parent} holds: {', '.join(recipes)}." if recipes else ""
        raise FileNotFoundError(f"There is no recipe {config_file}.{holds}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{config_file} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{config_file} must hold `key: value` lines, got {type(values).__name__}.")
    return values


def _parse(kinds: tuple[Any, ...], values: dict[str, Any], overrides: Sequence[str]) -> list[Any]:
    """Convert and check the values of a file and of the command line in one way: argparse's."""
    arguments: list[str] = []
    for key, value in values.items():
        if value is not None:
            items = value if isinstance(value, list) else [value]
            arguments.append(f"--{key}")
            arguments += [
                json.dumps(item, ensure_ascii=False) if isinstance(item, dict) else str(item) for item in items
            ]
    parser = HfArgumentParser(kinds, exit_on_error=False, allow_abbrev=False)
    try:
        *groups, unknown = parser.parse_args_into_dataclasses([*arguments, *overrides], return_remaining_strings=True)
    except argparse.ArgumentError as error:
        raise ValueError(str(error)) from error
    if unknown:
        raise ValueError(
            f"Unknown argument {unknown[0]!r}.{suggestion(unknown[0].lstrip('-'), argument_names(*kinds))}"
        )
    return groups


def suggestion(name: str, known: set[str]) -> str:
    """Say which known name an unknown one is nearest to, as the end of an error's message."""
    nearest = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else " `hf-bilstm train --help` lists all of them."


def describe_recipe(recipe: Recipe) -> dict[str, Any]:
    """List what a recipe sets apart from the defaults, without the paths of the machine it ran on.

    Args:
        recipe: The recipe.

    Returns:
        Keys and values, fit for a YAML file that `read_recipe` takes.
    """
    described: dict[str, Any] = {}
    paths = {"data_dir", "output_dir", "logging_dir", "resume_from_checkpoint", "overwrite_output_dir"}
    for group in recipe:
        defaults = type(group)()
        for argument in fields(group):
            value = getattr(group, argument.name)
            if argument.init and argument.name not in paths and value != getattr(defaults, argument.name):
                described[argument.name] = value.value if hasattr(value, "value") else value
    return described


def label_weights(text: str | None, labels: Sequence[str]) -> list[float] | None:
    """Read the weights of labels.

    Args:
        text: JSON object of label: weight, or None.
        labels: The model's labels in the order of their ids.

    Returns:
        A weight a label, 1 where none is given; None without `text`.

    Raises:
        ValueError: If a name is not a label or a weight is negative.
    """
    if text is None:
        return None
    weights = json.loads(text)
    for name, weight in weights.items():
        if name not in labels:
            raise ValueError(f"label_weights names {name!r}, which is not one of the labels {list(labels)}.")
        if weight < 0:
            raise ValueError(f"label_weights must be 0 or more, got {weight} for {name!r}.")
    return [float(weights.get(label, 1.0)) for label in labels]
