"""Embeddings: the hash of neighbouring tokens against plain integers, and token dropout."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_bilstm import BiLstmConfig, BiLstmModel
from hf_bilstm.models.embeddings import BiLstmEmbeddings, bigram_ids

EXACT = 2**53  # integers below it are exact in the doubles of NumPy, ONNX and JavaScript


def reference_bucket(first, second, num_buckets):
    """The hash as a port to another language computes it; every number on the way is checked to be exact there."""
    products = first * 739_982_445, second * 421_019_953
    total = products[0] + products[1]
    assert max(*products, total) < EXACT
    return total % 1_073_741_789 % num_buckets


@settings(deadline=None, max_examples=200)
@given(
    ids=st.lists(st.one_of(st.integers(0, 30), st.integers(0, 2**22 - 1)), min_size=1, max_size=8),
    padding=st.integers(0, 3),
    num_buckets=st.integers(1, 10**6),
    boundary=st.sampled_from([0, 3, 2**22 - 1]),
)
def test_bigram_ids_equal_plain_integers(ids, padding, num_buckets, boundary):
    rows = torch.tensor([ids + [17] * padding, [0] * (len(ids) + padding)])
    buckets = bigram_ids(rows, torch.tensor([len(ids), 0]), num_buckets, boundary)
    pairs = zip(ids, [*ids[1:], boundary], strict=True)
    assert buckets[0, : len(ids)].tolist() == [reference_bucket(*pair, num_buckets) for pair in pairs]
    assert buckets.min() >= 0
    assert buckets.max() < num_buckets  # at padding too: it is looked up like the rest


def test_the_largest_ids_stay_exact():
    largest = 2**22 - 1
    expected = reference_bucket(largest, largest, 1000)
    assert bigram_ids(torch.tensor([[largest, largest]]), torch.tensor([2]), 1000, 0)[0, 0] == expected


def test_bigram_ids_spread_over_their_buckets():
    ids = torch.arange(100).repeat_interleave(100), torch.arange(100).repeat(100)
    buckets = bigram_ids(torch.stack(ids, dim=1), torch.full((10_000,), 2), 1000, 0)[:, 0]
    counts = buckets.bincount(minlength=1000)
    assert counts.max() < 40  # 10 expected; a hash that ignores a token puts 100 in one
    assert (counts == 0).sum() < 20


def make(training, **changes):
    torch.manual_seed(0)
    fields = {"vocab_size": 50, "embedding_size": 6, "bigram_buckets": 30, "bigram_embedding_size": 4}
    config = BiLstmConfig(**{**fields, "embedding_dropout": 0.0, **changes})
    return BiLstmEmbeddings(config).train(training)


def test_vectors_of_tokens_and_of_pairs_stand_side_by_side():
    embeddings = make(False)
    ids = torch.tensor([[5, 6, 0]])
    vectors = embeddings(ids, torch.tensor([2]))
    assert vectors.shape == (1, 3, embeddings.output_size) == (1, 3, 10)
    assert torch.equal(vectors[0, 0, :6], embeddings.token_embeddings.weight[5])
    assert torch.equal(vectors[0, 0, 6:], embeddings.bigram_embeddings.weight[reference_bucket(5, 6, 30)])
    assert torch.equal(vectors[0, 1, 6:], embeddings.bigram_embeddings.weight[reference_bucket(6, 0, 30)])


def test_the_pair_of_the_last_token_does_not_see_padding():
    embeddings = make(False)
    vectors = embeddings(torch.tensor([[5, 6, 0], [5, 6, 9]]), torch.tensor([2, 2]))
    assert torch.equal(vectors[0, :2], vectors[1, :2])


@pytest.mark.parametrize("buckets", [0, 30])
def test_token_dropout_puts_the_unknown_token_in_training_only(buckets):
    changes = {"token_dropout": 0.25, "unk_token_id": 3, "bigram_buckets": buckets}
    ids = torch.full((40, 100), 7)
    lengths = torch.full((40,), 100)
    vectors = make(True, **changes)(ids, lengths)[:, :, :6]
    weight = make(True, **changes).token_embeddings.weight
    dropped = (vectors == weight[3]).all(dim=2)
    assert torch.equal(dropped, ~(vectors == weight[7]).all(dim=2))
    assert float(dropped.float().mean()) == pytest.approx(0.25, abs=0.03)
    assert (make(False, **changes)(ids, lengths)[:, :, :6] == weight[7]).all()
    assert (ids == 7).all()


@pytest.mark.parametrize("lengths", [[5, 5, 5, 5], [5, 2, 1, 2]], ids=["full", "ragged"])
def test_embedding_dropout_acts_in_training_only(lengths):
    ids, lengths = torch.full((4, 5), 7), torch.tensor(lengths)

    def embed(**fields):
        config = BiLstmConfig(vocab_size=50, embedding_size=6, hidden_size=4, embedding_dropout=0.5, **fields)
        model = BiLstmModel(config)
        rows, dropped = model.train().embed(ids, lengths)
        whole = model.eval().embed(ids, lengths)
        return rows.part(dropped), whole[0].part(whole[1])

    dropped, whole = embed()
    real = torch.arange(5) < lengths[:, None]
    assert (dropped[real] == 0).any()
    assert not (whole[real] == 0).any()
    shared, _ = embed(dropout_type="variational")
    for row, length in enumerate(lengths):
        assert torch.equal(shared[row, :length], shared[row, :1].expand(length, -1))
    assert len(shared[:, 0].unique(dim=0)) > 1  # each sentence has its own


def test_a_model_without_padding_or_unknown_token():
    embeddings = make(True, pad_token_id=None, unk_token_id=None)
    assert embeddings(torch.tensor([[5, 6]]), torch.tensor([2])).shape == (1, 2, 10)
