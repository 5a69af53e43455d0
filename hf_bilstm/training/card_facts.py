"""What a model card is made from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from hf_bilstm.training.arguments import CardArguments
from hf_bilstm.training.card_measures import show_instead
from hf_bilstm.training.recipes import RECIPE_FILE, Recipe, describe_recipe

BUILT_IN = {
    "sample": "the built-in Chinese corpus of hf_bilstm",
    "sample_en": "the built-in English corpus of hf_bilstm",
}


class Task(NamedTuple):
    """How a card speaks of a task: its name, what the model does, what it finds, and the tags of the Hub."""

    name: str
    does: str
    finds: str
    tags: tuple[str, ...]


TASKS = {
    "ner": Task("Named entity recognition", "finds named entities", "entity", ("ner", "named-entity-recognition")),
    "segmentation": Task("Word segmentation", "cuts text into words", "word", ("word-segmentation",)),
    "pos": Task("Part-of-speech tagging", "gives every word its part of speech", "word", ("part-of-speech",)),
    "segmentation_pos": Task(
        "Word segmentation and part-of-speech tagging",
        "cuts text into words and gives each its part of speech",
        "word",
        ("word-segmentation", "part-of-speech"),
    ),
    "classification": Task("Text classification", "gives a text one label", "text", ()),
    "pretraining": Task("Language modelling", "predicts the tokens of a text", "token", ("pretraining",)),
}


@dataclass
class CardFacts:
    """What a card is made from, beside the model and its tokenizer. Whatever is left out, the card is silent about.

    Args:
        task: As in a recipe: ner, segmentation, pos, segmentation_pos, classification.
        results: Contents of all_results.json: scores under `validation` and `test`, as `evaluate_tagger` gives them;
            `training`, the Trainer's figures; `data`, as `describe_data` gives it; `speed`, as `measure_speed` does;
            `versions`, as `library_versions` does; `sources`, as `name_sources` does; `vectors`, as
            `describe_coverage` does.
        settings: Settings of the training, as `describe_recipe` gives them.
        seed: Seed of the training.
        command: The command that trained the model.
        dataset: Id of the training data on the Hub.
        dataset_config: Configuration of that data.
        base_model: Id on the Hub of the model that was fine-tuned.
        repository: Id on the Hub of the model itself.
        tags: Tags beside those of the task.
        arguments: What only the user can say.
    """

    task: str = "ner"
    results: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    command: str | None = None
    dataset: str | None = None
    dataset_config: str | None = None
    base_model: str | None = None
    repository: str | None = None
    tags: list[str] = field(default_factory=list)
    arguments: CardArguments = field(default_factory=CardArguments)

    @property
    def dataset_name(self) -> str:
        """Name of the data that the model was trained and measured on."""
        return self.arguments.dataset_name or self.dataset or "unnamed data"

    @property
    def language(self) -> list[str]:
        """Languages given, or else told by the data's script."""
        return self.arguments.language or self.results.get("data", {}).get("language", [])


def recipe_facts(recipe: Recipe, results: dict[str, Any]) -> CardFacts:
    """Gather what a card says of a recipe's run.

    Args:
        recipe: What was done.
        results: Contents of all_results.json.

    Returns:
        The facts.
    """
    sources = results.get("sources") or name_sources(recipe)
    arguments = recipe.card
    if recipe.data.dataset in BUILT_IN and arguments.dataset_name is None:
        arguments = replace(arguments, dataset_name=BUILT_IN[recipe.data.dataset])
    results = {**results, "data": show_instead(results.get("data", {}), arguments.examples)}
    folder = "" if recipe.data.dataset else " --data_dir FOLDER"
    file = " --vectors FILE" if recipe.vectors.vectors and not sources.get("vectors") else ""
    return CardFacts(
        task=recipe.data.task,
        results=results,
        settings=describe_recipe(recipe),
        command=f"hf-bilstm train {RECIPE_FILE}{folder}{file}",
        seed=recipe.training.seed,
        dataset=sources["dataset"],
        dataset_config=recipe.data.dataset_config,
        base_model=sources["base_model"],
        repository=recipe.training.hub_model_id,
        arguments=arguments,
    )


def name_sources(recipe: Recipe) -> dict[str, str | None]:
    """Name what of a recipe's origins is on the Hub; to be asked where it runs, for only there are its folders.

    Args:
        recipe: What is done.

    Returns:
        Ids of the `dataset`, the `base_model` and the `vectors`, or None for each.
    """
    return {
        "dataset": hub_id(recipe.data.dataset),
        "base_model": hub_id(recipe.model.model_name_or_path),
        "vectors": hub_id(recipe.vectors.vectors),
    }


def hub_id(name: str | None) -> str | None:
    """Tell the id of a repository from a local folder.

    Args:
        name: What the Auto classes or `load_dataset` take.

    Returns:
        The name if it has the form of an id and is neither a folder here nor the built-in corpus, or else None.
    """
    is_id = name is not None and re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name)
    return name if name is not None and is_id and name not in BUILT_IN and not Path(name).exists() else None
