"""Labels and the states that stand for them: one by one, and over the tokens of a batch.

Letters in shape comments: B rows, T tokens, S states, L labels.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from .configuration_bilstm import BiLstmConfig
from .tagging_schemes import OUTSIDE, StateSpace, state_space

UNOBSERVED = -100


def check_labels(config: BiLstmConfig) -> list[str]:
    """Labels of a configuration, or what is wrong with them or their weights."""
    labels = config.labels
    if config.label2id != {label: index for index, label in enumerate(labels)}:
        raise ValueError(
            f"label2id is not the inverse of id2label: {config.label2id} and {config.id2label}. Pass both, "
            f"label2id={{label: index for index, label in id2label.items()}}."
        )
    if config.label_weights is not None and len(config.label_weights) != len(labels):
        raise ValueError(
            f"label_weights has {len(config.label_weights)} entries for {len(labels)} labels: {labels}. Give one for "
            f"each, in this order."
        )
    return labels


def label_space(config: BiLstmConfig) -> tuple[list[str], StateSpace]:
    """Labels of a tagger's configuration and the states they stand for, or what is wrong with the labels."""
    labels = check_labels(config)
    if config.tagging_scheme != "none" and all(label.startswith("LABEL_") for label in labels):
        raise ValueError(
            f"tagging_scheme={config.tagging_scheme!r} needs the labels' names, but id2label holds the default ones, "
            f"{labels}. Pass id2label={{0: 'O', 1: 'B-X', 2: 'I-X', ...}} and its inverse label2id, or "
            f"tagging_scheme='none'."
        )
    space = state_space(labels, config.tagging_scheme)
    if config.white_space_token_id is not None and (OUTSIDE not in labels or len(labels) == 1):
        raise ValueError(
            f"white_space_token_id is set, so the labels need 'O' for white space and others elsewhere, got {labels}: "
            "add them, or leave white_space_token_id None."
        )
    return labels, space


def structure(space: StateSpace) -> tuple[Any, ...]:
    """What of a state space the weights depend on: all but the names."""
    return space.state_to_label, space.transitions, space.starts, space.ends


def fold(values: Tensor, space: StateSpace, absent: float) -> list[Tensor]:
    """Bring the values of states to the labels they stand for.

    Args:
        values: (B, T, S).
        space: States and their labels.
        absent: What to fill the places of labels with that have fewer states than others.

    Returns:
        As many (B, T, L) as the most states a label has: the values of each label's first state, of its second, ...
    """
    states_of_label: list[list[int]] = [[] for _ in range(max(space.state_to_label) + 1)]
    for state, label in enumerate(space.state_to_label):
        states_of_label[label].append(state)
    missing = values.shape[2]
    columns = list(zip_longest(*states_of_label, fillvalue=missing))
    if any(missing in column for column in columns):
        values = nn.functional.pad(values, (0, 1), value=absent)
    return [values[:, :, torch.tensor(column, device=values.device)] for column in columns]


def observe(labels: Tensor, space: StateSpace) -> Tensor:
    """States that agree with each label: (B, T, S) bool."""
    owners = torch.tensor(space.state_to_label, device=labels.device)
    return (owners == labels[:, :, None]) | (labels == UNOBSERVED)[:, :, None]


def narrow(observed: Tensor, lengths: Tensor, space: StateSpace) -> Tensor:
    """Keep the observed states that some observed state before and after allows: one a fully labelled token."""
    moves = torch.tensor(space.transitions, device=observed.device, dtype=torch.float32)
    starts = torch.tensor(space.starts, device=observed.device)
    ends = torch.tensor(space.ends, device=observed.device)
    positions = torch.arange(observed.shape[1], device=observed.device)
    scores = observed.float()
    from_before = nn.functional.pad(scores[:, :-1] @ moves, (0, 0, 1, 0)) > 0
    to_after = nn.functional.pad(scores[:, 1:] @ moves.T, (0, 0, 0, 1)) > 0
    from_before = torch.where((positions == 0)[:, None], starts, from_before)
    last = (positions == lengths[:, None] - 1)[:, :, None]
    to_after = torch.where(last, ends, to_after)
    return observed & from_before & to_after
