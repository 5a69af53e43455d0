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
    if attention_mask is not None and attention_mask.shape != input_ids.shape:
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
    if attention_mask is None:
        return Compaction.of_whole_rows(input_ids), input_ids
    compaction = Compaction(attention_mask)
    return compaction, compaction.compact(input_ids)


def compact_characters(char_input_ids: Tensor | None, compaction: Compaction, vocab_size: int) -> Tensor:
    """Bring the characters of words to the form the model computes with.

    Args:
        char_input_ids: (B, T, C) character ids, 0 after the last character of a word.
        compaction: That of the words.
        vocab_size: Number of character ids the model knows.

    Returns:
        (B, T', C) int64, right-padded.

    Raises:
        ValueError: If they are missing, have a wrong shape, or an id is out of range.
    """
    shape = tuple(compaction.mask.shape)
    if char_input_ids is None:
        raise ValueError(
            "char_input_ids is missing: this model looks into words. Call it with all that its tokenizer gives, "
            "model(**tokenizer(text)). A tokenizer that gives none is of a generic class: import hf_bilstm first, "
            "or pass trust_remote_code=True."
        )
    if char_input_ids.numel() == 0 and 0 in shape:  # tensors made of lists without a token have no third dimension
        char_input_ids = char_input_ids.new_zeros(*shape, 1)
    if char_input_ids.dim() != 3 or tuple(char_input_ids.shape[:2]) != shape or not char_input_ids.shape[2]:
        raise ValueError(
            f"char_input_ids must have shape (batch, tokens, characters) with input_ids {shape}, got "
            f"{tuple(char_input_ids.shape)}."
        )
    char_input_ids = to_integers(char_input_ids, "char_input_ids")
    if char_input_ids.numel() and not torch.compiler.is_compiling():
        lowest, highest = (int(x) for x in char_input_ids.aminmax())
        if lowest < 0 or highest >= vocab_size:
            wrong = lowest if lowest < 0 else highest
            raise ValueError(
                f"char_input_ids hold {wrong}, but the model knows the character ids 0 to {vocab_size - 1}: use the "
                f"tokenizer saved with the model."
            )
    return compaction.compact(char_input_ids)
