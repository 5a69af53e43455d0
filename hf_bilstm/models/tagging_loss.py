"""The tagger's loss, and the labels it is of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .configuration_bilstm import BiLstmConfig
from .crf import LinearChainCrf
from .inputs import to_integers
from .label_states import UNOBSERVED, narrow, observe
from .partition import FORBIDDEN
from .recurrence import Compaction
from .tagging_schemes import OUTSIDE, split_tag


def compact_labels(labels: Tensor, compaction: Compaction, white: Tensor, config: BiLstmConfig) -> Tensor:
    """Compact labels, drop those of padding, and let an `I-X` that continues nothing start its span.

    Args:
        labels: (B, T) label ids as the caller gave them, -100 where unknown.
        compaction: Of the ids they belong to.
        white: (B, T') bool, compacted: where white space stands that must be `O`.
        config: The model's configuration.

    Returns:
        (B, T') label ids, int64, -100 where unknown and at padding.

    Raises:
        ValueError: If labels have a wrong shape, are out of range, or contradict white space.
    """
    if labels.shape != compaction.mask.shape:
        raise ValueError(
            f"labels must have the shape {tuple(compaction.mask.shape)} of input_ids, got {tuple(labels.shape)}."
        )
    labels = compaction.compact(to_integers(labels, "labels")).masked_fill(~compaction.mask, UNOBSERVED)
    if labels.numel() and not torch.compiler.is_compiling():
        _check_range(labels, config.labels)
        _check_white_space(labels, white, config)
    if config.tagging_scheme == "none":
        return labels
    starter = torch.tensor(_starters(config.labels), device=labels.device)
    began = torch.where(labels == UNOBSERVED, UNOBSERVED, starter[labels.clamp(min=0)])  # B-X for B-X and I-X
    before = began.masked_fill(white, UNOBSERVED - 1)  # nothing goes on after white space,
    before = nn.functional.pad(before[:, :-1], (1, 0), value=UNOBSERVED - 1)  # and nothing stands before the first
    continues = (before == began) | (before == UNOBSERVED)
    return torch.where(continues, labels, began)


def _starters(labels: list[str]) -> list[int]:
    """Which label starts a span of each label's type; `O` and `B-X` are their own."""
    return [
        labels.index("B" + label[1:]) if split_tag(label)[0] == "I" else index for index, label in enumerate(labels)
    ]


def _check_range(labels: Tensor, names: list[str]) -> None:
    highest = int(labels.max())
    lowest = int(labels.masked_fill(labels == UNOBSERVED, 0).min())
    if lowest < 0 or highest >= len(names):
        wrong = lowest if lowest < 0 else highest
        raise ValueError(
            f"labels hold {wrong}, but the model has the labels 0 to {len(names) - 1} ({', '.join(names)}): use its "
            f"config.label2id, and -100 where the label is unknown."
        )


def _check_white_space(labels: Tensor, white: Tensor, config: BiLstmConfig) -> None:
    if config.white_space_token_id is None:
        return
    outside = config.labels.index(OUTSIDE)
    contradicts = (labels != UNOBSERVED) & ((labels == outside) != white)
    if bool(contradicts.any()):
        raise ValueError(
            f"labels must be 'O' at white space (token {config.white_space_token_id}), and only there: correct them, "
            f"label those tokens -100, or leave white_space_token_id None."
        )


def tagging_loss(
    emissions: Tensor,
    lengths: Tensor,
    labels: Tensor,
    crf: LinearChainCrf,
    config: BiLstmConfig,
    num_items_in_batch: Tensor | int | None,
) -> Tensor:
    """Negative log-likelihood of the labels, per labelled token.

    With label weights w, the CRF's rival paths have their score raised by log w(gold label) at every token where
    they disagree with it: `-log(e^score(gold) / sum_y e^score(y) prod_{t: y_t wrong} w(gold_t))`, softmax margin
    of Gimpel and Smith (2010); the softmax head weighs each token's cross-entropy by w(gold label).

    Args:
        emissions: (B, T, S) float32, forbidden states marked.
        lengths: (B,) real tokens of each row.
        labels: (B, T) from `compact_labels`.
        crf: The model's CRF.
        config: The model's configuration.
        num_items_in_batch: What to divide the sum by; the number of labelled tokens when None.

    Returns:
        Scalar, float32; 0 if nothing is labelled.
    """
    known = labels != UNOBSERVED
    weights = None
    if config.label_weights is not None:
        table = torch.tensor(config.label_weights, dtype=torch.float32, device=labels.device)
        weights = torch.where(known, table[labels.clamp(min=0)], 1.0)  # (B, T)
    if config.use_crf:
        costs = None
        if weights is not None:
            costs = torch.where(observe(labels, crf.space), 0.0, weights.log().clamp(min=FORBIDDEN)[:, :, None])
        paths = crf.only_paths(labels, lengths)
        if paths is None:
            total = crf.log_likelihood(emissions, lengths, observe(labels, crf.space), costs).sum()
        else:
            total = crf.path_log_likelihood(emissions, lengths, paths, costs).sum()
    else:
        possible = observe(labels, crf.space) & (emissions > FORBIDDEN / 2)
        agreeing = emissions.masked_fill(~narrow(possible, lengths, crf.space), FORBIDDEN)
        by_token = agreeing.logsumexp(dim=2) - emissions.logsumexp(dim=2)  # (B, T)
        total = (by_token if weights is None else by_token * weights).masked_fill(~known, 0.0).sum()
    if num_items_in_batch is None:
        num_items_in_batch = known.sum()
    # Nothing may be labelled at all: the loss is then 0.
    num_items = torch.as_tensor(num_items_in_batch, device=total.device).clamp(min=1)
    return (-total / num_items).float()
