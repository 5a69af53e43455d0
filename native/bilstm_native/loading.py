"""A model of either kind, by what its config.json says it is."""

from __future__ import annotations

from pathlib import Path

from .checkpoint import find, read_config
from .classifier import NativeClassifier
from .tagger import NativeTagger


def load(name: str | Path, revision: str | None = None) -> NativeTagger | NativeClassifier:
    """Load a tagger or a classifier that hf_bilstm has saved.

    Args:
        name: Folder, or repository of the Hub.
        revision: Branch, tag or commit of the repository.

    Returns:
        The model.

    Raises:
        OSError: If a file is missing or damaged, or the Hub cannot be reached.
        ValueError: If it is no BiLSTM tagger or classifier, lacks weights, or has a feature that is not known here.
    """
    place = find(name, revision)
    classifies = read_config(place).get("architectures") == ["BiLstmForSequenceClassification"]
    return (NativeClassifier if classifies else NativeTagger).from_pretrained(place)
