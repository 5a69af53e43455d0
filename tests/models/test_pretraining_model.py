"""The language models: what each direction sees, their losses, and the models that start from them."""

from __future__ import annotations

import math
import os
import subprocess

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers import (
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    DataCollatorForLanguageModeling,
)
from warm_python import warm_python

from hf_bilstm import BiLstmConfig, BiLstmForPreTraining, BiLstmTokenizer
from hf_bilstm.models.language_model_loss import sampled_token_losses, token_losses

SIZE = 30


def make(**fields):
    torch.manual_seed(0)
    return BiLstmForPreTraining(
        BiLstmConfig(**{"vocab_size": SIZE, "embedding_size": 6, "hidden_size": 5, **fields})
    ).eval()


masks = st.integers(1, 6).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 1), min_size=width, max_size=width), min_size=1, max_size=4)
)


@pytest.mark.parametrize("rnn_type", ["lstm", "gru"])
@pytest.mark.parametrize("merge_mode", ["concat", "sum"])
def test_no_direction_sees_what_it_is_to_predict(rnn_type, merge_mode):
    model = make(rnn_type=rnn_type, merge_mode=merge_mode)
    ids = torch.randint(2, SIZE, (1, 8))
    with torch.inference_mode():
        before = model(ids)
        for place in range(8):
            other = ids.clone()
            other[0, place] = 2 if ids[0, place] != 2 else 3
            after = model(other)
            for name, sees in (("forward_logits", range(place, 8)), ("backward_logits", range(place + 1))):
                changed = (before[name] != after[name]).any(dim=2)[0].nonzero().flatten().tolist()
                assert changed == list(sees), (name, place)


