"""Labels, the states that a tagger reasons in, and which state may follow which.

A span is a stretch of tokens with one label. Outside stand the labels `O`, `B-X` (a span of type X begins) and `I-X`
(it goes on). Inside, under "bioes", four states tell a span's first token (B), its last (E), those between (I) and a
single token (S) apart: `B-X` stands for B and S, `I-X` for I and E. Under "iob2" states are the labels; under "none"
they are plain names, each a single token's.

Letters in shape comments: S states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

OUTSIDE = "O"


class States(NamedTuple):
    """The S states of a tagger.

    Args:
        prefixes: Of each "B", "I", "E" or "S", its place in a span; "" for `O`. Plain names are all "S".
        types: Of each the type of its span.
        labels: (S,) id of the label that each stands for.
        starts: (S,) bool, whether a sentence, and anything new, may start with it.
        ends: (S,) bool, whether a sentence may end with it.
        moves: (S, S) bool, whether the state of the column may follow that of the row.
    """

    prefixes: list[str]
    types: list[str]
    labels: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    moves: np.ndarray


def derive_states(labels: Sequence[str], scheme: str) -> States:
    """Derive the states from the labels.

    Args:
        labels: In the order of their ids.
        scheme: "none", "iob2" or "bioes".

    Returns:
        The states, in the order of a checkpoint's weights.

    Raises:
        ValueError: If there is no such scheme, or a label is none of its.
    """
    if scheme not in ("none", "iob2", "bioes"):
        raise ValueError(f"tagging_scheme must be 'none', 'iob2' or 'bioes', got {scheme!r}.")
    rows: list[tuple[str, str, int]] = []  # prefix, type, label
    for label_id, label in enumerate(labels):
        prefix, _, kind = label.partition("-")
        if scheme == "none":
            rows.append(("S", label, label_id))
        elif label == OUTSIDE:
            rows.append(("", label, label_id))
        elif prefix not in ("B", "I"):
            raise ValueError(f"id2label holds {label!r}, but tagging_scheme={scheme!r} takes O, B-X and I-X.")
        elif scheme == "iob2":
            rows.append((prefix, kind, label_id))
        elif prefix == "B":
            goes_on = f"I-{kind}" if kind else "I"
            rows += [("B", kind, label_id)] * (goes_on in labels) + [("S", kind, label_id)]
        else:
            rows += [("I", kind, label_id), ("E", kind, label_id)]
    prefixes = [prefix for prefix, _, _ in rows]
    types = [kind for _, kind, _ in rows]
    starts = np.array([prefix in ("", "B", "S") for prefix in prefixes])
    opens = np.array([prefix in ("B", "I") for prefix in prefixes])  # the span may go on, under bioes it must
    ends = np.array([scheme == "iob2" or prefix not in ("B", "I") for prefix in prefixes])
    same_type = np.array([[one == other for other in types] for one in types])
    moves = np.where(starts, ends[:, None], opens[:, None] & same_type)
    return States(prefixes, types, np.array([label for _, _, label in rows]), starts, ends, moves)
