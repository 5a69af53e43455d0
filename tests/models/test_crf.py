"""The CRF against looking at every legal path, and against independent implementations where there are too many."""

import copy
import io
import math
import pickle

import numpy as np
import pytest
import torch
from helpers_models import LABELS, enumerate_scores, is_legal
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_bilstm.models.crf import FORBIDDEN_LOGIT, LinearChainCrf
from hf_bilstm.models.partition import FORBIDDEN
from hf_bilstm.models.tagging_schemes import StateSpace, state_space

SCHEMES = list(LABELS)
CASES = pytest.mark.parametrize(("scheme", "learned"), [(scheme, on) for scheme in SCHEMES for on in (True, False)])
LENGTHS = [4, 0, 1, 3, 2]
FREE = state_space(["a", "b", "c", "d"], "none")


def make_crf(scheme, learned=True, scale=1.0, seed=0):
    torch.manual_seed(seed)
    crf = LinearChainCrf(state_space(LABELS[scheme], scheme), learned=learned)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return crf


def make_batch(crf, lengths=LENGTHS, scale=1.0, seed=1, num_tokens=None):
    torch.manual_seed(seed)
    shape = len(lengths), max(lengths) if num_tokens is None else num_tokens, len(crf.space.states)
    return torch.randn(shape, dtype=torch.float64) * scale, torch.tensor(lengths)


