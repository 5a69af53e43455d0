"""The recurrence: padded rows in, hidden states of both directions out, without packing.

Rows are compacted to the right-padded form first; each layer is two one-directional networks, and the backward one
reads every row reversed within its own length, so that no padding is ever read before a real token. This gives the
fused kernels (oneDNN, cuDNN) plain dense batches.

Letters in shape comments: B batch, T tokens, D features, H hidden size of one direction.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Compaction:
    """Moves the tokens a mask keeps to the front of their rows, and results back to where they came from.

    Args:
        attention_mask: (B, T), nonzero at real tokens, anywhere in the row.

    Attributes:
        lengths: (B,) number of real tokens of each row.
        mask: (B, T) bool, true at the first `lengths` positions.
    """

    def __init__(self, attention_mask: Tensor) -> None:
        kept = attention_mask.bool()
        num_tokens = kept.shape[1]
        self.lengths = kept.sum(dim=1)
        self.mask = torch.arange(num_tokens, device=kept.device) < self.lengths[:, None]
        self._order = self._back = None
        if not torch.equal(self.mask, kept):
            # A stable sort of "is padding" lists each row's real positions first, in their order.
            self._order = torch.argsort((~kept).to(torch.int8), dim=1, stable=True)
            self._back = torch.argsort(self._order, dim=1)

    def compact(self, values: Tensor) -> Tensor:
        """Reorder (B, T) or (B, T, D) values so that those of real tokens come first in each row."""
        return _gather(values, self._order)

    def scatter(self, values: Tensor) -> Tensor:
        """Undo `compact`."""
        return _gather(values, self._back)


def _gather(values: Tensor, index: Tensor | None) -> Tensor:
    if index is None:
        return values
    if values.dim() == 2:
        return values.gather(1, index)
    return values.gather(1, index[:, :, None].expand(-1, -1, values.shape[2]))


def reversal_index(lengths: Tensor, num_tokens: int) -> Tensor:
    """Index that reverses each row within its own length and leaves its padding in place.

    Args:
        lengths: (B,) real tokens of each right-padded row.
        num_tokens: T.

    Returns:
        (B, T) positions for `Tensor.gather` along dimension 1; the index is its own inverse.
    """
    positions = torch.arange(num_tokens, device=lengths.device)
    mirrored = lengths[:, None] - 1 - positions
    return torch.where(mirrored >= 0, mirrored, positions)


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

    def forward(self, values: Tensor) -> Tensor:
        """Drop elements of (B, T, D) values while training."""
        if not self.training or self.rate == 0:
            return values
        if not self.variational:
            return nn.functional.dropout(values, self.rate)
        draw = values.new_ones(values.shape[0], 1, values.shape[2])
        return values * nn.functional.dropout(draw, self.rate)

    def extra_repr(self) -> str:
        """Name the arguments in the module's printed form."""
        return f"rate={self.rate}, variational={self.variational}"


class BidirectionalLayer(nn.Module):
    """One layer: a network reading forward, one reading backward, and their outputs merged.

    Args:
        input_size: D, size of the input vectors.
        hidden_size: H, units of each direction.
        rnn_type: "lstm" (Hochreiter and Schmidhuber 1997) or "gru" (Cho et al. 2014).
        merge_mode: "concat", "sum", "mean" or "mul" (Schuster and Paliwal 1997 for two directions).
    """

    def __init__(self, input_size: int, hidden_size: int, rnn_type: str, merge_mode: str) -> None:
        super().__init__()
        rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[rnn_type]
        self.forward_rnn = rnn(input_size, hidden_size, batch_first=True)
        self.backward_rnn = rnn(input_size, hidden_size, batch_first=True)
        self.merge_mode = merge_mode

    def forward(self, values: Tensor, reversal: Tensor) -> Tensor:
        """Run both directions over right-padded rows.

        Args:
            values: (B, T, D).
            reversal: (B, T) of `reversal_index`.

        Returns:
            (B, T, 2H) when concatenating, else (B, T, H). What stands at padding is arbitrary.
        """
        forward, _ = self.forward_rnn(values)  # (B, T, H)
        backward, _ = self.backward_rnn(_gather(values, reversal))  # (B, T, H), each row from its end
        backward = _gather(backward, reversal)
        if self.merge_mode == "concat":
            return torch.cat((forward, backward), dim=-1)
        if self.merge_mode == "mul":
            return forward * backward
        merged = forward + backward
        return merged / 2 if self.merge_mode == "mean" else merged


class BiRecurrentEncoder(nn.Module):
    """A stack of bidirectional layers with dropout after each.

    Args:
        input_size: D, size of the input vectors.
        hidden_size: H, units of each direction of each layer.
        num_layers: Number of layers.
        rnn_type: "lstm" or "gru".
        merge_mode: "concat", "sum", "mean" or "mul".
        dropout: Rate of dropout on every layer's output.
        variational: Whether one draw of dropout serves all tokens of a sentence.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        rnn_type: str = "lstm",
        merge_mode: str = "concat",
        dropout: float = 0.0,
        variational: bool = False,
    ) -> None:
        super().__init__()
        self.output_size = 2 * hidden_size if merge_mode == "concat" else hidden_size
        sizes = [input_size] + [self.output_size] * (num_layers - 1)
        self.layers = nn.ModuleList(BidirectionalLayer(size, hidden_size, rnn_type, merge_mode) for size in sizes)
        self.dropout = Dropout(dropout, variational)

    def forward(self, values: Tensor, lengths: Tensor) -> list[Tensor]:
        """Run all layers.

        Args:
            values: (B, T, D), right-padded.
            lengths: (B,) real tokens of each row.

        Returns:
            Each layer's output, (B, T, `output_size`); what stands at padding is arbitrary.
        """
        if values.numel() == 0:  # the kernels refuse empty batches and empty sentences
            return [values.new_zeros(*values.shape[:2], self.output_size) for _ in self.layers]
        reversal = reversal_index(lengths, values.shape[1])
        outputs = []
        for layer in self.layers:
            values = self.dropout(layer(values, reversal))
            outputs.append(values)
        return outputs