@given(masks, st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_losses_are_those_of_the_logits_whatever_the_batch(rows, seed):
    model, draw = make(), torch.Generator().manual_seed(seed)
    mask = torch.tensor(rows)
    ids = torch.randint(2, SIZE, mask.shape, generator=draw)
    labels = ids.masked_fill((torch.rand(mask.shape, generator=draw) < 0.2) | (mask == 0), -100)
    forward, backward = [], []
    with torch.inference_mode():
        output = model(ids, mask, labels=labels)
        for row, kept in enumerate(mask.bool()):
            alone = model(ids[row][kept][None])
            text = labels[row][kept].tolist()
            for place in range(len(text) - 1):
                after, before = text[place + 1], text[place]
                if after != -100:
                    forward.append(-float(alone.forward_logits[0, place].log_softmax(dim=0)[after]))
                if before != -100:
                    backward.append(-float(alone.backward_logits[0, place + 1].log_softmax(dim=0)[before]))
    means = [sum(losses) / max(1, len(losses)) for losses in (forward, backward)]
    assert [float(output.forward_loss), float(output.backward_loss)] == pytest.approx(means, abs=1e-4)
    assert float(output.loss) == pytest.approx(sum(means) / 2, abs=1e-4)


def test_accumulated_batches_have_the_gradient_of_one_large_batch():
    model = make(embedding_dropout=0.0, hidden_dropout=0.0).train()
    ids = torch.randint(2, SIZE, (4, 7))
    model(ids, labels=ids, num_items_in_batch=28).loss.backward()
    whole = model.forward_projection.weight.grad.clone()
    model.zero_grad()
    for half in ids.split(2):
        model(half, labels=half, num_items_in_batch=28).loss.backward()
    torch.testing.assert_close(model.forward_projection.weight.grad, whole, rtol=2e-2, atol=1e-4)


def test_the_loss_over_all_tokens_and_its_gradients_are_those_of_cross_entropy():
    torch.manual_seed(0)
    states, table, bias = (torch.randn(700, 16), torch.randn(90, 16), torch.randn(90))
    targets = torch.randint(90, (700,))
    given = [value.clone().requires_grad_() for value in (states, table, bias)]
    loss = token_losses(*given, targets)
    (3 * loss).backward()
    plain = [value.clone().requires_grad_() for value in (states, table, bias)]
    expected = F.cross_entropy(plain[0] @ plain[1].T + plain[2], targets, reduction="sum")
    (3 * expected).backward()
    assert loss.item() == pytest.approx(expected.item(), rel=2e-3)  # products may be in bfloat16
    for ours, theirs in zip(given, plain, strict=True):
        assert float((ours.grad - theirs.grad).norm() / theirs.grad.norm()) < 1e-2
    with torch.no_grad():
        assert token_losses(*given, targets).item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_loss_over_drawn_tokens_has_about_the_gradient_of_all():
    torch.manual_seed(0)
    size = 400
    states, table = torch.randn(300, 16), 0.3 * torch.randn(size, 16)
    targets = (size ** torch.rand(300)).long().clamp(max=size - 1)  # small ids are frequent
    bias = torch.zeros(size, requires_grad=True)
    (exact,) = torch.autograd.grad(token_losses(states, table, bias, targets), bias)
    drawn = torch.zeros(size)
    for _ in range(200):
        loss = sampled_token_losses(states, table, bias, targets, 60)
        assert math.isfinite(loss)
        drawn += torch.autograd.grad(loss, bias)[0] / 200
    assert float(F.cosine_similarity(exact, drawn, dim=0)) > 0.97
    assert float(drawn.norm() / exact.norm()) == pytest.approx(1, abs=0.15)


def test_sampling_is_for_training_alone():
    model = make(softmax_samples=4, embedding_dropout=0.0, hidden_dropout=0.0)
    ids = torch.randint(2, SIZE, (3, 9))
    exact = make()(ids, labels=ids).loss
    assert torch.equal(model(ids, labels=ids).loss, exact)
    model.train()
    assert not torch.equal(model(ids, labels=ids).loss, model(ids, labels=ids).loss)


def test_the_output_layer_is_the_embeddings_before_and_after_saving(tmp_path):
    model = make()
    model.save_pretrained(tmp_path)
    ids = torch.randint(2, SIZE, (2, 5))
    loaded = AutoModelForPreTraining.from_pretrained(tmp_path)
    for one in (model, loaded):
        assert one.get_output_embeddings().weight is one.get_input_embeddings().weight
    assert isinstance(loaded, BiLstmForPreTraining)
    assert torch.equal(loaded(ids).forward_logits, model(ids).forward_logits)
    loaded.resize_token_embeddings(SIZE + 3)
    assert loaded(ids).forward_logits.shape == (2, 5, SIZE + 3)
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight


def test_taggers_classifiers_and_encoders_load_what_was_pretrained(tmp_path):
    model = make()
    model.save_pretrained(tmp_path)
    ids = torch.randint(2, SIZE, (2, 5))
    expected = model(ids, output_hidden_states=True).hidden_states
    for auto in (AutoModelForTokenClassification, AutoModelForSequenceClassification):
        loaded = auto.from_pretrained(tmp_path, num_labels=3)
        for ours, theirs in zip(loaded(ids, output_hidden_states=True).hidden_states, expected, strict=True):
            torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(AutoModel.from_pretrained(tmp_path)(ids).last_hidden_state, expected[1])


STRANGER = """
import sys
import torch
from transformers import AutoModelForPreTraining, AutoModelForTokenClassification
folder = sys.argv[1]
ids = torch.arange(2, 9)[None]
model = AutoModelForPreTraining.from_pretrained(folder, trust_remote_code=True)
tagger = AutoModelForTokenClassification.from_pretrained(folder, trust_remote_code=True, num_labels=3)
assert "hf_bilstm" not in sys.modules
print(float(model(ids).backward_logits.double().sum()), tuple(tagger(ids).logits.shape))
"""


def test_those_without_the_package_load_it_too(tmp_path):
    model = make()
    folder = tmp_path / "pretrained"
    model.save_pretrained(folder)
    stranger = subprocess.run(
        [warm_python(), "-c", STRANGER, str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        cwd=tmp_path,
    )
    assert stranger.returncode == 0, stranger.stderr
    total, shape = stranger.stdout.strip().splitlines()[-1].split(" ", 1)
    assert float(total) == pytest.approx(float(model(torch.arange(2, 9)[None]).backward_logits.double().sum()))
    assert shape == "(1, 7, 3)"


def test_words_are_predicted_with_characters_too():
    tokenizer = BiLstmTokenizer.from_corpus(["the cat sat on the mat ."], granularity="word", char_width=6)
    model = make(
        vocab_size=len(tokenizer), char_vocab_size=tokenizer.char_vocab_size, char_embedding_size=4, char_hidden_size=5
    ).train()
    rows = [tokenizer(text) for text in ("the cat sat", "the mat")]
    batch = DataCollatorForLanguageModeling(tokenizer, mlm=False)(rows)
    loss = model(**batch).loss
    loss.backward()
    assert float(model.bilstm.embeddings.characters.embeddings.weight.grad.abs().sum()) > 0


def test_texts_without_a_prediction():
    model = make().train()
    for ids in (torch.zeros(2, 0, dtype=torch.long), torch.full((2, 1), 4)):
        output = model(ids, labels=ids)
        assert float(output.loss) == 0
        output.loss.backward()
        assert model(ids).forward_logits.shape == (*ids.shape, SIZE)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_hidden_layers": 2}, "num_hidden_layers must be 1"),
        ({"bigram_buckets": 100}, "bigram_buckets must be 0"),
        ({"lexicon_embedding_size": 4}, "lexicon_embedding_size must be 0"),
    ],
)
def test_what_would_tell_the_answer_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        make(**fields)


def test_a_label_that_is_no_token_is_named():
    ids = torch.full((1, 4), 5)
    with pytest.raises(ValueError, match=f"labels hold {SIZE}"):
        make()(ids, labels=torch.full((1, 4), SIZE))
