"""Cells run over sentences: one direction, two directions merged, layers.

Sentences are of different lengths. A batch is (T, B, D), the first token of every sentence first, with the longest
sentence in the first row; at each step the rows that have no token left are cut off, so that nothing is ever computed
for padding, and no answer depends on it.

Letters in shape comments: T tokens of the longest sentence, B sentences, N tokens of all sentences, D size of the
input, H units of one direction, 2 the two directions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .cells import CELLS, GruCell, LstmCell

# Tokens whose inputs are projected at once: enough for a matrix product, few enough to stay in a processor's cache.
_BLOCK = 1024


def pad(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Lay the tokens of sentences side by side.

    Args:
        values: (N, ...), the tokens of the first sentence, then those of the second, ...
        lengths: (B,) tokens of each.

    Returns:
        (T, B, ...), 0 where a sentence has no token.
    """
    padded = np.zeros((lengths.max(initial=0), len(lengths), *values.shape[1:]), dtype=values.dtype)
    padded.swapaxes(0, 1)[is_token(lengths).T] = values
    return padded


def unpad(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Undo `pad`: (T, B, ...) to (N, ...)."""
    return values.swapaxes(0, 1)[is_token(lengths).T]


def is_token(lengths: np.ndarray) -> np.ndarray:
    """Where there are tokens, and no padding: (T, B) bool."""
    return np.arange(lengths.max(initial=0))[:, None] < lengths


def reverse(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Turn each sentence round within its own length.

    Args:
        values: (T, B, ...).
        lengths: (B,).

    Returns:
        The same shape, padding left where it was.
    """
    positions = np.arange(len(values))[:, None]
    mirrored = lengths - 1 - positions
    return values[np.where(mirrored >= 0, mirrored, positions), np.arange(len(lengths))]


def rows_at_each_step(lengths: np.ndarray) -> np.ndarray:
    """Count the sentences that have a token at each position.

    Args:
        lengths: (B,) falling.

    Returns:
        (T,) falling.

    Raises:
        ValueError: If a sentence is longer than one before it.
    """
    if np.any(np.diff(lengths) > 0):
        raise ValueError(f"lengths must fall, the longest sentence first, got {lengths}: sort the sentences.")
    return is_token(lengths).sum(axis=1)


def run(cell: LstmCell | GruCell, x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Run a cell from the first token of each sentence to its last; with stacked weights, several cells side by side.

    h[0] = step(x[0], 0), h[1] = step(x[1], h[0]), h[2] = step(x[2], h[1]), ...

    Args:
        cell: The cell; its weights may have leading axes.
        x: (..., T, B, D), with these axes.
        lengths: (B,) falling.

    Returns:
        h of every token, (..., T, B, H), 0 at padding.
    """
    *axes, num_tokens, num_rows, size = x.shape
    outputs = np.zeros((*axes, num_tokens, num_rows, cell.hidden_size), dtype=x.dtype)
    state = (outputs[..., 0, :, :],) * cell.num_states if num_tokens else ()  # all 0
    block = max(1, _BLOCK // max(1, num_rows))
    for position, rows in enumerate(rows_at_each_step(lengths)):
        if position % block == 0:
            tokens = x[..., position : position + block, :, :].reshape(*axes, -1, size)
            projected = cell.project(tokens).reshape(*axes, -1, num_rows, cell.num_gates * cell.hidden_size)
        state = cell.step(projected[..., position % block, :rows, :], *(part[..., :rows, :] for part in state))
        outputs[..., position, :rows, :] = state[0]
    return outputs


def merge(forward: np.ndarray, backward: np.ndarray, mode: str) -> np.ndarray:
    """Make one vector of what the two directions say of a token.

    Args:
        forward: (..., H).
        backward: (..., H).
        mode: "concat", "sum", "mean" or "mul".

    Returns:
        (..., 2H) when concatenating, else (..., H).

    Raises:
        ValueError: If the mode is another.
    """
    if mode == "concat":
        return np.concatenate((forward, backward), axis=-1)
    if mode == "sum":
        return forward + backward
    if mode == "mean":
        return (forward + backward) / 2
    if mode == "mul":
        return forward * backward
    raise ValueError(f"merge_mode must be 'concat', 'sum', 'mean' or 'mul', got {mode!r}.")


class BiRecurrent:
    """A bidirectional layer (Schuster and Paliwal 1997; with LSTM cells Graves and Schmidhuber 2005).

    One cell reads a sentence from its first token to its last, another from its last to its first, so that what the
    two say of a token has seen all of the sentence. They run side by side, as one cell with stacked weights.

    Args:
        forward_weights: weight_ih, weight_hh, bias_ih and bias_hh of the cell that reads forward, as the cell takes
            them.
        backward_weights: The same of the cell that reads backward.
        rnn_type: "lstm" or "gru".
        merge_mode: "concat", "sum", "mean" or "mul".

    Attributes:
        forward_cell: The cell that reads forward.
        backward_cell: The cell that reads backward.

    Raises:
        ValueError: If there is no such cell.
    """

    def __init__(
        self,
        forward_weights: Sequence[np.ndarray],
        backward_weights: Sequence[np.ndarray],
        rnn_type: str = "lstm",
        merge_mode: str = "concat",
    ) -> None:
        if rnn_type not in CELLS:
            raise ValueError(f"rnn_type must be 'lstm' or 'gru', got {rnn_type!r}.")
        cell = CELLS[rnn_type]
        self.forward_cell, self.backward_cell = cell(*forward_weights), cell(*backward_weights)
        self._both_cells = cell(*map(np.stack, zip(forward_weights, backward_weights, strict=True)))
        self.merge_mode = merge_mode

    def directions(self, x: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run both directions.

        Args:
            x: (T, B, D).
            lengths: (B,) falling.

        Returns:
            What the forward cell says at each token and what the backward cell says there, (T, B, H) each.
        """
        both = np.stack((x, reverse(x, lengths)))  # (2, T, B, D)
        forward, backward = run(self._both_cells, both, lengths)
        return forward, reverse(backward, lengths)

    def forward(self, x: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """Run both directions and merge them: one vector a token, many to many.

        Args:
            x: (T, B, D), or (T, D) for one sentence.
            lengths: (B,) falling; all sentences have T tokens when absent.

        Returns:
            (T, B, 2H) when concatenating, else (T, B, H); without B for one sentence.
        """
        if x.ndim == 2:
            return self.forward(x[:, None])[:, 0]
        if lengths is None:
            lengths = np.full(x.shape[1], x.shape[0])
        return merge(*self.directions(x, lengths), self.merge_mode)
