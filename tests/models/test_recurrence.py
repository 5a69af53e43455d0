"""The recurrence against PyTorch's own packed bidirectional networks with the same weights."""

import copy
import itertools
import pickle

import pytest
import torch
from helpers_models import as_they_come, run_layers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from hf_bilstm.models.recurrence import (
    BidirectionalLayer,
    BiRecurrentEncoder,
    Compaction,
    pick,
)
from hf_bilstm.models.rows import JoinedRows, Rows, join_end_to_end, like_lengths, reversal_index

INPUT, HIDDEN = 5, 4


class PackedReference(nn.Module):
    """The same stack from packed `nn.LSTM` or `nn.GRU` layers; rows of length 0 are left out and give zeros."""

    def __init__(self, encoder, rnn_type, merge_mode):
        super().__init__()
        self.merge_mode = merge_mode
        self.layers = nn.ModuleList()
        for layer in encoder.layers:
            rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[rnn_type]
            packed = rnn(layer.forward_rnn.input_size, HIDDEN, batch_first=True, bidirectional=True)
            state = dict(layer.forward_rnn.state_dict())
            state.update({f"{name}_reverse": value for name, value in layer.backward_rnn.state_dict().items()})
            packed.load_state_dict(state)
            self.layers.append(packed)

    def forward(self, values, lengths):
        some = lengths > 0
        outputs = []
        for layer in self.layers:
            packed = pack_padded_sequence(values[some], lengths[some], batch_first=True, enforce_sorted=False)
            both, _ = pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=values.shape[1])
            forward, backward = both.chunk(2, dim=2)
            merged = {
                "concat": both,
                "sum": forward + backward,
                "mean": (forward + backward) / 2,
                "mul": forward * backward,
            }[self.merge_mode]
            values = merged.new_zeros(len(lengths), *merged.shape[1:]).masked_scatter(some[:, None, None], merged)
            outputs.append(values)
        return outputs


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mean", "mul"])
@pytest.mark.parametrize("rnn_type", ["lstm", "gru"])
@pytest.mark.parametrize("run", [run_layers, as_they_come], ids=["arranged", "as they come"])
@pytest.mark.parametrize("lengths", [[6, 1, 0, 4, 6, 3], [6, 6]], ids=["ragged", "full"])
def test_equals_packed_bidirectional_networks(rnn_type, merge_mode, num_layers, lengths, run):
    torch.manual_seed(0)
    encoder = BiRecurrentEncoder(INPUT, HIDDEN, num_layers, rnn_type, merge_mode).double()
    reference = PackedReference(encoder, rnn_type, merge_mode).double()
    lengths = torch.tensor(lengths)
    real = (torch.arange(6) < lengths[:, None])[:, :, None]
    values = torch.randn(len(lengths), 6, INPUT, dtype=torch.float64)
    ours, theirs = values.clone().requires_grad_(), values.clone().requires_grad_()
    outputs = [output * real for output in run(encoder, ours, lengths)]
    expected = [output * real for output in reference(theirs, lengths)]
    assert len(outputs) == num_layers
    for output, want in zip(outputs, expected, strict=True):
        torch.testing.assert_close(output, want)
    direction = torch.randn_like(outputs[-1])
    (outputs[-1] * direction).sum().backward()
    (expected[-1] * direction).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert (ours.grad[~real.expand_as(ours)] == 0).all()
    for layer, want in zip(encoder.layers, reference.layers, strict=True):
        for name, parameter in layer.forward_rnn.named_parameters():
            torch.testing.assert_close(parameter.grad, getattr(want, name).grad)
        for name, parameter in layer.backward_rnn.named_parameters():
            torch.testing.assert_close(parameter.grad, getattr(want, f"{name}_reverse").grad)


