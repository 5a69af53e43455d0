"""The classifier's loss: of one label a text, of any number of labels, or of numbers."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from .configuration_bilstm import BiLstmConfig
from .label_states import UNOBSERVED

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]

SINGLE_LABEL: ProblemType = "single_label_classification"
MULTI_LABEL: ProblemType = "multi_label_classification"
REGRESSION: ProblemType = "regression"


def tell_problem_type(config: BiLstmConfig, labels: Tensor) -> ProblemType:
    """Tell what kind of labels a model is trained on, as the models of transformers do.

    Args:
        config: The model's configuration.
        labels: What it is given.

    Returns:
        `config.problem_type`; without it "regression" for one label, "single_label_classification" for whole numbers
        and "multi_label_classification" for others.
    """
    if config.problem_type is not None:
        return config.problem_type
    if len(config.labels) == 1:
        return REGRESSION
    return MULTI_LABEL if labels.is_floating_point() else SINGLE_LABEL


def classification_loss(
    logits: Tensor, labels: Tensor, config: BiLstmConfig, num_items_in_batch: Tensor | int | None
) -> Tensor:
    """Mean loss of the labels that are known: cross-entropy, binary cross-entropy or squared error.

    Args:
        logits: (B, L) float32.
        labels: (B,) label ids; with "multi_label_classification" (B, L) of 0 to 1; with "regression" (B, L) numbers,
            or (B,) where L is 1. What is -100 is unknown.
        config: The model's configuration; its `problem_type` is set. `label_weights` multiply each label's part.
        num_items_in_batch: What to divide the sum by; the number of known labels when None.

    Returns:
        Scalar, float32; 0 if nothing is known.

    Raises:
        ValueError: If the labels have a wrong shape or kind, or are out of range.
    """
    num_labels = logits.shape[1]
    single = config.problem_type == SINGLE_LABEL
    if config.problem_type == REGRESSION and num_labels == 1:
        labels = labels.view(-1, 1) if labels.dim() == 1 else labels
    expected = tuple(logits.shape[:1] if single else logits.shape)
    if tuple(labels.shape) != expected:
        raise ValueError(
            f"labels must have shape {expected} with problem_type={config.problem_type!r} and {num_labels} labels, "
            f"got {tuple(labels.shape)}: pass such labels, or set config.problem_type, which is one of "
            f"{', '.join(get_args(ProblemType))}."
        )
    known = labels != UNOBSERVED
    if not torch.compiler.is_compiling():
        _check_values(labels[known], config)
    weights = logits.new_tensor(config.label_weights if config.label_weights is not None else [1.0] * num_labels)
    if single:
        given = labels.long().masked_fill(~known, 0)
        losses = nn.functional.cross_entropy(logits, given, reduction="none") * weights[given]
    else:
        given = labels.to(logits.dtype).masked_fill(~known, 0.0)
        loss: Any = nn.functional.binary_cross_entropy_with_logits
        if config.problem_type == REGRESSION:
            loss = nn.functional.mse_loss
        losses = loss(logits, given, reduction="none") * weights
    if num_items_in_batch is None:
        num_items_in_batch = known.sum()
    num_items = torch.as_tensor(num_items_in_batch, device=losses.device).clamp(min=1)
    return losses.masked_fill(~known, 0.0).sum() / num_items


def _check_values(known: Tensor, config: BiLstmConfig) -> None:
    """Check labels that are not -100."""
    if not known.numel():
        return
    if config.problem_type == SINGLE_LABEL:
        if known.is_floating_point():
            raise ValueError(
                f"labels must be integers with problem_type={SINGLE_LABEL!r}, got {known.dtype}: pass labels.long() "
                f"if they are label ids; set config.problem_type to {MULTI_LABEL!r} or {REGRESSION!r} if they are not."
            )
        lowest, highest = (int(label) for label in known.aminmax())
        if lowest < 0 or highest >= len(config.labels):
            raise ValueError(
                f"labels hold {lowest if lowest < 0 else highest}, but the model has the labels 0 to "
                f"{len(config.labels) - 1} ({', '.join(config.labels)}): use its config.label2id, and -100 where the "
                f"label is unknown."
            )
    elif config.problem_type == MULTI_LABEL and not bool(((known >= 0) & (known <= 1)).all()):
        raise ValueError(
            f"labels must be 0 to 1 with problem_type={MULTI_LABEL!r} (1 where a text has the label), or -100 where "
            f"that is unknown; got {known.min().item():g} to {known.max().item():g}."
        )
