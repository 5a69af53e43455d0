"""Cells, directions, merges and layers in NumPy against PyTorch, values and gradients, in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bilstm_native import BiRecurrent, GruCell, LstmCell, merge, sigmoid
from bilstm_native.recurrence import pad, reverse, unpad
from hf_bilstm.models.recurrence import BiRecurrentEncoder
from hf_bilstm.models.rows import Rows

sizes = st.integers(1, 6)
seeds = st.integers(0, 2**32 - 1)
rnn_types = st.sampled_from(["lstm", "gru"])
merge_modes = st.sampled_from(["concat", "sum", "mean", "mul"])
lengths_of_sentences = st.lists(st.integers(0, 7), min_size=1, max_size=5)


def arrays(*parameters):
    return [parameter.detach().numpy() for parameter in parameters]


def layers_of(encoder, rnn_type, merge_mode):
    """The layers of a PyTorch encoder, in NumPy."""
    return [
        BiRecurrent(
            arrays(*layer.forward_rnn.parameters()), arrays(*layer.backward_rnn.parameters()), rnn_type, merge_mode
        )
        for layer in encoder.layers
    ]


@given(seeds, sizes, sizes, sizes)
@settings(deadline=None, max_examples=50)
def test_an_lstm_cell_is_that_of_pytorch(seed, size, hidden, rows):
    torch.manual_seed(seed)
    cell = nn.LSTMCell(size, hidden, dtype=torch.float64)
    x, h, c = torch.randn(rows, size).double(), torch.randn(rows, hidden).double(), torch.randn(rows, hidden).double()
    ours = LstmCell(*arrays(*cell.parameters())).forward(*arrays(x, h, c))
    for value, expected in zip(ours, arrays(*cell(x, (h, c))), strict=True):
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-12)


@given(seeds, sizes, sizes, sizes)
@settings(deadline=None, max_examples=50)
def test_a_gru_cell_is_that_of_pytorch(seed, size, hidden, rows):
    torch.manual_seed(seed)
    cell = nn.GRUCell(size, hidden, dtype=torch.float64)
    x, h = torch.randn(rows, size).double(), torch.randn(rows, hidden).double()
    ours = GruCell(*arrays(*cell.parameters())).forward(*arrays(x, h))
    np.testing.assert_allclose(ours, cell(x, h).detach().numpy(), rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("error")
def test_the_sigmoid_is_stable():
    x = np.array([-1e30, -800.0, -5.0, 0.0, 5.0, 800.0, 1e30])
    np.testing.assert_allclose(sigmoid(x), torch.sigmoid(torch.from_numpy(x)).numpy(), rtol=0, atol=1e-15)
    np.testing.assert_array_equal(sigmoid(x.astype(np.float32))[[0, 3, 6]], [0, 0.5, 1])


@given(seeds, sizes, sizes, st.integers(1, 3), rnn_types, merge_modes, lengths_of_sentences)
@settings(deadline=None, max_examples=60)
def test_layers_are_those_of_pytorch(seed, size, hidden, num_layers, rnn_type, merge_mode, lengths):
    torch.manual_seed(seed)
    lengths = sorted(lengths, reverse=True)
    encoder = BiRecurrentEncoder(size, hidden, num_layers, rnn_type, merge_mode).double()
    x = torch.randn(len(lengths), lengths[0], size).double()
    expected = encoder(x, Rows(torch.tensor(lengths), lengths[0]))[0]
    h, real = x.numpy().swapaxes(0, 1), np.arange(lengths[0]) < np.array(lengths)[:, None]
    for layer, output in zip(layers_of(encoder, rnn_type, merge_mode), expected, strict=True):
        h = layer.forward(h, np.array(lengths))
        np.testing.assert_allclose(h.swapaxes(0, 1)[real], output.detach().numpy()[real], rtol=0, atol=1e-12)
        assert not h.swapaxes(0, 1)[~real].any()


@given(seeds, rnn_types, merge_modes, lengths_of_sentences)
@settings(deadline=None, max_examples=30)
def test_a_sentence_alone_is_as_in_a_batch(seed, rnn_type, merge_mode, lengths):
    torch.manual_seed(seed)
    lengths = np.array(sorted(lengths, reverse=True))
    (layer,) = layers_of(BiRecurrentEncoder(3, 2, 1, rnn_type, merge_mode).double(), rnn_type, merge_mode)
    x = np.random.default_rng(seed).normal(size=(lengths[0], len(lengths), 3))
    batch = layer.forward(x, lengths)
    for row, length in enumerate(lengths):
        np.testing.assert_allclose(layer.forward(x[:length, row]), batch[:length, row], rtol=0, atol=1e-12)


@given(seeds, rnn_types, merge_modes)
@settings(deadline=None, max_examples=12)
def test_gradients_of_pytorch_are_differences_of_ours(seed, rnn_type, merge_mode):
    """What backpropagation gives for every weight and input is the slope of the function written out here."""
    torch.manual_seed(seed)
    lengths = np.array([4, 2])
    encoder = BiRecurrentEncoder(2, 3, 2, rnn_type, merge_mode).double()
    x = torch.randn(2, 4, 2).double().requires_grad_()
    outputs = encoder(x, Rows(torch.from_numpy(lengths), 4))[0][-1]
    weights = torch.randn_like(outputs) * (torch.arange(4) < torch.from_numpy(lengths)[:, None])[:, :, None]
    (outputs * weights).sum().backward()

    def loss():
        h = x.detach().numpy().swapaxes(0, 1)
        for layer in layers_of(encoder, rnn_type, merge_mode):
            h = layer.forward(h, lengths)
        return float((h.swapaxes(0, 1) * weights.numpy()).sum())

    for tensor in (x, *encoder.parameters()):
        values = tensor.data.view(-1)
        for place in range(0, len(values), 1 + len(values) // 6):
            value, slope = float(values[place]), []
            for step in (1e-5, -1e-5):
                values[place] = value + step
                slope.append(loss())
            values[place] = value
            assert float(tensor.grad.view(-1)[place]) == pytest.approx((slope[0] - slope[1]) / 2e-5, abs=1e-7)


@given(lengths_of_sentences)
def test_padding_and_turning_round_lose_nothing(lengths):
    lengths = np.array(sorted(lengths, reverse=True))
    values = np.arange(lengths.sum() * 2.0).reshape(-1, 2)
    padded = pad(values, lengths)
    assert padded.shape == (lengths[0], len(lengths), 2)
    np.testing.assert_array_equal(unpad(padded, lengths), values)
    turned = reverse(padded, lengths)
    np.testing.assert_array_equal(reverse(turned, lengths), padded)
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(turned[:length, row], padded[:length, row][::-1])


def test_wrong_arguments_are_named():
    weights = [np.zeros((4, 1)), np.zeros((4, 1)), np.zeros(4), np.zeros(4)]
    with pytest.raises(ValueError, match="rnn_type must be 'lstm' or 'gru', got 'rnn'"):
        BiRecurrent(weights, weights, "rnn")
    with pytest.raises(ValueError, match=r"merge_mode must be .*, got 'max'"):
        merge(np.zeros(2), np.zeros(2), "max")
    with pytest.raises(ValueError, match="the longest sentence first"):
        BiRecurrent(weights, weights).forward(np.zeros((3, 2, 1)), np.array([1, 3]))
