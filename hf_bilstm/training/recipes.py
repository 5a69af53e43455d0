"""Recipes: a YAML file and the command line, read into groups of arguments, and such groups written down again."""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from transformers import HfArgumentParser, TrainingArguments

from hf_bilstm.training.arguments import CardArguments, DataArguments, ModelArguments, RunArguments
from hf_bilstm.training.vectors import VectorArguments

RECIPE_FILE, RESULTS_FILE = "recipe.yaml", "all_results.json"  # in a trained folder
# Paths of the machine, what is done there, and secrets.
_NOT_DESCRIBED = {
    "data_dir",
    "output_dir",
    "logging_dir",
    "resume_from_checkpoint",
    "overwrite_output_dir",
    "hub_token",
}
# What TrainingArguments makes of some defaults.
_SETTLED = {
    "activation_checkpointing": False,
    "gradient_checkpointing": False,
    "disable_tqdm": False,
    "report_to": [],
    "debug": [],
}


class Recipe(NamedTuple):
    """The six groups of arguments of a run."""

    model: Any  # ModelArguments is made at import, which a type checker cannot see
    data: DataArguments
    run: RunArguments
    training: TrainingArguments
    card: CardArguments
    vectors: VectorArguments


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
    kinds = (ModelArguments, DataArguments, RunArguments, TrainingArguments, CardArguments, VectorArguments)
    return Recipe(*read_groups(kinds, config_file, overrides))


def read_groups(kinds: tuple[Any, ...], config_file: str | None, overrides: Sequence[str]) -> list[Any]:
    """Read a recipe of some groups of arguments, with the command line's word over the file's.

    Args:
        kinds: Dataclasses of the groups.
        config_file: YAML file of argument names and values, or None.
        overrides: Arguments as on a command line.

    Returns:
        An object of each kind.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a key is unknown (naming the nearest one) or a value has the wrong type.
    """
    values = load_yaml(config_file) if config_file else {}
    known = argument_names(*kinds)
    for key in values:
        if key not in known:
            raise ValueError(f"{config_file}: unknown key {key!r}.{suggestion(str(key), known)}")
    return parse(kinds, values, overrides)


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
    (arguments,) = parse((DataArguments,), {key: value for key, value in values.items() if key in known}, overrides)
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


def parse(kinds: tuple[Any, ...], values: dict[str, Any], overrides: Sequence[str] = ()) -> list[Any]:
    """Convert and check the values of a file and of the command line in one way: argparse's.

    Args:
        kinds: Dataclasses of the groups.
        values: Argument names and values.
        overrides: Arguments as on a command line.

    Returns:
        An object of each kind.

    Raises:
        ValueError: If a name is unknown (naming the nearest one) or a value has the wrong type.
    """
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


def describe_recipe(recipe: Iterable[Any]) -> dict[str, Any]:
    """List what a recipe sets apart from the defaults, without tokens or the paths of the machine it ran on.

    Args:
        recipe: The recipe, or some of its groups.

    Returns:
        Keys and values, fit for a YAML file that `read_recipe` takes.
    """
    described: dict[str, Any] = {}
    for group in recipe:
        described |= _differences(group)
    return described


def _differences(group: Any) -> dict[str, Any]:
    # Not from a default TrainingArguments: making one takes the process's devices away from a Trainer at work.
    found: dict[str, Any] = {}
    for argument in fields(group):
        default = argument.default_factory() if callable(argument.default_factory) else argument.default
        value = getattr(group, argument.name)
        if is_dataclass(value):
            value, default = _differences(value), {}
        value = getattr(value, "value", value)  # of an enumeration
        usual = (getattr(default, "value", default), _SETTLED.get(argument.name, default))
        if argument.init and argument.name not in _NOT_DESCRIBED and value not in usual:
            is_path = isinstance(value, str) and Path(value).is_absolute()
            found[argument.name] = Path(value).name if is_path else value
    return found