@pytest.mark.parametrize("rnn_type", ["lstm", "gru"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_equals_one_packed_stack_in_float32(rnn_type, num_layers):
    torch.manual_seed(0)
    packed = {"lstm": nn.LSTM, "gru": nn.GRU}[rnn_type](
        INPUT, HIDDEN, num_layers, batch_first=True, bidirectional=True
    )
    encoder = BiRecurrentEncoder(INPUT, HIDDEN, num_layers, rnn_type)
    for depth, layer in enumerate(encoder.layers):
        for rnn, suffix in ((layer.forward_rnn, ""), (layer.backward_rnn, "_reverse")):
            for name, parameter in rnn.named_parameters():
                parameter.data.copy_(getattr(packed, name.replace("l0", f"l{depth}") + suffix))
    lengths = torch.tensor([7, 2, 5])
    values = torch.randn(3, 7, INPUT)
    rows = pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(packed(rows)[0], batch_first=True)
    real = (torch.arange(7) < lengths[:, None])[:, :, None]
    for run in (run_layers, as_they_come):
        torch.testing.assert_close(run(encoder, values, lengths)[-1] * real, expected)


@pytest.mark.parametrize("merge_mode", ["concat", "sum"])
@pytest.mark.parametrize(("batch_size", "num_tokens"), [(0, 0), (0, 3), (2, 0)])
def test_empty_batches_and_empty_sentences(batch_size, num_tokens, merge_mode):
    encoder = BiRecurrentEncoder(INPUT, HIDDEN, 2, "lstm", merge_mode)
    values, lengths = torch.zeros(batch_size, num_tokens, INPUT), torch.zeros(batch_size, dtype=torch.long)
    outputs = run_layers(encoder, values, lengths)
    assert [output.shape for output in outputs] == [(batch_size, num_tokens, encoder.output_size)] * 2


def test_reversal_is_its_own_inverse_and_leaves_padding_in_place():
    index = reversal_index(torch.tensor([4, 0, 2]), 4)
    assert index.tolist() == [[3, 2, 1, 0], [0, 1, 2, 3], [1, 0, 2, 3]]
    assert torch.equal(index.gather(1, index), torch.arange(4).expand(3, 4))


masks = st.integers(0, 7).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 1), min_size=width, max_size=width), min_size=0, max_size=4).map(
        lambda rows: torch.tensor(rows, dtype=torch.long).reshape(len(rows), width)
    )
)


@settings(deadline=None, max_examples=200)
@given(masks)
def test_compaction_of_any_mask(mask):
    compaction = Compaction(mask)
    ids = torch.arange(mask.numel()).reshape(mask.shape)
    compact = compaction.compact(ids)
    for row, kept in enumerate(mask.bool()):
        count = int(kept.sum())
        assert compaction.lengths[row] == count
        assert compaction.mask[row].tolist() == [True] * count + [False] * (mask.shape[1] - count)
        assert compact[row, :count].tolist() == ids[row][kept].tolist()  # in their order
    assert torch.equal(compaction.scatter(compact), ids)
    vectors = torch.randn(*mask.shape, 3)
    assert torch.equal(compaction.scatter(compaction.compact(vectors)), vectors)
    assert torch.equal(compaction.compact(vectors)[compaction.mask], vectors[mask.bool()])


def test_compaction_keeps_the_order_of_long_rows():
    torch.manual_seed(0)
    mask = torch.randint(2, (2, 5000))
    compact = Compaction(mask).compact(torch.arange(5000).expand(2, -1))
    for row, kept in zip(compact, mask.bool(), strict=True):
        assert torch.equal(row[: int(kept.sum())], kept.nonzero().flatten())


def test_weights_laid_out_once_follow_every_change():
    torch.manual_seed(0)
    layer = BidirectionalLayer(INPUT, HIDDEN, "lstm", "concat")
    lengths = torch.tensor([7, 3])
    values, reversal = torch.randn(2, 7, INPUT), reversal_index(lengths, 7)
    ragged, joined, real = Rows(lengths, 7), JoinedRows(lengths, 7), torch.arange(7) < lengths[:, None]

    def check(layer, values=values):
        with torch.no_grad():
            backward = pick(layer.backward_rnn(pick(values, reversal))[0], reversal)
            expected = layer.forward_rnn(values)[0], backward
            for _ in range(2):  # the second time by what is kept
                assert all(map(torch.equal, layer(values, ragged), expected))
                said = (joined.part(values)[real] for values in layer(joined.join(values), joined))
                for ours, theirs in zip(said, expected, strict=True):
                    torch.testing.assert_close(ours, theirs[real])
            whole = layer.forward_rnn(values)[0], layer.backward_rnn(values.flip(1))[0].flip(1)
            assert all(map(torch.equal, layer(values, Rows(torch.tensor([7, 7]), 7)), whole))

    check(layer)
    with torch.no_grad():
        layer.forward_rnn.weight_hh_l0 += 1
        layer.backward_rnn.bias_ih_l0 += 1
    check(layer)
    sum(said.sum() for said in layer(values, ragged)).backward()  # gradients want PyTorch's own
    for fused in (False, True):
        torch.optim.AdamW(layer.parameters(), lr=0.1, fused=fused).step()
        check(layer)
    assert layer.forward_rnn.weight_hh_l0.grad.abs().sum() > 0
    layer.load_state_dict(BidirectionalLayer(INPUT, HIDDEN, "lstm", "concat").state_dict())
    check(layer)
    layer.backward_rnn.bias_hh_l0 = torch.nn.Parameter(torch.randn(4 * HIDDEN))
    check(layer)
    check(copy.deepcopy(layer))
    check(pickle.loads(pickle.dumps(layer)))
    check(layer.double(), values.double())
    check(layer.float())
    seen = []
    layer.forward_rnn.register_forward_hook(lambda module, inputs, outputs: seen.append(outputs))
    check(layer)
    assert len(seen) == 5


