"""The recurrence: padded rows in, hidden states of both directions out, without packing.

Rows are compacted to the right-padded form first; each layer is two one-directional networks, and the backward one
reads every row reversed within its own length, so that no padding is ever read before a real token. Where padding
would be much, sentences are joined end to end, with a place between them at which the networks forget. Either way the
fused kernels (oneDNN, cuDNN) get plain dense batches.

Letters in shape comments: B batch, T tokens, D features, H hidden size of one direction.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn

from .dropout import Dropout
from .packed_weights import PackedWeights, is_plain, run_kernel
from .resetting import mark_resets, run_resetting
from .rows import Rows, arrange
from .side_by_side import run_both


class Compaction:
    """Moves the tokens a mask keeps to the front of their rows, and results back to where they came from.

    Args:
        attention_mask: (B, T), nonzero at real tokens, anywhere in the row.

    Attributes:
        lengths: (B,) number of real tokens of each row.
        num_tokens: T.
    """

    def __init__(self, attention_mask: Tensor) -> None:
        kept = attention_mask.bool()
        self.num_tokens = kept.shape[1]
        self.lengths = kept.sum(dim=1)
        self._order = self._back = None
        if not torch.equal(self.mask, kept):
            # A stable sort of "is padding" lists each row's real positions first, in their order.
            self._order = torch.argsort((~kept).to(torch.int8), dim=1, stable=True)
            self._back = torch.argsort(self._order, dim=1)

    @classmethod
    def of_whole_rows(cls, input_ids: Tensor) -> Compaction:
        """Make one that has nothing to move, of rows (B, T) without padding."""
        compaction = cls.__new__(cls)
        compaction.num_tokens = input_ids.shape[1]
        compaction.lengths = input_ids.new_full(input_ids.shape[:1], compaction.num_tokens)
        compaction._order = compaction._back = None
        return compaction

    @cached_property
    def mask(self) -> Tensor:
        """(B, T) bool, true at the first `lengths` positions."""
        return torch.arange(self.num_tokens, device=self.lengths.device) < self.lengths[:, None]

    def compact(self, values: Tensor) -> Tensor:
        """Reorder (B, T) or (B, T, D) values so that those of real tokens come first in each row."""
        return values if self._order is None else pick(values, self._order)

    def scatter(self, values: Tensor) -> Tensor:
        """Undo `compact`."""
        return values if self._back is None else pick(values, self._back)


def pick(values: Tensor, index: Tensor) -> Tensor:
    """Take tokens of each row.

    Args:
        values: (B, T) or (B, T, D).
        index: (B, N) positions in the same row.

    Returns:
        Values of the tokens at these positions.
    """
    if values.dim() == 2:
        return values.gather(1, index)
    # Whole vectors, many times faster than `gather`, which looks an index up for every number.
    num_rows, num_tokens, size = values.shape
    if num_rows > 1:
        index = index + torch.arange(num_rows, device=values.device)[:, None] * num_tokens
    return values.reshape(-1, size).index_select(0, index.reshape(-1)).view(*index.shape, size)


def reverse(values: Tensor, reversal: Tensor | None) -> Tensor:
    """Reverse each row of (B, T, D) within its own length, by what `Rows.reversal` holds."""
    return values.flip(1) if reversal is None else pick(values, reversal)


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
        self._packed = PackedWeights()
        self.merge_mode = merge_mode

    @property
    def can_reset(self) -> bool:
        """Whether it runs rows of several sentences: not where others have put something in a network's place."""
        return is_plain(self.forward_rnn) and is_plain(self.backward_rnn)

    def forward(self, values: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Run both directions.

        Args:
            values: (B, T, D), rows as they are arranged.
            rows: How.

        Returns:
            What each direction says at each token, having read it, (B, T, H). Where no token stands it is arbitrary,
            and 0 in rows of several sentences.
        """
        rnns = self.forward_rnn, self.backward_rnn
        run = _call
        if rows.between is not None:
            values, run = mark_resets(values, rows.between), run_resetting
        packed = self._packed.lay_out(rnns, values)
        reversal = rows.reversal
        if packed is None:
            forward = run(self.forward_rnn, values)
            return forward, reverse(run(self.backward_rnn, reverse(values, reversal)), reversal)
        start = values.new_zeros(values.shape[0], self.forward_rnn.hidden_size)
        steps = values.transpose(0, 1).contiguous()  # (T, B, D)
        if reversal is None:
            forward, backward = run_both(
                lambda: run_kernel(rnns[0], packed[0], steps, start, backward=False),
                lambda: run_kernel(rnns[1], packed[1], steps, start, backward=True),
            )
            return forward.transpose(0, 1), backward.transpose(0, 1)
        forward = run_kernel(rnns[0], packed[0], steps, start, backward=False).transpose(0, 1)
        # Read from the end, a row with padding would begin with it.
        steps = reverse(values, reversal).transpose(0, 1).contiguous()
        backward = run_kernel(rnns[1], packed[1], steps, start, backward=False).transpose(0, 1)
        return forward, reverse(backward, reversal)

    def ends(self, forward: Tensor, backward: Tensor, lengths: Tensor) -> Tensor:
        """Merge the states in which the directions end: at a row's last token, and at its first.

        Args:
            forward: (B, T, H), at least one token.
            backward: (B, T, H).
            lengths: (B,) real tokens of each row, 0 for a row whose state is arbitrary.

        Returns:
            (B, 1, D), as `merge` gives.
        """
        return self.merge(pick(forward, (lengths - 1).clamp(min=0)[:, None]), backward[:, :1])

    def merge(self, forward: Tensor, backward: Tensor) -> Tensor:
        """Merge what the directions say of the same tokens.

        Args:
            forward: (B, T, H).
            backward: (B, T, H).

        Returns:
            (B, T, 2H) when concatenating, else (B, T, H).
        """
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
        self.hidden_size = hidden_size
        self.output_size = 2 * hidden_size if merge_mode == "concat" else hidden_size
        sizes = [input_size] + [self.output_size] * (num_layers - 1)
        self.layers = nn.ModuleList(BidirectionalLayer(size, hidden_size, rnn_type, merge_mode) for size in sizes)
        self.dropout = Dropout(dropout, variational)

    def arrange(self, values: Tensor, lengths: Tensor) -> Rows:
        """Choose how sentences share rows.

        Args:
            values: (B, T, D), right-padded.
            lengths: (B,) real tokens of each sentence.
        """
        num_rows, num_tokens, _ = values.shape
        can_reset = num_rows > 1 and all(layer.can_reset for layer in self.layers)
        return arrange(lengths, num_tokens, can_reset)

    def forward(self, values: Tensor, rows: Rows) -> tuple[list[Tensor], tuple[Tensor, Tensor]]:
        """Run all layers.

        Args:
            values: (B, T, D), rows as they are arranged.
            rows: How.

        Returns:
            Each layer's output, (B, T, `output_size`), and what each direction of the last one said, (B, T, H),
            without dropout; where no token stands they are arbitrary.
        """
        if values.numel() == 0:  # the kernels refuse empty batches and empty sentences
            nothing = values.new_zeros(*values.shape[:2], self.output_size)
            silence = values.new_zeros(*values.shape[:2], self.hidden_size)
            return [nothing for _ in self.layers], (silence, silence)
        outputs = []
        for layer in self.layers:
            said = layer(values, rows)
            values = self.dropout(layer.merge(*said), rows)  # type: ignore[operator]
            outputs.append(values)
        return outputs, said

    def read(self, values: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Run the first layer, each direction for itself.

        Args:
            values: (B, T, D), rows as they are arranged.
            rows: How.

        Returns:
            What each direction says at each token, having read it, (B, T, H), with dropout.
        """
        if values.numel() == 0:
            nothing = values.new_zeros(*values.shape[:2], self.hidden_size)
            return nothing, nothing
        forward, backward = self.layers[0](values, rows)
        return self.dropout(forward, rows), self.dropout(backward, rows)

    def ends(self, said: tuple[Tensor, Tensor], rows: Rows) -> Tensor:
        """Give the state in which each direction of the last layer ends, with dropout of its own.

        Args:
            said: What the directions said, as `forward` gives it.
            rows: How rows are arranged.

        Returns:
            (B, `output_size`) merged states.
        """
        forward, backward = map(rows.part, said)
        if forward.numel() == 0:
            return forward.new_zeros(forward.shape[0], self.output_size)
        ends: Tensor = self.layers[-1].ends(forward, backward, rows.lengths)  # type: ignore[operator]
        dropped: Tensor = self.dropout(ends, Rows(rows.lengths, 1))
        return dropped[:, 0]


def _call(rnn: nn.Module, values: Tensor) -> Tensor:
    outputs: Tensor = rnn(values)[0]
    return outputs
