"""What `hf-bilstm train --help` prints."""

from __future__ import annotations

import textwrap
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from transformers import TrainingArguments

from hf_bilstm.training.arguments import CardArguments, DataArguments, ModelArguments, RunArguments
from hf_bilstm.training.vectors import VectorArguments

_TRAIN_GROUPS: dict[str, Any] = {
    "data": DataArguments,
    "model (defaults are those of BiLstmConfig)": ModelArguments,
    "vectors": VectorArguments,
    "run": RunArguments,
    "card": CardArguments,
}


def format_help() -> str:
    """List the keys of a recipe by group, each with what it means.

    Returns:
        Lines of text.
    """
    return _format("train", "Train a tagger by a recipe", _TRAIN_GROUPS)


def format_pretraining_help() -> str:
    """List the keys of a recipe of pretraining, as `format_help` does.

    Returns:
        Lines of text.
    """
    from hf_bilstm.training.pretraining import TextArguments

    groups = {name: group for name, group in _TRAIN_GROUPS.items() if name != "vectors"}
    return _format("pretrain", "Train language models on raw text by a recipe", {**groups, "data": TextArguments})


def _format(command: str, purpose: str, groups: dict[str, Any]) -> str:
    lines = [
        f"usage: hf-bilstm {command} CONFIG.yaml [--key value ...]",
        "",
        f"{purpose}, a YAML file of keys and values; keys given here stand over the file's.",
    ]
    for title, group in groups.items():
        lines += ["", f"{title}:"]
        kinds = get_type_hints(group)
        for field in fields(group):
            text = field.metadata["help"]
            choices = [choice for choice in _choices(kinds[field.name]) if choice not in text]
            if choices:
                text = f"{text.rstrip('.')}: {', '.join(choices)}."
            lines += _entry(f"--{field.name}", text)
    names = ", ".join(field.name for field in fields(TrainingArguments) if field.init)
    lines += ["", "training (all of transformers.TrainingArguments, explained in its documentation):"]
    lines += textwrap.wrap(names, 110, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(lines)


def _entry(name: str, text: str) -> list[str]:
    first, *rest = textwrap.wrap(text, 80)
    return [f"  {name:32}{first}", *(" " * 34 + line for line in rest)]


def _choices(kind: Any) -> list[str]:
    """Words that a field takes, if it takes only some."""
    choices = get_args(kind)
    if choices and all(isinstance(choice, str) for choice in choices):
        return list(choices)
    return [word for part in choices for word in _choices(part)]