@pytest.mark.parametrize("dtype", [torch.bool, torch.long, torch.float32])
def test_compaction_takes_masks_of_any_type(dtype):
    compaction = Compaction(torch.tensor([[0, 1, 0, 1]], dtype=dtype))
    assert compaction.compact(torch.tensor([[5, 6, 7, 8]]))[0, :2].tolist() == [6, 8]


@pytest.mark.parametrize("variational", [True, False])
def test_dropout_acts_in_training_only_and_after_every_layer(variational):
    torch.manual_seed(0)
    encoder = BiRecurrentEncoder(INPUT, HIDDEN, 2, dropout=0.5, variational=variational)
    values, lengths = torch.randn(2, 5, INPUT), torch.tensor([5, 3])
    first, second = run_layers(encoder, values, lengths)
    assert (first == 0).any()
    assert (second == 0).any()
    encoder.eval()
    plain = BiRecurrentEncoder(INPUT, HIDDEN, 2)
    plain.load_state_dict(encoder.state_dict())
    for output, want in zip(*(run_layers(one, values, lengths) for one in (encoder, plain)), strict=True):
        assert torch.equal(output, want)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=7), st.integers(0, 9))
def test_rows_are_parted_at_the_least_cost(lengths, step_cost):
    lengths = sorted(lengths, reverse=True)

    def cost(groups):
        return sum(lengths[first] * (step_cost + end - first) for first, end in groups)

    groups = like_lengths(lengths, step_cost)
    assert [row for first, end in groups for row in range(first, end)] == list(range(len(lengths)))
    for places in range(2 ** (len(lengths) - 1)):  # every way to part the rows
        bounds = [0, *(row for row in range(1, len(lengths)) if places >> (row - 1) & 1), len(lengths)]
        assert cost(groups) <= cost(itertools.pairwise(bounds))


sizes_of_sentences = st.lists(st.integers(0, 30), min_size=1, max_size=12).filter(any)


@given(sizes_of_sentences)
def test_sentences_joined_end_to_end_never_touch(lengths):
    starts, num_rows = join_end_to_end(lengths)
    width = max(lengths)
    taken = sorted((start, start + length) for start, length in zip(starts, lengths, strict=True) if length)
    for (_, end), (start, _) in itertools.pairwise(taken):
        assert start > end or start % width == 0  # a place stays between them, or another row begins
    for start, end in taken:
        assert start // width == (end - 1) // width
    rows = {start // width for start, _ in taken}
    assert rows == set(range(num_rows))
    halves = [sum(end - start for start, end in taken if start // width == row) for row in rows]
    assert sum(2 * half < width - 1 for half in halves) <= 1  # two such rows would be one


@given(sizes_of_sentences, st.integers(0, 3))
def test_values_joined_come_back_to_their_places(lengths, padding):
    num_tokens = max(lengths) + padding
    rows = JoinedRows(torch.tensor(lengths), num_tokens)
    values = torch.randn(len(lengths), num_tokens, 2)
    joined = rows.join(values)
    assert not joined[rows.between].any()
    assert int((~rows.between).sum()) == sum(lengths)
    for row, length in enumerate(lengths):
        assert torch.equal(rows.part(joined)[row, :length], values[row, :length])


@pytest.mark.parametrize("rnn_type", ["lstm", "gru"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@given(sizes_of_sentences, st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_joined_sentences_know_nothing_of_each_other(rnn_type, dtype, lengths, seed):
    torch.manual_seed(seed)
    encoder = BiRecurrentEncoder(INPUT, HIDDEN, 2, rnn_type).to(dtype).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter *= 5  # states that are hard to forget
    sizes = torch.tensor(lengths)
    rows = JoinedRows(sizes, max(lengths))
    values = torch.randn(len(lengths), max(lengths), INPUT).to(dtype)
    others = torch.where(torch.arange(len(lengths))[:, None, None] == 0, values, 100 * torch.randn_like(values))
    values, others = values.requires_grad_(), others.requires_grad_()
    first, again = (run_layers(encoder, each, sizes, rows)[-1][0, : lengths[0]] for each in (values, others))
    assert torch.equal(first, again)
    if lengths[0]:
        (first.float() ** 2).sum().backward()
        assert not values.grad[1:].any()


def test_rows_are_joined_only_where_it_pays_and_networks_can_forget():
    encoder = BiRecurrentEncoder(INPUT, HIDDEN, 2)
    values, ragged = torch.randn(3, 9, INPUT), torch.tensor([9, 2, 3])
    assert encoder.arrange(values, ragged).between.shape == (2, 9)
    assert encoder.arrange(values, torch.tensor([9, 8, 9])).between is None
    assert encoder.arrange(values[:1], ragged[1:2]).between is None
    seen = []
    encoder.layers[1].backward_rnn.register_forward_hook(lambda module, inputs, outputs: seen.append(outputs))
    assert encoder.arrange(values, ragged).between is None
    run_layers(encoder, values, ragged)
    assert len(seen) == 1
