"""Checks of what a model is called with."""

from __future__ import annotations

import torch
from torch import Tensor

from .recurrence import Compaction


def to_integers(ids: Tensor, name: str) -> Tensor:
    """Make ids of any whole-number type long.

    Args:
        ids: Any shape.
        name: What an error calls them.

    Returns:
        The same, int64.

    Raises:
        ValueError: If they are floating-point numbers.
    """
    if ids.is_floating_point() and ids.numel():  # an empty text, as a tensor made from a list, is of this type too
        raise ValueError(f"{name} must be integers, got {ids.dtype}: pass {name}.long() if they are whole numbers.")
    return ids.long()


def compact_inputs(
    input_ids: Tensor | None, attention_mask: Tensor | None, vocab_size: int
) -> tuple[Compaction, Tensor]:
    """Bring ids and mask to the form the model computes with.

    Args:
        input_ids: (B, T) token ids.
        attention_mask: (B, T), 1 at tokens and 0 at padding, wherever the padding stands; all 1 when absent.
        vocab_size: Number of ids the model knows.

    Returns:
        The compaction, and (B, T') ids that are right-padded.

    Raises:
        ValueError: If ids or mask have a wrong shape, or an id is outside the vocabulary.
    """
    if input_ids is None:
        raise ValueError("input_ids is missing: call the model with a tokenizer's output, model(**tokenizer(text)).")
    if input_ids.dim() != 2:
        raise ValueError(
            f"input_ids must have shape (batch, tokens), got {tuple(input_ids.shape)}; for one text: input_ids[None]."
        )
    input_ids = to_integers(input_ids, "input_ids")
    if attention_mask is None:
        attention_mask = torch.ones_like(input_ids)
    if attention_mask.shape != input_ids.shape:
        raise ValueError(
            f"attention_mask must have the shape of input_ids, {tuple(input_ids.shape)}, "
            f"got {tuple(attention_mask.shape)}."
        )
    if input_ids.numel() and not torch.compiler.is_compiling():
        lowest, highest = (int(x) for x in input_ids.aminmax())
        if lowest < 0 or highest >= vocab_size:
            wrong = lowest if lowest < 0 else highest
            raise ValueError(
                f"input_ids hold {wrong}, but the model knows the ids 0 to {vocab_size - 1}: use the tokenizer saved "
                f"with the model, or resize_token_embeddings(len(tokenizer))."
            )
    compaction = Compaction(attention_mask)
    return compaction, compaction.compact(input_ids)
