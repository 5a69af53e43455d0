"""The CRF in NumPy against the one in PyTorch: paths, sums, probabilities, and gradients by differences."""

import numpy as np
import pytest
import torch
from helpers_native import LABELS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bilstm_native import Crf
from bilstm_native.states import derive_states
from hf_bilstm.models.crf import LinearChainCrf
from hf_bilstm.models.tagging_schemes import state_space

schemes = st.sampled_from(sorted(LABELS))
lengths_of_sentences = st.lists(st.integers(0, 6), min_size=1, max_size=4)
gaps = st.sampled_from([1.0, 30.0, 1e4])


def both(scheme, seed, lengths, gap):
    """The two, emissions (B, T, S) and lengths, falling."""
    torch.manual_seed(seed)
    theirs = LinearChainCrf(state_space(LABELS[scheme], scheme)).double()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    scores = (theirs.start_transitions, theirs.transitions, theirs.end_transitions)
    ours = Crf(derive_states(LABELS[scheme], scheme), *(score.detach().numpy() for score in scores))
    lengths = torch.tensor(sorted(lengths, reverse=True))
    emissions = torch.randn(len(lengths), int(lengths[0]), len(theirs.space.states)).double() * gap
    return ours, theirs, emissions, lengths


def first_axis_tokens(emissions):
    return np.ascontiguousarray(emissions.detach().numpy().swapaxes(0, 1))


@pytest.mark.parametrize("labels", [*LABELS.values(), ["B", "I"], ["O"], ["O", "B-O", "I-O", "B-creative-work"]])
@pytest.mark.parametrize("scheme", ["none", "iob2", "bioes"])
def test_states_are_those_of_the_package(labels, scheme):
    if scheme != "none" and not set(labels) <= {"O", "B", "I"} and not all(x[:2] in ("O", "B-", "I-") for x in labels):
        with pytest.raises(ValueError, match="takes O, B-X and I-X"):
            derive_states(labels, scheme)
        return
    ours, theirs = derive_states(labels, scheme), state_space(labels, scheme)
    assert tuple(ours.labels) == theirs.state_to_label
    assert tuple(ours.starts) == theirs.starts
    assert tuple(ours.ends) == theirs.ends
    assert tuple(map(tuple, ours.moves)) == theirs.transitions


@given(schemes, st.integers(0, 999), lengths_of_sentences, gaps)
@example("bioes", 406, [6], 1e4)  # the best path goes through states that seem lost from either end
@settings(deadline=None, max_examples=80)
@pytest.mark.filterwarnings("error")
def test_paths_sums_and_probabilities_are_those_of_pytorch(scheme, seed, lengths, gap):
    ours, theirs, emissions, lengths = both(scheme, seed, lengths, gap)
    values, counts = first_axis_tokens(emissions), lengths.numpy()
    paths = ours.best_paths(values, counts)
    found = torch.from_numpy(paths.T)
    best = theirs.path_scores(emissions, lengths, theirs.viterbi(emissions, lengths)[0])
    torch.testing.assert_close(theirs.path_scores(emissions, lengths, found), best)
    sums = ours.sums(values, counts)
    np.testing.assert_allclose(sums.total, theirs.log_partition(emissions, lengths).detach(), rtol=1e-9, atol=1e-9)
    marginals = theirs.marginals(emissions, lengths).detach().numpy().swapaxes(0, 1)
    np.testing.assert_allclose(ours.marginals(values, counts), marginals, atol=1e-7)
    spans = [
        (row, first, end) for row, n in enumerate(counts) for first in range(n) for end in range(first + 1, n + 1)
    ]
    spans = np.array(spans, dtype=np.int64).reshape(-1, 3)
    on_paths = np.insert(spans, 1, 0, axis=1)
    expected = np.exp(theirs.span_log_likelihood(emissions, lengths, paths.T[:, None], on_paths))
    got = ours.span_probabilities(sums, values, paths, counts, spans)
    np.testing.assert_allclose(got, expected, atol=1e-7)


def test_a_state_that_only_the_unlikeliest_path_reaches_is_reached():
    """Of two states 2,000 apart only the worse leads on: added up in probability, nothing would be left."""
    states = derive_states(["O", "B-X", "I-X"], "bioes")  # O, B, S, I, E
    crf = Crf(states)
    emissions = np.zeros((2, 1, 5))
    emissions[0, 0] = [0, -2000, 0, 0, 0]
    emissions[1, 0] = [-1e30, -1e30, -1e30, -1e30, 0]  # only E, which only B leads to
    lengths = np.array([2])
    assert crf.best_paths(emissions, lengths)[:, 0].tolist() == [1, 4]
    assert crf.sums(emissions, lengths).total[0] == pytest.approx(-2000)
    np.testing.assert_allclose(crf.marginals(emissions, lengths)[:, 0, [1, 4]], [[1, 0], [0, 1]])


@given(schemes, st.integers(0, 999))
@settings(deadline=None, max_examples=15)
def test_gradients_of_pytorch_are_differences_of_ours(scheme, seed):
    _, theirs, emissions, lengths = both(scheme, seed, [4, 2], 1.0)
    emissions.requires_grad_()
    theirs.log_partition(emissions, lengths).sum().backward()
    scores = (theirs.start_transitions, theirs.transitions, theirs.end_transitions)

    def total():
        ours = Crf(derive_states(LABELS[scheme], scheme), *(score.detach().numpy() for score in scores))
        return float(ours.sums(first_axis_tokens(emissions), lengths.numpy()).total.sum())

    for tensor in (emissions, *scores):
        values = tensor.data.view(-1)
        for place in range(0, len(values), 1 + len(values) // 8):
            value, slope = float(values[place]), []
            for step in (1e-5, -1e-5):
                values[place] = value + step
                slope.append(total())
            values[place] = value
            assert float(tensor.grad.view(-1)[place]) == pytest.approx((slope[0] - slope[1]) / 2e-5, abs=1e-7)
