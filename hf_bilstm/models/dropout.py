"""Dropout of single elements, or of the same ones all through a sentence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .rows import Rows


def drop(values: Tensor, rate: float) -> Tensor:
    """Set elements to zero at random, and scale the others up so that the mean stays.

    On a CPU each draw of 64 bits serves four elements, where PyTorch's own dropout draws for each one, so that
    the rate is a multiple of 1/65536.

    Args:
        values: Of any shape.
        rate: Share of elements set to zero, 0 to 1.

    Returns:
        Values of the same shape.
    """
    if values.device.type != "cpu" or rate == 1:
        return nn.functional.dropout(values, rate)
    num_dropped = min(round(rate * 2**16), 2**16 - 1)
    draws = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.int16)[: values.numel()].view(values.shape) >= num_dropped - 2**15
    return values * kept.to(values.dtype).mul_(2**16 / (2**16 - num_dropped))


class Dropout(nn.Module):
    """Dropout of single elements, or of the same elements in every token of a sentence.

    Args:
        rate: Share of elements set to zero in training.
        variational: Whether one draw serves all tokens of a sentence (Gal and Ghahramani 2016, arXiv:1512.05287).
    """

    def __init__(self, rate: float, variational: bool) -> None:
        super().__init__()
        self.rate = rate
        self.variational = variational

    def forward(self, values: Tensor, rows: Rows) -> Tensor:
        """Drop elements while training.

        Args:
            values: (R, L, D), sentences as they are arranged in rows.
            rows: How.

        Returns:
            (R, L, D).
        """
        if not self.training or self.rate == 0:
            return values
        if self.variational:
            return values * rows.spread(drop(values.new_ones(len(rows.lengths), values.shape[2]), self.rate))
        return drop(values, self.rate)

    def extra_repr(self) -> str:
        """Name the arguments in the module's printed form."""
        return f"rate={self.rate}, variational={self.variational}"
