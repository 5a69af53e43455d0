"""Pooling against plain NumPy, row by row, and its blindness to padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_bilstm.models.pooling import Pooling
from hf_bilstm.models.recurrence import BiRecurrentEncoder

SIZE = 6
KINDS = ["last", "mean", "max", "attention"]


def by_hand(pooling: Pooling, row: np.ndarray, end: np.ndarray) -> np.ndarray:
    """One row without padding, (T, D)."""
    if not len(row):
        return np.zeros(row.shape[1])
    if pooling.kind == "last":
        return end
    if pooling.kind == "mean":
        return row.mean(axis=0)
    if pooling.kind == "max":
        return row.max(axis=0)
    weight, bias = (parameter.detach().numpy() for parameter in pooling.projection.parameters())
    scores = np.tanh(row @ weight.T + bias) @ pooling.context.weight.detach().numpy()[0]
    shares = np.exp(scores) / np.exp(scores).sum()
    return shares @ row


@pytest.mark.parametrize("kind", KINDS)
@given(lengths=st.lists(st.integers(0, 5), min_size=0, max_size=4), seed=st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_equals_numpy_on_each_row_alone(kind, lengths, seed):
    torch.manual_seed(seed)
    num_tokens = max(lengths, default=0)
    pooling = Pooling(kind, SIZE).double()
    values = torch.randn(len(lengths), num_tokens, SIZE, dtype=torch.float64)
    for row, length in enumerate(lengths):
        values[row, length:] = torch.tensor([float("nan"), float("inf"), 1e30, -1e30, 0.0, -float("inf")])
    ends = torch.randn(len(lengths), SIZE, dtype=torch.float64)
    pooled = pooling(values, ends, torch.tensor(lengths, dtype=torch.long))
    assert pooled.shape == (len(lengths), SIZE)
    for row, length in enumerate(lengths):
        expected = by_hand(pooling, values[row, :length].numpy(), ends[row].numpy())
        np.testing.assert_allclose(pooled[row].detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("kind", ["mean", "attention"])
def test_weights_sum_to_one_over_the_tokens(kind):
    torch.manual_seed(0)
    weights = Pooling(kind, SIZE).weights(torch.randn(2, 4, SIZE), torch.tensor([3, 4]))
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, 1))
    assert weights[0, 3] == 0
    assert (weights[1] > 0).all()


@pytest.mark.parametrize("rnn_type", ["lstm", "gru"])
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mean", "mul"])
def test_the_ends_are_the_final_states_of_the_networks(rnn_type, merge_mode):
    torch.manual_seed(0)
    encoder = BiRecurrentEncoder(3, 4, 2, rnn_type, merge_mode)
    values, lengths = torch.randn(3, 5, 3), [5, 1, 3]
    rows = encoder.arrange(values, torch.tensor(lengths))
    assert rows.between is not None
    outputs, said = encoder(rows.join(values), rows)
    ends, first_layer = encoder.ends(said, rows), rows.part(outputs[0])
    for row, length in enumerate(lengths):
        below = first_layer[row : row + 1, :length]
        last = encoder.layers[-1]
        states = [
            rnn(rows)[1] if rnn_type == "gru" else rnn(rows)[1][0]
            for rnn, rows in ((last.forward_rnn, below), (last.backward_rnn, below.flip(1)))
        ]
        forward, backward = (state[0, 0] for state in states)
        expected = {
            "concat": torch.cat((forward, backward)),
            "sum": forward + backward,
            "mean": (forward + backward) / 2,
            "mul": forward * backward,
        }[merge_mode]
        torch.testing.assert_close(ends[row], expected)
