"""Encoded sentences into batches, without a step of Python for each token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hf_bilstm.data.encoding import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def make_collator(
    tokenizer: PreTrainedTokenizerBase,
) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, torch.Tensor]]:
    """Make a `data_collator` for tagged sentences: `DataCollatorForTokenClassification`, but quicker.

    Args:
        tokenizer: Its padding token and padding side count.

    Returns:
        A function from rows, as `encode_dataset` gives them, to a batch padded to its longest row: (B, T) `input_ids`,
        `attention_mask` and `labels` (-100 at padding), and (B, T, C) `char_input_ids` if the rows have them.
    """
    fills = {"input_ids": tokenizer.pad_token_id or 0, "labels": IGNORED}
    return partial(_collate, fills=fills, padding_side=tokenizer.padding_side)


def _collate(
    rows: Sequence[Mapping[str, Any]], fills: Mapping[str, int], padding_side: str
) -> dict[str, torch.Tensor]:
    lengths = np.array([len(row["input_ids"]) for row in rows])
    places = np.arange(lengths.max())
    if padding_side == "left":
        places = places[::-1]
    real = places < lengths[:, None]  # (B, T)
    batch = {"attention_mask": torch.from_numpy(real.astype(np.int64))}
    for name in rows[0]:
        given = [row[name] for row in rows if len(row[name])]
        joined = np.concatenate(given) if given else np.zeros(0, dtype=np.int64)  # (tokens of the batch, ...)
        padded = np.full((*real.shape, *joined.shape[1:]), fills.get(name, 0), dtype=joined.dtype)
        padded[real] = joined
        batch[name] = torch.from_numpy(padded)
    return batch
