"""What the template of the model card is filled with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TextClassificationPipeline

from hf_bilstm.deploy.repository_name import REPOSITORY
from hf_bilstm.models.pipeline_bilstm import TaggingPipeline
from hf_bilstm.models.tagging_schemes import OUTSIDE, split_tag
from hf_bilstm.training.arguments import read_label_meanings
from hf_bilstm.training.card_facts import TASKS, CardFacts
from hf_bilstm.training.card_measures import library_versions, text_separator
from hf_bilstm.training.card_tables import data_table, label_table, prose, score_table, type_table
from hf_bilstm.training.vectors import format_coverage

_ENOUGH = 30  # gold spans of a type: scores of fewer say little
_MOST_LISTED = 12  # types, in a sentence
# Types whose names mean the same in nearly every corpus.
_WELL_KNOWN = {
    "PER": "a person",
    "PERSON": "a person",
    "LOC": "a place",
    "ORG": "an organisation",
    "GPE": "a country, region or town",
    "TIME": "a time",
    "DATE": "a date",
    "MISC": "another name",
    "WORD": "a word",
}


def describe_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, facts: CardFacts) -> dict[str, Any]:
    """Say what the template needs to know of the model, and of how it is used.

    Args:
        model: The tagger.
        tokenizer: Its tokenizer.
        facts: What the card says.

    Returns:
        Names and values.
    """
    plain = model.config.tagging_scheme == "none"
    labels = list(dict.fromkeys(label if plain else split_tag(label)[1] for label in model.config.labels))
    kinds = labels if plain else [kind for kind in labels if kind and kind != OUTSIDE]
    data = facts.results.get("data", {})
    units = "words" if text_separator(tokenizer) else "characters"
    segments = facts.task == "segmentation" and not plain
    classifies = facts.task == "classification"
    text = next(iter(example_texts(facts)), "...")
    words = next(iter(data.get("examples", [])), ["..."])
    return {
        "config": model.config,
        "task": TASKS.get(facts.task),
        "plain": plain,
        "title": "label" if plain else "type",
        "listed": kinds if not plain and facts.task != "segmentation" and len(kinds) <= _MOST_LISTED else [],
        "label_table": label_table(
            kinds, "label" if plain else "type", _meanings(model, facts), data.get("types", {})
        ),
        "units": units,
        **_describe_size(model, tokenizer, facts),
        "strategy": "none" if plain else "simple",
        "segments": segments,
        "text": text,
        "words": words,
        "classifies": classifies,
        "answer": _answer(
            model, tokenizer, words if units == "words" and not classifies else text, facts.task, segments
        )
        if data
        else [],
    }


def describe_language_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, facts: CardFacts
) -> dict[str, Any]:
    """Say what the template of a pretrained model needs to know.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        facts: What the card says.

    Returns:
        Names and values.
    """
    results = facts.results
    splits = results.get("data", {}).get("splits", {})
    return {
        **_describe_size(model, tokenizer, facts),
        "units": "words" if text_separator(tokenizer) else "characters",
        "validation": results.get("validation", {}),
        "data_table": data_table(splits) if splits else "",
        **_describe_training(facts),
    }


def _describe_size(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, facts: CardFacts) -> dict[str, Any]:
    megabytes = sum(weight.numel() * weight.element_size() for weight in model.parameters()) / 1e6
    return {
        "vocabulary": len(tokenizer) - len(tokenizer.all_special_ids),
        "parameters": model.num_parameters(),
        "megabytes": f"{megabytes:.1f}" if megabytes >= 1 else f"{megabytes:.1g}",
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "repository": facts.repository or REPOSITORY,
    }


def _describe_training(facts: CardFacts) -> dict[str, Any]:
    versions = facts.results.get("versions") or library_versions()
    return {
        "training": facts.results.get("training", {}),
        "settings": yaml.safe_dump(without_folders(facts.settings), allow_unicode=True, sort_keys=False).strip()
        if facts.settings
        else "",
        "versions": ", ".join(f"{library} {number}" for library, number in versions.items()),
    }


def describe_results(model: PreTrainedModel, facts: CardFacts) -> dict[str, Any]:
    """Say what the template needs to know of the data, the training and the scores.

    Args:
        model: The tagger.
        facts: What the card says.

    Returns:
        Names and values.
    """
    results, plain = facts.results, model.config.tagging_scheme == "none"
    scored: dict[str, Any] = {split: results[split] for split in ("validation", "test") if split in results}
    split = next(reversed(scored), "")
    of_split = scored.get(split, {})
    per_type = of_split.get("per_type") or of_split.get("per_tag") or of_split.get("per_label") or {}
    splits = results.get("data", {}).get("splits", {})
    speed = results.get("speed")
    return {
        "speed": speed,
        "machine": _machine(speed) if speed else "",
        "trained_on": splits.get("train", {}).get("sentences") or splits.get("train", {}).get("texts"),
        "coverage": prose(format_coverage(results["vectors"])) if "vectors" in results else "",
        "data_table": data_table(splits) if splits else "",
        "split": split,
        "score_table": score_table(scored, facts.task) if scored else "",
        "type_table": type_table(per_type, "label" if plain else "type") if per_type else "",
        "few": [kind for kind, scores in per_type.items() if scores["number"] < _ENOUGH],
        "enough": _ENOUGH,
        **_describe_training(facts),
    }


def without_folders(value: Any) -> Any:
    """Reduce paths of this machine to the names of files, anywhere in settings."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    if not isinstance(value, str):
        return value
    if PureWindowsPath(value).drive:
        return PureWindowsPath(value).name
    is_local = os.path.isabs(value) or value.startswith(("~", "./", "../")) or ("/" in value and Path(value).exists())
    return Path(value).name if is_local else value


def _machine(speed: Mapping[str, Any]) -> str:
    if speed["device"] != "cpu":
        return f"a {speed['device']} device"
    threads, cores = speed["threads"], speed["cores"]
    return f"{threads} thread{'s'[: threads > 1]} of a machine with {cores} CPU core{'s'[: cores > 1]}"


def _meanings(model: PreTrainedModel, facts: CardFacts) -> dict[str, str]:
    """Gather what types mean; the recipe's word stands over the configuration's, and that over common use."""
    of_tags = getattr(model.config, "tag_meanings", None) or {}  # what a tag set says in English and Chinese
    in_config = {tag: f"{meaning['en']} ({meaning['zh']})" for tag, meaning in of_tags.items()}
    return {**_WELL_KNOWN, **in_config, **read_label_meanings(facts.arguments.label_meanings)}


def example_texts(facts: CardFacts) -> list[str]:
    """Give the example sentences as texts."""
    data = facts.results.get("data", {})
    return [data["separator"].join(tokens) for tokens in data.get("examples", [])]


def _answer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, example: Any, task: str, segments: bool
) -> list[Any]:
    """Answer an example as the card's snippet does, so that the answer it shows is the model's own."""
    if task == "classification":
        found = TextClassificationPipeline(model=model, tokenizer=tokenizer, device=model.device)(example, top_k=3)
        return [{**item, "score": round(item["score"], 4)} for item in found]
    tagger = TaggingPipeline(model=model, tokenizer=tokenizer, device=model.device)
    if segments:
        return [tagger(example, return_words=True)]
    found = tagger(example, is_split_into_words=isinstance(example, list))
    return [{**item, "score": round(item["score"], 4)} for item in found]