def observe(shape, seed=2):
    """Random observations that one random path agrees with at least."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator) < 0.6


def brute_log_likelihood(crf, emissions, observed):
    paths, scores = enumerate_scores(crf, emissions)
    agree = observed[torch.arange(len(emissions)), paths].all(dim=1)
    return torch.logsumexp(scores[agree], dim=0) - torch.logsumexp(scores, dim=0)


@CASES
def test_log_partition_equals_enumeration(scheme, learned):
    crf = make_crf(scheme, learned)
    emissions, lengths = make_batch(crf)
    totals = crf.log_partition(emissions, lengths)
    for row, length in enumerate(LENGTHS):
        expected = 0.0
        if length:
            expected = enumerate_scores(crf, emissions[row, :length])[1].logsumexp(dim=0).item()
        assert totals[row].item() == pytest.approx(expected, abs=1e-9)


@CASES
@pytest.mark.parametrize("scale", [1.0, 2000.0])  # the second underflows and takes the log-space way
def test_log_likelihood_and_its_gradients_equal_enumeration(scheme, learned, scale):
    crf = make_crf(scheme, learned).double()
    emissions, lengths = make_batch(crf, scale=scale)
    emissions.requires_grad_()
    observed = observe(emissions.shape)
    for row, length in enumerate(LENGTHS):  # some legal path must agree
        if length:
            observed[row, torch.arange(length), enumerate_scores(crf, emissions[row, :length])[0][row]] = True
    values = crf.log_likelihood(emissions, lengths, observed)
    expected = torch.stack(
        [
            brute_log_likelihood(crf, emissions[row, :length], observed[row, :length])
            if length
            else torch.zeros((), dtype=torch.float64)
            for row, length in enumerate(LENGTHS)
        ]
    )
    torch.testing.assert_close(values, expected, rtol=1e-9, atol=1e-9)
    inputs = [emissions, *crf.parameters()]
    weights = torch.arange(1.0, 6.0, dtype=torch.float64)  # each row's share of the gradient is its own
    gradients = torch.autograd.grad((values * weights).sum(), inputs)
    wanted = torch.autograd.grad((expected * weights).sum(), inputs)
    for gradient, want in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, want, rtol=1e-8, atol=1e-8)
    padding = torch.arange(emissions.shape[1]) >= lengths[:, None]
    assert (gradients[0][padding] == 0).all()


@CASES
def test_gradients_equal_finite_differences(scheme, learned):
    crf = make_crf(scheme, learned).double()
    emissions, lengths = make_batch(crf)
    names = [name for name, _ in crf.named_parameters()]

    def total(values, *parameters):
        arguments = (values, lengths)
        return torch.func.functional_call(_Partition(crf), dict(zip(names, parameters, strict=True)), arguments)

    names = [f"crf.{name}" for name in names]
    inputs = (emissions.requires_grad_(), *(parameter.detach().requires_grad_() for parameter in crf.parameters()))
    assert torch.autograd.gradcheck(total, inputs)


class _Partition(torch.nn.Module):
    def __init__(self, crf):
        super().__init__()
        self.crf = crf

    def forward(self, emissions, lengths):
        return self.crf.log_partition(emissions, lengths)


@CASES
def test_viterbi_and_n_best_equal_enumeration(scheme, learned):
    crf = make_crf(scheme, learned)
    emissions, lengths = make_batch(crf)
    paths, scores = crf.viterbi(emissions, lengths)
    many, many_scores = crf.n_best(emissions, lengths, 50)
    assert many.shape == (len(LENGTHS), 50, 4)
    for row, length in enumerate(LENGTHS):
        assert (many[row, :, length:] == 0).all()
        assert (paths[row, length:] == 0).all()
        if not length:
            assert scores[row] == 0
            assert many_scores[row].tolist() == [0.0] + [-math.inf] * 49
            continue
        all_paths, all_scores = enumerate_scores(crf, emissions[row, :length])
        best = all_scores.argsort(descending=True)[:50]
        count = len(best)
        assert paths[row, :length].tolist() == all_paths[best[0]].tolist()
        assert scores[row].item() == pytest.approx(all_scores[best[0]].item(), abs=1e-9)
        torch.testing.assert_close(many_scores[row, :count], all_scores[best])
        assert many[row, :count, :length].tolist() == all_paths[best].tolist()
        assert (many_scores[row, count:] == -math.inf).all()
    torch.testing.assert_close(crf.path_scores(emissions, lengths, paths), scores)


def test_a_path_of_the_wrong_length_scores_only_its_own_tokens():
    crf = make_crf("bioes")
    emissions, lengths = make_batch(crf, [2], num_tokens=5)
    paths = torch.tensor([[0, 0, 99, -7, 3]])  # what stands at padding is ignored
    first = crf.start_transitions[0] + crf.transitions[0, 0] + crf.end_transitions[0] + emissions[0, :2, 0].sum()
    torch.testing.assert_close(crf.path_scores(emissions, lengths, paths), first[None].double())


def test_n_best_refuses_less_than_one_path():
    crf = make_crf("none")
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        crf.n_best(*make_batch(crf), 0)


@CASES
@pytest.mark.parametrize("scale", [1.0, 2000.0])
def test_marginals_equal_enumeration(scheme, learned, scale):
    crf = make_crf(scheme, learned)
    emissions, lengths = make_batch(crf, scale=scale)
    marginals = crf.marginals(emissions, lengths)
    assert not marginals.requires_grad
    for row, length in enumerate(LENGTHS):
        assert (marginals[row, length:] == 0).all()
        if length:
            paths, scores = enumerate_scores(crf, emissions[row, :length])
            shares = torch.nn.functional.one_hot(paths, len(crf.space.states)) * scores.softmax(0)[:, None, None]
            torch.testing.assert_close(marginals[row, :length], shares.sum(dim=0).detach(), rtol=1e-7, atol=1e-9)
            torch.testing.assert_close(marginals[row, :length].sum(dim=1), torch.ones(length, dtype=torch.float64))


@CASES
def test_max_marginals_equal_enumeration(scheme, learned):
    crf = make_crf(scheme, learned)
    emissions, lengths = make_batch(crf)
    logits = crf.max_marginals(emissions, lengths)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()
    for row, length in enumerate(LENGTHS):
        assert (logits[row, length:] == 0).all()
        if not length:
            continue
        paths, scores = enumerate_scores(crf, emissions[row, :length])
        for token in range(length):
            for state in range(len(crf.space.states)):
                through = scores[paths[:, token] == state]
                if len(through):
                    expected = (through.max() - scores.max()).item()
                    assert float(logits[row, token, state]) == pytest.approx(expected, abs=2e-6)
                else:
                    assert logits[row, token, state] == FORBIDDEN_LOGIT


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_largest_max_marginals_spell_the_viterbi_path_even_where_paths_tie(data):
    crf = make_crf(data.draw(st.sampled_from(SCHEMES)), data.draw(st.booleans()), scale=0.0)
    lengths = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=3))
    num_tokens, num_states = max(lengths), len(crf.space.states)
    count = len(lengths) * num_tokens * num_states
    values = data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=count, max_size=count))
    emissions = torch.tensor(values).reshape(len(lengths), num_tokens, num_states)
    paths, scores = crf.viterbi(emissions, torch.tensor(lengths))
    many, many_scores = crf.n_best(emissions, torch.tensor(lengths), 5)
    logits = crf.max_marginals(emissions, torch.tensor(lengths))
    assert torch.equal(logits.argmax(dim=2), paths)
    for row, length in enumerate(lengths):
        path = paths[row, :length].tolist()
        assert not length or is_legal(crf.space, path)
        assert (logits[row, :length].sort(dim=1).values[:, -2:] < 0).sum() == length  # one state at 0, the next below
        if 0 < length <= 4:
            expected = enumerate_scores(crf, emissions[row, :length])[1].detach().sort(descending=True).values[:5]
            assert scores[row] == expected[0]
            assert many_scores[row, : len(expected)].tolist() == expected.tolist()
            ranked = [tuple(path) for path in many[row, : len(expected), :length].tolist()]
            assert len(set(ranked)) == len(ranked)
            assert all(is_legal(crf.space, path) for path in ranked)


@settings(deadline=None, max_examples=80)
@given(
    scheme=st.sampled_from(SCHEMES),
    scale=st.sampled_from([0.1, 10.0, 100.0, 300.0, 1e3, 1e4]),
    transition_scale=st.sampled_from([0.0, 1.0, 30.0, 1e3]),
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    seed=st.integers(0, 10_000),
)
@example(scheme="none", scale=300.0, transition_scale=1e3, lengths=[1, 4], seed=1075)
def test_any_gap_between_scores(scheme, scale, transition_scale, lengths, seed):
    crf = make_crf(scheme, scale=transition_scale, seed=seed).double()
    emissions, lengths = make_batch(crf, lengths, scale, seed + 1)
    emissions.requires_grad_()
    observed = observe(emissions.shape, seed)
    for row, length in enumerate(lengths.tolist()):
        if length:
            paths, _ = enumerate_scores(crf, emissions[row, :length])
            observed[row, torch.arange(length), paths[seed % len(paths)]] = True
    values = crf.log_likelihood(emissions, lengths, observed)
    assert (values <= 0).all()
    for row, length in enumerate(lengths.tolist()):
        if length:
            expected = brute_log_likelihood(crf, emissions[row, :length], observed[row, :length]).item()
            assert values[row].item() == pytest.approx(expected, rel=1e-9, abs=1e-8)
    gradients = torch.autograd.grad(values.sum(), [emissions, *crf.parameters()], materialize_grads=True)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert (gradients[0].abs() <= 1 + 1e-9).all()
    logits = crf.max_marginals(emissions, lengths)
    assert torch.equal(logits.argmax(dim=2), crf.viterbi(emissions, lengths)[0])


@pytest.mark.parametrize("length", [1, 3])
def test_scores_that_make_up_for_an_emission_too_small_for_a_probability(length):
    crf = make_crf("none", scale=0.1).double()
    emissions, lengths = make_batch(crf, [length], scale=0.1)
    emissions[0, length // 2, 0] += 800.0  # beside which the others underflow
    with torch.no_grad():
        if length == 1:
            crf.start_transitions[1] += 450.0
            crf.end_transitions[1] += 450.0
        else:
            crf.transitions[1, 1] += 600.0
    expected = enumerate_scores(crf, emissions[0])[1]
    assert crf.log_partition(emissions, lengths).item() == pytest.approx(expected.logsumexp(dim=0).item(), rel=1e-12)
    path, score = crf.viterbi(emissions, lengths)
    assert path.tolist() == [[1] * length]
    assert score.item() == pytest.approx(expected.max().item(), rel=1e-12)
    spans = np.array([[0, 0, 0, length]])
    found = crf.span_log_likelihood(emissions, lengths, path.numpy()[:, None], spans)
    assert found == pytest.approx([0.0], abs=1e-9)
    assert crf.marginals(emissions, lengths)[0, :, 1].tolist() == pytest.approx([1.0] * length)


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("num_types", [1, 9, 40])  # some states, and many
def test_the_best_path_of_long_rows(num_types, scale):
    labels = ["O", *(f"{prefix}-{number}" for number in range(num_types) for prefix in "BI")]
    torch.manual_seed(0)
    crf = LinearChainCrf(state_space(labels, "bioes"))
    torch.nn.init.normal_(crf.transitions)
    lengths = torch.tensor([300, 1, 70, 299])
    emissions = scale * torch.randn(4, 300, len(crf.space.states))
    # Maxima over all paths know nothing of what sums tell.
    best = crf.max_marginals(emissions, lengths).argmax(dim=2)
    real = torch.arange(300) < lengths[:, None]
    assert torch.equal(crf.viterbi(emissions, lengths)[0], best.where(real, 0))


def test_moves_beyond_all_numbers_that_no_path_takes():
    crf = make_crf("bioes", scale=1.0, seed=0)
    with torch.no_grad():
        crf.transitions += 1000.0
    emissions, lengths = make_batch(crf, [1], 1.0, 0)
    values = crf.log_likelihood(emissions.requires_grad_(), lengths, emissions == emissions.max())
    gradients = torch.autograd.grad(values.sum(), [emissions, *crf.parameters()], materialize_grads=True)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("gap", [50.0, 100.0, 1e3, 1e4])
def test_forbidden_states_far_above_the_legal_ones(gap):
    crf = make_crf("bioes", learned=False)
    emissions, lengths = make_batch(crf, [4, 2])
    inside = [state for state, name in enumerate(crf.space.states) if name[0] in "IE"]
    emissions[:, 0, inside] += gap  # no sentence starts inside a span
    emissions.requires_grad_()
    totals = crf.log_partition(emissions, lengths)
    expected = [
        torch.logsumexp(enumerate_scores(crf, row[:n])[1], 0) for row, n in zip(emissions, (4, 2), strict=True)
    ]
    torch.testing.assert_close(totals, torch.stack(expected))
    (gradient,) = torch.autograd.grad(totals.sum(), emissions)
    (wanted,) = torch.autograd.grad(sum(expected), emissions)
    torch.testing.assert_close(gradient, wanted)
    assert (gradient[:, 0, inside] == 0).all()
    paths, _ = crf.viterbi(emissions, lengths)
    assert is_legal(crf.space, paths[0].tolist())
    assert is_legal(crf.space, paths[1, :2].tolist())


@pytest.mark.parametrize("slope", [1.0, 8.0, 14.8, 20.0])
def test_observations_that_keep_two_spans_apart_for_long(slope):
    # Either all tokens are inside X or all inside Y, and the halves of the sentence disagree about which: at a slope
    # of 20 each is all but impossible at one end, by more orders of magnitude than float64 has, yet both count.
    crf = LinearChainCrf(state_space(["O", "B-X", "I-X", "B-Y", "I-Y"], "iob2"), learned=False)
    emissions = torch.zeros(1, 101, 5, dtype=torch.float64)
    emissions[0, 1:51, 2] = slope
    emissions[0, 51:, 4] = slope
    observed = torch.zeros(1, 101, 5, dtype=torch.bool)
    observed[:, 0, [1, 3]] = True
    observed[:, 1:, [2, 4]] = True
    emissions.requires_grad_()
    only = torch.where(observed, emissions, FORBIDDEN)
    total = crf.log_partition(only, torch.tensor([101]))
    assert float(total) == pytest.approx(50 * slope + math.log(2), abs=1e-9)
    (gradient,) = torch.autograd.grad(total.sum(), emissions)
    torch.testing.assert_close(gradient[observed], torch.full_like(gradient[observed], 0.5))


def test_a_log_likelihood_is_never_above_0_by_rounding():
    crf = LinearChainCrf(FREE, learned=False)
    emissions, lengths = make_batch(crf, [2] * 500)
    emissions[:, 0, 0] -= 36  # leaving this state out changes the total by about the last digit
    observed = torch.ones(emissions.shape, dtype=torch.bool)
    observed[:, 0, 0] = False
    values = crf.log_likelihood(emissions, lengths, observed)
    assert (values <= 0).all()
    assert (values > -1e-14).all()


def test_no_legal_path_is_all_but_impossible_and_not_nan():
    crf = make_crf("bioes")
    emissions, lengths = make_batch(crf, [2, 2])
    observed = torch.ones(emissions.shape, dtype=torch.bool)
    observed[0, 0] = torch.tensor([name == "I-X" for name in crf.space.states])  # a sentence starts inside a span
    values = crf.log_likelihood(emissions.requires_grad_(), lengths, observed)
    assert float(values[0]) < -1e29
    assert float(values[1]) == 0
    assert torch.isfinite(torch.autograd.grad(values.sum(), emissions)[0]).all()


def test_states_forbidden_by_emissions_are_never_visited():
    crf = make_crf("bioes")
    emissions, lengths = make_batch(crf, [5, 3])
    outside = torch.tensor([name == "O" for name in crf.space.states])
    emissions[:, 1] = emissions[:, 1].masked_fill(~outside, FORBIDDEN)
    for method in (crf.max_marginals, crf.marginals):
        values = method(emissions, lengths)[:, 1]
        assert (values[:, ~outside] == (FORBIDDEN_LOGIT if method == crf.max_marginals else 0)).all()
        assert (values[:, outside] == (0 if method == crf.max_marginals else 1)).all()
    paths, scores = crf.n_best(emissions, lengths, 200)
    assert (paths[:, :, 1][scores > -math.inf] == int(outside.nonzero())).all()


@CASES
@pytest.mark.parametrize("scale", [1.0, 2000.0])
def test_a_row_never_depends_on_its_batch(scheme, learned, scale):
    crf = make_crf(scheme, learned)
    lengths = [7, 0, 3, 5, 1]
    emissions, counts = make_batch(crf, lengths, scale, num_tokens=9)
    observed = torch.ones(emissions.shape, dtype=torch.bool)
    observed[:, 0] = torch.tensor(crf.space.starts)
    everything = {
        "log_partition": lambda e, n, o: crf.log_partition(e, n),
        "log_likelihood": crf.log_likelihood,
        "viterbi": lambda e, n, o: crf.viterbi(e, n)[0],
        "n_best": lambda e, n, o: crf.n_best(e, n, 3)[1],
        "marginals": lambda e, n, o: crf.marginals(e, n),
        "max_marginals": lambda e, n, o: crf.max_marginals(e, n),
    }
    for name, call in everything.items():
        together = call(emissions, counts, observed)
        for row, length in enumerate(lengths):
            cut = slice(row, row + 1), slice(None, length)
            alone = call(emissions[cut], counts[row : row + 1], observed[cut])
            one = together[row, :length] if name in ("viterbi", "marginals", "max_marginals") else together[row]
            torch.testing.assert_close(alone[0], one, rtol=1e-9, atol=1e-9)


def test_what_stands_at_padding_is_ignored():
    crf = make_crf("bioes")
    emissions, lengths = make_batch(crf, [2, 4])
    spoiled = emissions.clone()
    spoiled[0, 2:] = 1e9
    assert torch.equal(crf.log_partition(spoiled, lengths), crf.log_partition(emissions, lengths))
    assert torch.equal(crf.max_marginals(spoiled, lengths), crf.max_marginals(emissions, lengths))


def test_scores_far_apart_in_one_row_leave_the_others_as_they_were():
    crf = make_crf("iob2")
    emissions, lengths = make_batch(crf, [4, 4])
    before = crf.log_partition(emissions, lengths)
    emissions[1] *= 1e4
    torch.testing.assert_close(crf.log_partition(emissions, lengths)[0], before[0], rtol=1e-12, atol=1e-12)


def test_rival_costs_are_added_to_the_denominator():
    crf = make_crf("iob2")
    emissions, lengths = make_batch(crf, [3])
    observed = torch.ones(emissions.shape, dtype=torch.bool)
    observed[0, 1] = torch.tensor([True, False, False, False])
    costs = torch.where(observed, 0.0, math.log(3.0)).double()
    paths, scores = enumerate_scores(crf, emissions[0])
    wrong = (paths[:, 1] != 0).double()
    expected = scores[wrong == 0].logsumexp(0) - (scores + wrong * math.log(3.0)).logsumexp(0)
    torch.testing.assert_close(crf.log_likelihood(emissions, lengths, observed, costs)[0], expected)


@CASES
def test_labels_without_a_choice_have_the_likelihood_of_their_path(scheme, learned):
    """With costs and without, rows of all lengths, against the sum over all paths that agree."""
    labels = {"none": [0, 1, 1, 2, 0, 1], "iob2": [0, 1, 2, 2, 1, 3], "bioes": [0, 1, 2, 2, 1, 3]}[scheme]
    crf = make_crf(scheme, learned)
    lengths = [6, 0, 1, 3, 2]
    emissions, _ = make_batch(crf, lengths)
    batch = torch.tensor(labels).repeat(len(lengths), 1)
    batch[3, 3:] = -100  # padding
    lengths = torch.tensor(lengths)
    paths = crf.only_paths(batch, lengths)
    observed = torch.tensor(crf.space.state_to_label) == batch[:, :, None]
    observed[3, 3:] = True
    for costs in (None, torch.where(observed, 0.0, 0.7).double()):
        found = crf.path_log_likelihood(first := emissions.clone().requires_grad_(), lengths, paths, costs)
        expected = crf.log_likelihood(second := emissions.clone().requires_grad_(), lengths, observed, costs)
        torch.testing.assert_close(found, expected)
        weights = [*crf.parameters()]
        of_path = torch.autograd.grad(found.sum(), [first, *weights])
        torch.testing.assert_close(of_path, torch.autograd.grad(expected.sum(), [second, *weights]))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_only_path_is_found_for_labels_that_leave_no_choice(scheme):
    crf = make_crf(scheme)
    owners = torch.tensor(crf.space.state_to_label)
    for path in enumerate_scores(crf, torch.zeros(4, len(owners), dtype=torch.float64))[0]:
        labels = torch.cat((owners[path], torch.tensor([-100])))[None]
        assert torch.equal(crf.only_paths(labels, torch.tensor([4]))[0, :4], path)
        for place in range(4):
            unknown = labels.clone()
            unknown[0, place] = -100
            assert crf.only_paths(unknown, torch.tensor([4])) is None


def numpy_viterbi(emissions, start, transitions, end):
    """Textbook Viterbi in float64, scores kept small by subtracting each step's best."""
    score = start + emissions[0]
    pointers = []
    for emission in emissions[1:]:
        candidates = score[:, None] + transitions
        pointers.append(candidates.argmax(axis=0))
        score = candidates.max(axis=0) + emission
        score -= score.max()
    path = [int((score + end).argmax())]
    for pointer in reversed(pointers):
        path.append(int(pointer[path[-1]]))
    return np.array(path[::-1])


