"""Trained models, read back with the head that they were saved with; without what training needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from hf_bilstm.models.modeling_sequence_classification import BiLstmForSequenceClassification


def is_classifier(config: PreTrainedConfig) -> bool:
    """Tell whether a checkpoint's configuration says that it was saved from a classifier."""
    return BiLstmForSequenceClassification.__name__ in (config.architectures or [])


def load_model(name: str | Path) -> PreTrainedModel:
    """Load a model with the head that its checkpoint was saved with.

    Args:
        name: Folder or Hub id.

    Returns:
        A classifier or, if the checkpoint says nothing else, a tagger.
    """
    classifies = is_classifier(AutoConfig.from_pretrained(name))
    auto_class: Any = AutoModelForSequenceClassification if classifies else AutoModelForTokenClassification
    return auto_class.from_pretrained(name)
