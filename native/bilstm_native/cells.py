"""One step of a recurrent network: the LSTM cell and the GRU cell, an equation a line.

A cell reads a token's vector x and what it remembers of the tokens before, and gives what it remembers now. `forward`
is that step. `project` and `step` are its two halves, which a run over many tokens calls apart: what a gate takes from
x does not wait for the token before, so that it is computed for all tokens in one matrix product.

Letters in shape comments: D size of the input, H units of the cell. Inputs and states may have any leading axes (rows
of a batch); weights may have them too (the two directions of a layer).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Squash numbers into (0, 1): 1 / (1 + exp(-x)).

    Written as (1 + tanh(x / 2)) / 2, which is the same number and overflows for no x.

    Args:
        x: Any shape.

    Returns:
        The same shape.
    """
    return 0.5 * (1 + np.tanh(0.5 * x))


def _transpose(weight: np.ndarray) -> np.ndarray:
    """Lay a matrix out as rows of vectors are multiplied by it: (..., K, D) to (..., D, K)."""
    return np.ascontiguousarray(weight.swapaxes(-1, -2))


class Gates(NamedTuple):
    """What an LSTM cell decides at a token, each (..., H).

    Args:
        input: Share of the candidate that is written, 0 to 1.
        forget: Share of the old cell that is kept, 0 to 1.
        candidate: What would be written, -1 to 1.
        output: Share of the cell that is shown, 0 to 1.
    """

    input: np.ndarray
    forget: np.ndarray
    candidate: np.ndarray
    output: np.ndarray


class LstmCell:
    """Long short-term memory (Hochreiter and Schmidhuber 1997) with a forget gate (Gers, Schmidhuber, Cummins 2000).

    The weights of input gate i, forget gate f, candidate g and output gate o stand one below the other, as in PyTorch.

    Args:
        weight_ih: (..., 4H, D), W in the equations.
        weight_hh: (..., 4H, H), U.
        bias_ih: (..., 4H).
        bias_hh: (..., 4H). Only the sum of the two counts, b.
    """

    num_gates = 4
    num_states = 2  # h and c

    def __init__(self, weight_ih: np.ndarray, weight_hh: np.ndarray, bias_ih: np.ndarray, bias_hh: np.ndarray) -> None:
        self.weight_ih = _transpose(weight_ih)  # (..., D, 4H)
        self.weight_hh = _transpose(weight_hh)  # (..., H, 4H)
        self.bias = (bias_ih + bias_hh)[..., None, :]
        self.hidden_size: int = weight_hh.shape[-1]

    def forward(self, x: np.ndarray, h_previous: np.ndarray, c_previous: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read one token.

        Args:
            x: (B, D), the token's vector, for each of B sentences.
            h_previous: (B, H), output of the cell at the token before, 0 at the first.
            c_previous: (B, H), memory of the cell at the token before, 0 at the first.

        Returns:
            h and c at this token, (B, H) each.
        """
        return self.step(self.project(x), h_previous, c_previous)

    def project(self, x: np.ndarray) -> np.ndarray:
        """Compute what the gates take from the input, W x + b: (..., N, D) to (..., N, 4H)."""
        projected = x @ self.weight_ih
        projected += self.bias  # in place: these are the largest arrays of all
        return projected

    def gates(self, projected: np.ndarray, h_previous: np.ndarray) -> Gates:
        """Open and close the gates.

        Args:
            projected: (..., B, 4H), of `project`.
            h_previous: (..., B, H).

        Returns:
            The four, (..., B, H) each.
        """
        i, f, g, o = np.split(projected + h_previous @ self.weight_hh, 4, axis=-1)  # W x + U h + b
        return Gates(sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o))

    def step(
        self, projected: np.ndarray, h_previous: np.ndarray, c_previous: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read one token whose input is projected: h and c, (..., B, H) each."""
        i, f, g, o = self.gates(projected, h_previous)
        c = f * c_previous + i * g  # forget a part of the old, write a part of the new
        h = o * np.tanh(c)  # show a part of what is remembered
        return h, c


class GruCell:
    """Gated recurrent unit (Cho et al. 2014, arXiv:1406.1078), in PyTorch's variant.

    The paper's candidate is tanh(W x + U (r * h)); PyTorch's, as cuDNN's, is tanh(W x + b + r * (U h + b')), by which
    U h of all gates is one matrix product. The weights of reset gate r, update gate z and candidate n stand one below
    the other, as in PyTorch.

    Args:
        weight_ih: (..., 3H, D), W in the equations.
        weight_hh: (..., 3H, H), U.
        bias_ih: (..., 3H), b.
        bias_hh: (..., 3H), b'.
    """

    num_gates = 3
    num_states = 1  # h

    def __init__(self, weight_ih: np.ndarray, weight_hh: np.ndarray, bias_ih: np.ndarray, bias_hh: np.ndarray) -> None:
        self.weight_ih = _transpose(weight_ih)  # (..., D, 3H)
        self.weight_hh = _transpose(weight_hh)  # (..., H, 3H)
        self.bias_ih = bias_ih[..., None, :]
        self.bias_hh = bias_hh[..., None, :]
        self.hidden_size: int = weight_hh.shape[-1]

    def forward(self, x: np.ndarray, h_previous: np.ndarray) -> np.ndarray:
        """Read one token.

        Args:
            x: (B, D), the token's vector, for each of B sentences.
            h_previous: (B, H), state at the token before, 0 at the first.

        Returns:
            h at this token, (B, H).
        """
        (h,) = self.step(self.project(x), h_previous)
        return h

    def project(self, x: np.ndarray) -> np.ndarray:
        """Compute what the gates take from the input, W x + b: (..., N, D) to (..., N, 3H)."""
        projected = x @ self.weight_ih
        projected += self.bias_ih  # in place: these are the largest arrays of all
        return projected

    def step(self, projected: np.ndarray, h_previous: np.ndarray) -> tuple[np.ndarray]:
        """Read one token whose input is projected: h, (..., B, H)."""
        recurrent = h_previous @ self.weight_hh + self.bias_hh  # U h + b'
        (x_r, x_z, x_n), (h_r, h_z, h_n) = (np.split(part, 3, axis=-1) for part in (projected, recurrent))
        r = sigmoid(x_r + h_r)  # how much of the old state the candidate sees
        z = sigmoid(x_z + h_z)  # how much of the old state stays
        n = np.tanh(x_n + r * h_n)
        return ((1 - z) * n + z * h_previous,)


CELLS: dict[str, type[LstmCell] | type[GruCell]] = {"lstm": LstmCell, "gru": GruCell}
