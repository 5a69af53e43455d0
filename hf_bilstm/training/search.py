"""Search for hyper-parameters: the Trainer's own, with optuna, over a space that a YAML file describes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_type_hints

import yaml
from transformers import PreTrainedModel, TrainingArguments, set_seed
from transformers.trainer_utils import SaveStrategy

from hf_bilstm.training.arguments import ModelArguments
from hf_bilstm.training.building import build, pretrained_vectors
from hf_bilstm.training.recipes import Recipe, argument_names, describe_recipe, load_yaml, read_recipe, suggestion
from hf_bilstm.training.run import make_trainer, settle_machine
from hf_bilstm.training.scoring import main_metric
from hf_bilstm.training.splits import require_split

if TYPE_CHECKING:
    import optuna

BEST_FILE = "best.yaml"
# Seeds are fixed, so that trials differ by what is searched alone; the others say what is trained on or where it goes.
_NOT_SEARCHED = {"seed", "data_seed", "output_dir", "model_name_or_path", "label_weights"}


class Trial(NamedTuple):
    """One trial: its number, its score (None if stopped before its end) and the values it tried."""

    number: int
    score: float | None
    values: dict[str, Any]


class Space:
    """What is searched, read and checked.

    Args:
        path: YAML file. A key is a field of the model or a training argument; its value is a list of choices, or `low`
            and `high` of a number with `log: true` or `step` if wanted.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a key is unknown (naming the nearest one) or does not say what to try.
    """

    def __init__(self, path: str) -> None:
        self.model_keys = argument_names(ModelArguments) - _NOT_SEARCHED
        known = self.model_keys | argument_names(TrainingArguments) - _NOT_SEARCHED
        self.choices: dict[str, list[Any]] = {}
        self.ranges: dict[str, dict[str, Any]] = {}
        for key, wanted in load_yaml(path).items():
            if key in _NOT_SEARCHED:
                raise ValueError(f"{path}: {key} is no hyper-parameter; set it in the recipe or on the command line.")
            if key not in known:
                raise ValueError(f"{path}: unknown key {key!r}.{suggestion(str(key), known)}")
            if isinstance(wanted, list) and wanted:
                self.choices[key] = wanted
            elif isinstance(wanted, dict) and {"low", "high"} <= set(wanted) <= {"low", "high", "log", "step"}:
                self.ranges[key] = _range(f"{path}: {key}", _number_type(key), wanted)
            else:
                raise ValueError(
                    f"{path}: {key} must be a list of choices, or {{low: ..., high: ...}} with `log: true` or "
                    f"`step: ...` if wanted; got {wanted!r}."
                )
        if not (self.choices or self.ranges):
            raise ValueError(f"{path} names nothing to search.")

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw a value for every key; asked again, a trial gives the same values."""
        drawn = {key: trial.suggest_categorical(key, choices) for key, choices in self.choices.items()}
        for key, limits in self.ranges.items():
            suggest: Any = trial.suggest_int if _number_type(key) is int else trial.suggest_float
            drawn[key] = suggest(key, **limits)
        return drawn

    def corners(self) -> list[dict[str, Any]]:
        """List every choice and limit alone: if each of them is valid, so is what lies between."""
        return [
            *({key: choice} for key, choices in self.choices.items() for choice in choices),
            *({key: limits[end]} for key, limits in self.ranges.items() for end in ("low", "high")),
        ]