def numpy_tables(crf):
    """Starts, transitions and ends of a CRF in float64, illegal ones at minus infinity."""
    legal = [np.array(table) for table in (crf.space.starts, crf.space.transitions, crf.space.ends)]
    learned = (crf.start_transitions, crf.transitions, crf.end_transitions)
    return [np.where(mask, s.detach().double().numpy(), -np.inf) for mask, s in zip(legal, learned, strict=True)]


@settings(deadline=None, max_examples=60)
@given(
    # From all paths alike, where none can be told by its probability, to one path that has nearly all of it.
    scale=st.sampled_from([0.01, 0.5, 1.0, 2.0, 4.0, 10.0, 300.0]),
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    seed=st.integers(0, 10_000),
)
def test_decoding_finds_the_viterbi_path_however_sure_the_model_is(scale, lengths, seed):
    torch.manual_seed(seed)
    crf = LinearChainCrf(state_space(["O", *(f"{prefix}-{kind}" for kind in "ABCD" for prefix in "BI")], "bioes"))
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    emissions = torch.randn(len(lengths), max(1, *lengths), len(crf.space.states)) * scale
    paths, _ = crf.decode(emissions, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        if length:
            expected = numpy_viterbi(emissions[row, :length].double().numpy(), *numpy_tables(crf))
            assert paths[row, :length].tolist() == expected.tolist()
        assert not paths[row, length:].any()


def test_max_marginals_decode_200_000_tokens_exactly():
    crf = make_crf("bioes", scale=2.0)
    torch.manual_seed(3)
    num_states = len(crf.space.states)
    emissions = (torch.randn(1, 200_000, num_states) * 5.0).float()  # spread like a trained tagger's
    logits = crf.max_marginals(emissions, torch.tensor([200_000]))
    expected = numpy_viterbi(emissions[0].double().numpy(), *numpy_tables(crf))
    assert np.array_equal(logits[0].argmax(dim=1).numpy(), expected)
    assert is_legal(crf.space, expected.tolist())


def test_the_partition_of_a_long_text_is_exact_and_differentiable():
    crf = LinearChainCrf(FREE, learned=False)
    torch.manual_seed(4)
    emissions = (torch.randn(1, 5_000, 4, dtype=torch.float64) * 3).requires_grad_()
    total = crf.log_partition(emissions, torch.tensor([5_000]))
    expected = emissions.logsumexp(dim=2).sum()  # every path is legal and transitions score 0
    torch.testing.assert_close(total[0], expected, rtol=1e-12, atol=1e-8)
    gradients = [torch.autograd.grad(value.sum(), emissions)[0] for value in (total, expected)]
    torch.testing.assert_close(*gradients)


def test_agrees_with_pytorch_crf():
    torchcrf = pytest.importorskip("torchcrf")
    ours, theirs = LinearChainCrf(FREE), torchcrf.CRF(4, batch_first=True)
    torch.manual_seed(5)
    for name in ("start_transitions", "transitions", "end_transitions"):
        torch.nn.init.normal_(getattr(theirs, name))
        getattr(ours, name).data.copy_(getattr(theirs, name).data)
    lengths = torch.tensor([9, 4, 1])
    emissions, tags = torch.randn(3, 9, 4, requires_grad=True), torch.randint(4, (3, 9))
    mask = torch.arange(9) < lengths[:, None]
    value = ours.log_likelihood(emissions, lengths, torch.nn.functional.one_hot(tags, 4).bool())
    expected = theirs(emissions, tags, mask=mask, reduction="none")
    torch.testing.assert_close(value.float(), expected)
    gradients = [torch.autograd.grad(x.sum(), emissions)[0] for x in (value, expected)]
    torch.testing.assert_close(*gradients)
    paths, _ = ours.viterbi(emissions, lengths)
    for path, length, wanted in zip(
        paths.tolist(), lengths.tolist(), theirs.decode(emissions, mask=mask), strict=True
    ):
        assert path[:length] == wanted


@pytest.mark.parametrize(("batch_size", "num_tokens"), [(0, 0), (0, 3), (2, 0)])
def test_empty_batches_and_empty_sentences(batch_size, num_tokens):
    crf = make_crf("bioes")
    num_states = len(crf.space.states)
    emissions = torch.zeros(batch_size, num_tokens, num_states)
    lengths = torch.zeros(batch_size, dtype=torch.long)
    assert crf.log_partition(emissions, lengths).tolist() == [0.0] * batch_size
    observed = torch.zeros(emissions.shape, dtype=torch.bool)
    assert crf.log_likelihood(emissions, lengths, observed).tolist() == [0.0] * batch_size
    assert crf.marginals(emissions, lengths).shape == emissions.shape
    assert crf.max_marginals(emissions, lengths).shape == emissions.shape
    paths, scores = crf.viterbi(emissions, lengths)
    assert paths.shape == (batch_size, num_tokens)
    assert crf.path_scores(emissions, lengths, paths).tolist() == scores.tolist() == [0.0] * batch_size
    many, scores = crf.n_best(emissions, lengths, 2)
    assert many.shape == (batch_size, 2, num_tokens)
    assert scores.tolist() == [[0.0, -math.inf]] * batch_size


def test_a_single_state():
    crf = LinearChainCrf(state_space(["O"], "bioes"))
    emissions, lengths = make_batch(crf, [3, 1])
    observed = torch.ones(emissions.shape, dtype=torch.bool)
    assert crf.log_likelihood(emissions, lengths, observed).tolist() == [0.0, 0.0]
    assert (crf.marginals(emissions, lengths)[0] == 1).all()
    assert (crf.max_marginals(emissions, lengths) == 0).all()


def test_a_state_that_nothing_may_follow():
    # Not a space that labels give, but a legal one: padding after the last token must not upset the sweep.
    space = StateSpace(("a", "z"), (0, 1), ((False, True), (False, False)), (True, False), (False, True))
    crf = LinearChainCrf(space)
    emissions, lengths = make_batch(crf, [2, 2], num_tokens=4)
    emissions.requires_grad_()
    totals = crf.log_partition(emissions, lengths)
    torch.testing.assert_close(totals, emissions[:, 0, 0] + emissions[:, 1, 1])
    (gradient,) = torch.autograd.grad(totals.sum(), emissions)
    assert gradient[0].tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize("learned", [True, False])
def test_training_after_decoding_in_inference_mode(learned):
    crf = make_crf("bioes", learned)
    with torch.inference_mode():
        emissions, lengths = make_batch(crf)
        decoded = crf.max_marginals(emissions, lengths), crf.marginals(emissions, lengths)
    emissions, lengths = make_batch(crf)
    emissions.requires_grad_()
    crf.log_partition(emissions, lengths).sum().backward()
    torch.testing.assert_close(emissions.grad, decoded[1])


def test_marginals_without_gradients_leave_none_behind():
    crf = make_crf("bioes")
    emissions, lengths = make_batch(crf)
    emissions.requires_grad_()
    with torch.no_grad():
        marginals = crf.marginals(emissions, lengths)
    assert not marginals.requires_grad
    assert emissions.grad is None
    assert all(parameter.grad is None for parameter in crf.parameters())
    assert not crf.max_marginals(emissions, lengths).requires_grad


def test_scores_that_are_written_to_without_notice_count_at_once():
    crf = make_crf("bioes")
    emissions, lengths = make_batch(crf)
    with torch.no_grad():
        before = crf.log_partition(emissions, lengths)
        crf.transitions.data[crf.space.states.index("O"), crf.space.states.index("O")] += 1
        after = crf.log_partition(emissions, lengths)
        assert torch.equal(after, copy.deepcopy(crf).log_partition(emissions, lengths))
    assert not torch.equal(after, before)


def test_a_copy_that_is_given_the_weights_themselves_sees_what_is_written_to_them():
    crf = make_crf("bioes")
    emissions, lengths = make_batch(crf)
    for name, weight in list(crf.named_parameters()):
        setattr(crf, name, torch.nn.Parameter(weight.detach().clone()))  # never written to, as those of a copy
    with torch.no_grad():
        before = crf.log_partition(emissions, lengths)
        twin = copy.deepcopy(crf)
        for weight, original in zip(twin.parameters(), crf.parameters(), strict=True):
            weight.data = original.data
        crf.transitions.data += 1
        after = crf.log_partition(emissions, lengths)
        assert torch.equal(twin.log_partition(emissions, lengths), after)
    assert not torch.equal(after, before)


def test_copies_and_pickles_score_the_same_and_share_nothing():
    crf = make_crf("bioes")
    emissions, lengths = make_batch(crf)
    expected = crf.log_partition(emissions, lengths)
    whole = io.BytesIO()
    torch.save(crf, whole)
    whole.seek(0)
    for twin in (copy.deepcopy(crf), pickle.loads(pickle.dumps(crf)), torch.load(whole, weights_only=False)):
        assert torch.equal(twin.log_partition(emissions, lengths), expected)
        twin.transitions.data += 1
        assert not torch.equal(twin.log_partition(emissions, lengths), expected)
        assert torch.equal(crf.log_partition(emissions, lengths), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_computes_in_float64_whatever_comes_in(dtype):
    crf = make_crf("iob2")
    emissions, lengths = make_batch(crf)
    emissions = emissions.to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = crf.log_partition(emissions, lengths)
    assert value.dtype == torch.float64
    assert torch.equal(value, crf.log_partition(emissions.double(), lengths))


def test_wrong_shapes_are_named():
    crf = make_crf("none")
    with pytest.raises(ValueError, match=r"emissions must have shape \(batch, tokens, 3\), got \(2, 4, 5\)"):
        crf.log_partition(torch.zeros(2, 4, 5), torch.tensor([4, 4]))
    with pytest.raises(ValueError, match=r"lengths must have shape \(2,\), got \(3,\)"):
        crf.viterbi(torch.zeros(2, 4, 3), torch.tensor([4, 4, 4]))
