"""Pooling: the vectors of a sequence's tokens into one vector, blind to padding.

Letters in shape comments: B batch, T tokens, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Pooling(nn.Module):
    """One vector a sequence; that of a sequence without tokens is 0.

    Args:
        kind: "last", the state in which each direction ends; "mean" and "max" of every feature over the tokens;
            "attention", a mean weighted by what a learned context vector makes of each token: weights
            softmax_t(context . tanh(W h_t + b)) (Yang et al. 2016, "Hierarchical Attention Networks for Document
            Classification", equations 5 to 7).
        size: D.
    """

    def __init__(self, kind: str, size: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "attention":
            self.projection = nn.Linear(size, size)
            self.context = nn.Linear(size, 1, bias=False)

    def forward(self, values: Tensor, ends: Tensor, lengths: Tensor) -> Tensor:
        """Pool the tokens of each row.

        Args:
            values: (B, T, D), right-padded; what stands at padding is not looked at.
            ends: (B, D), the state in which each direction ends, merged.
            lengths: (B,) real tokens of each row.

        Returns:
            (B, D).
        """
        num_tokens = values.shape[1]
        if num_tokens == 0:
            return torch.zeros_like(ends)
        if self.kind == "last":
            pooled = ends
        elif self.kind == "max":
            pooled = values.masked_fill(~_mask(lengths, num_tokens), float("-inf")).amax(dim=1)
        else:
            weights = self.weights(values, lengths)  # (B, T, 1)
            # Padding may hold anything, and 0 times infinity is no 0.
            pooled = (weights * values.masked_fill(~_mask(lengths, num_tokens), 0.0)).sum(dim=1)
        return pooled.masked_fill((lengths == 0)[:, None], 0.0)

    def weights(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Weight of each token in its row's mean.

        Args:
            values: (B, T, D), right-padded.
            lengths: (B,) real tokens of each row.

        Returns:
            (B, T, 1), 0 at padding.
        """
        mask = _mask(lengths, values.shape[1])
        if self.kind == "attention":
            scores = self.context(torch.tanh(self.projection(values)))  # (B, T, 1)
            return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim=1)
        return mask.to(values.dtype) / lengths.clamp(min=1)[:, None, None]


def _mask(lengths: Tensor, num_tokens: int) -> Tensor:
    """True at real tokens, (B, T, 1)."""
    return (torch.arange(num_tokens, device=lengths.device) < lengths[:, None])[:, :, None]