def search(recipe_file: str, space_file: str, overrides: Sequence[str], trials: int = 20) -> list[Trial]:
    """Try settings, and write the recipe of the best one to best.yaml in the recipe's output directory.

    Every trial trains by the recipe, with the recipe's seed, and is judged on validation data by
    `metric_for_best_model`, or else the task's main score: by its best evaluation when the recipe loads the best model
    at the end, by its last one otherwise. A trial that is worse than the median of those before it is stopped.

    Args:
        recipe_file: Recipe that the trials start from.
        space_file: What to try; see `Space`.
        overrides: Arguments as on a command line, which stand over the recipe's; the space stands over both.
        trials: Number of trials.

    Returns:
        The trials, the best one first.

    Raises:
        ValueError: If a file is wrong, there is no validation data, or optuna is missing.
    """
    if not find_spec("optuna"):
        raise ValueError("The search needs optuna: pip install 'hf_bilstm[search]'.")
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise ValueError("The search runs in one process: start it without a launcher.")
    if trials < 1:
        raise ValueError(f"trials must be 1 or more, got {trials}.")
    space = Space(space_file)
    recipe = read_recipe(recipe_file, overrides)
    for corner in space.corners():
        read_recipe(recipe_file, [*overrides, *_as_options(corner)])
    folder = Path(recipe.training.output_dir or ".")
    found = _run(recipe, recipe_file, space, overrides, trials)
    best = read_recipe(recipe_file, [*overrides, *_as_options(found[0].values)])
    described = describe_recipe(best)
    places = {"data_dir": best.data.data_dir, "output_dir": best.training.output_dir}
    described |= {key: value for key, value in places.items() if value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(described, allow_unicode=True, sort_keys=False)
    (folder / BEST_FILE).write_text(text, encoding="utf-8")
    return found


def _run(recipe: Recipe, recipe_file: str, space: Space, overrides: Sequence[str], trials: int) -> list[Trial]:
    import optuna

    arguments, training = recipe.data, recipe.training
    train_data, validation_data = require_split(arguments, "train"), require_split(arguments, "validation")
    vectors = pretrained_vectors(recipe, train_data)
    tokenizer, model = build(recipe, train_data, validation_data, vectors)
    settle_machine(training)
    training.save_strategy = SaveStrategy.NO  # scores are all that is wanted of a trial
    for key in space.ranges:
        if _number_type(key) is float and isinstance(getattr(training, key, None), int):
            setattr(training, key, float(getattr(training, key)))  # a trial's value takes the type of the one before

    def model_init(trial: optuna.Trial | None) -> PreTrainedModel:
        drawn = {key: value for key, value in space.suggest(trial).items() if key in space.model_keys} if trial else {}
        of_trial = read_recipe(recipe_file, [*overrides, *_as_options(drawn)])
        built = build(recipe._replace(model=of_trial.model), train_data, validation_data, vectors)[1]
        set_seed(training.seed)  # as a run has it that is given its model, so that best.yaml gives the trial's score
        return built

    def hp_space(trial: optuna.Trial) -> dict[str, Any]:
        return {key: value for key, value in space.suggest(trial).items() if key not in space.model_keys}

    metric = f"eval_{(training.metric_for_best_model or main_metric(arguments.task)).removeprefix('eval_')}"
    greater = not metric.endswith("loss") if training.greater_is_better is None else training.greater_is_better

    def score(metrics: dict[str, float]) -> float:
        if metric not in metrics:
            raise ValueError(f"There is no score {metric!r}; metric_for_best_model takes: {', '.join(metrics)}.")
        scores = [row[metric] for row in trainer.state.log_history if metric in row]
        return (max if greater else min)(scores) if training.load_best_model_at_end else metrics[metric]

    trainer = make_trainer(recipe, tokenizer, model.config.labels, train_data, validation_data, model_init=model_init)
    storage = optuna.storages.InMemoryStorage()  # the Trainer gives back the best trial alone; this keeps all
    trainer.hyperparameter_search(
        hp_space,
        score,
        trials,
        direction="maximize" if greater else "minimize",
        backend="optuna",
        sampler=optuna.samplers.TPESampler(seed=training.seed),
        storage=storage,
        study_name="search",
    )
    study = optuna.load_study(study_name="search", storage=storage)
    complete = optuna.trial.TrialState.COMPLETE
    found = [Trial(one.number, one.value if one.state == complete else None, one.params) for one in study.trials]
    return sorted(
        found, key=lambda one: (one.score is None, 0 if one.score is None else -one.score if greater else one.score)
    )


def format_trials(trials: Sequence[Trial]) -> str:
    """Lay trials out as a table.

    Args:
        trials: What `search` gives.

    Returns:
        Lines of text.
    """
    rows = [["trial", "score", *trials[0].values]]
    for trial in trials:
        values = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in trial.values.values()]
        rows.append([str(trial.number), "stopped" if trial.score is None else f"{trial.score:.4f}", *values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _number_type(key: str) -> type | None:
    """Tell whether a key takes a float, an int or no number."""
    kinds = {field.name: field.type for field in fields(ModelArguments)}
    kind = kinds[key] if key in kinds else get_type_hints(TrainingArguments)[key]
    accepted = get_args(kind) or (kind,)
    return float if float in accepted else int if int in accepted else None


def _range(where: str, number: type | None, wanted: dict[str, Any]) -> dict[str, Any]:
    if number is None:
        raise ValueError(f"{where} is no number; list what to try: [..., ...].")
    try:  # YAML reads 1e-4, without a point, as text
        limits = {name: value if name == "log" else number(value) for name, value in wanted.items()}
    except (TypeError, ValueError):
        raise ValueError(f"{where} needs numbers ({number.__name__}), got {wanted!r}.") from None
    if not limits["low"] <= limits["high"] or (limits.get("log") and limits["low"] <= 0):
        raise ValueError(f"{where} needs low <= high, and low above 0 with log; got {wanted!r}.")
    return limits


def _as_options(values: dict[str, Any]) -> list[str]:
    return [text for key, value in values.items() for text in (f"--{key}", str(value))]
