"""Pooling against a loop over sentences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bilstm_native import BiRecurrent, attention_scores, merge, pool_attention, pool_last, pool_max, pool_mean
from bilstm_native.recurrence import is_token

lengths_of_sentences = st.lists(st.integers(0, 6), min_size=1, max_size=5)


def draw(seed, lengths, size=3):
    """Vectors (T, B, size) of sentences; what stands at padding would show in any result."""
    lengths = np.array(sorted(lengths, reverse=True))
    h = np.random.default_rng(seed).normal(size=(lengths[0], len(lengths), size))
    h[~is_token(lengths)] = np.nan
    return h, lengths


@given(st.integers(0, 999), lengths_of_sentences)
@settings(deadline=None)
@pytest.mark.filterwarnings("error")
def test_pooling_is_blind_to_padding(seed, lengths):
    h, lengths = draw(seed, lengths)
    scores = np.where(is_token(lengths), np.random.default_rng(seed).normal(size=h.shape[:2]) * 300, np.inf)
    pooled = {
        "mean": pool_mean(h, lengths),
        "max": pool_max(h, lengths),
        "attention": pool_attention(h, scores, lengths),
    }
    for row, length in enumerate(lengths):
        tokens = h[:length, row]
        if not length:
            assert all(not values[row].any() for values in pooled.values())
            continue
        weights = np.exp(scores[:length, row] - scores[:length, row].max())
        np.testing.assert_allclose(pooled["mean"][row], tokens.mean(axis=0))
        np.testing.assert_allclose(pooled["max"][row], tokens.max(axis=0))
        np.testing.assert_allclose(pooled["attention"][row], weights / weights.sum() @ tokens, atol=1e-12)


def test_the_scores_of_attention_are_those_of_pytorch():
    torch.manual_seed(0)
    projection, context = torch.nn.Linear(3, 4).double(), torch.nn.Linear(4, 1, bias=False).double()
    h = torch.randn(5, 2, 3).double()
    weights = (projection.weight, projection.bias, context.weight[0])
    ours = attention_scores(h.numpy(), *(weight.detach().numpy() for weight in weights))
    np.testing.assert_allclose(ours, context(torch.tanh(projection(h)))[..., 0].detach().numpy())


@given(st.integers(0, 999), lengths_of_sentences, st.sampled_from(["concat", "sum", "mean", "mul"]))
@settings(deadline=None)
def test_the_last_states_are_those_of_each_sentence_alone(seed, lengths, mode):
    lengths = np.array(sorted(lengths, reverse=True))
    rng = np.random.default_rng(seed)
    shapes = [(8, 3), (8, 2), (8,), (8,)]
    layer = BiRecurrent(*[[rng.normal(size=shape) for shape in shapes] for _ in range(2)], "lstm", mode)
    x = rng.normal(size=(lengths[0], len(lengths), 3))
    pooled = pool_last(*layer.directions(x, lengths), lengths, mode)
    for row, length in enumerate(lengths):
        if length:
            forward, backward = layer.directions(x[:length, row, None], np.array([length]))
            np.testing.assert_allclose(pooled[row], merge(forward[-1, 0], backward[0, 0], mode))
        else:
            assert not pooled[row].any()
