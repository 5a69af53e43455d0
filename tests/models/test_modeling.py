"""The models: the same answer whatever the batch, losses against enumeration, and every way of loading and saving."""

import copy
import functools
import itertools
import math
import pickle
import tempfile

import pytest
import torch
from helpers_models import LABELS, enumerate_scores, is_legal
from huggingface_hub.errors import StrictDataclassError
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification, Trainer, TrainingArguments

from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification, BiLstmModel
from hf_bilstm.models.trie import build_trie

VOCAB = 20
KINDS = pytest.mark.parametrize("reloaded", [False, True], ids=["fresh", "reloaded"])
WORDS = [(3,), (7, 7), (7, 7, 2), (2, 5), (4, 5, 6), (5, 6, 3, 3)]
# Everything that is looked up beside a token's own vector.
FEATURES = {
    "bigram_buckets": 13,
    "character_type_embedding_size": 3,
    "lexicon_embedding_size": 4,
    "lexicon_size": len(build_trie(WORDS).keys),
}
HEADS = pytest.mark.parametrize(
    ("scheme", "use_crf"), [(scheme, use_crf) for scheme in LABELS for use_crf in (True, False)]
)


def save_and_load(model, **kwargs):
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return type(model).from_pretrained(folder, **kwargs)


def make_model(scheme="bioes", use_crf=True, reloaded=False, seed=0, scale=1.5, **fields):
    """A tiny model in evaluation mode whose scores differ enough for every decision to matter."""
    labels = fields.pop("labels", LABELS[scheme])
    sizes = {"vocab_size": VOCAB, "embedding_size": 6, "hidden_size": 5, "bigram_embedding_size": 4}
    config = BiLstmConfig(
        **{**sizes, **fields}, use_crf=use_crf, tagging_scheme=scheme, id2label=dict(enumerate(labels))
    )
    torch.manual_seed(seed)
    model = BiLstmForTokenClassification(config).eval()
    embeddings = model.bilstm.embeddings
    if embeddings.character_type_embeddings is not None:
        embeddings.fill_character_types({token: token_id for token_id, token in enumerate("，一二3４abcdeあア가é")})
    if embeddings.lexicon is not None:
        embeddings.lexicon.fill(build_trie(WORDS), torch.tensor([1, 2, 4, 5, 19, 20]), torch.tensor([1, 0] * 3))
    for parameter in [*model.classifier.parameters(), *model.crf.parameters()]:
        nn.init.normal_(parameter, std=scale)
    return save_and_load(model) if reloaded else model


@functools.cache
def shared_model(*arguments):
    """A model that a property test may use for many examples, but not change."""
    scheme, use_crf, reloaded, rnn_type, has_features = arguments
    fields = FEATURES if has_features else {}
    return make_model(scheme, use_crf, reloaded, rnn_type=rnn_type, num_hidden_layers=2, **fields)


def compact_emissions(model, ids):
    """Emissions of one text alone, (T, S)."""
    return model(torch.tensor([ids])).emissions[0]


@pytest.mark.parametrize("fused", [False, True])
def test_answers_are_those_of_the_present_weights(fused):
    """What is kept between calls follows training, and writes to `data`, which PyTorch itself counts nowhere."""
    # Some of the weights have more numbers than are looked at one by one.
    model = make_model(hidden_size=40, char_vocab_size=9, char_embedding_size=5)
    ids, characters = torch.tensor([[3, 7, 7, 2, 5]]), torch.tensor([[[2, 3], [4, 0], [4, 0], [8, 2], [3, 0]]])
    inputs = {"input_ids": ids, "char_input_ids": characters}

    def answers(model):
        with torch.no_grad():
            return model(**inputs).logits, model.posteriors(ids, char_input_ids=characters)

    def check():
        now = answers(model)
        assert not torch.equal(now[0], earlier[0])
        assert all(map(torch.equal, now, answers(copy.deepcopy(model))))
        assert all(map(torch.equal, now, answers(model)))

    earlier = answers(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=fused)
    for _ in range(2):
        model(**inputs, labels=torch.tensor([[0, 1, 2, 0, 1]])).loss.backward()
        optimizer.step()
        check()
        earlier = answers(model)
    for module in (model.crf, model.bilstm.encoder, model.bilstm.embeddings.characters):
        for weight in module.parameters():
            weight.data.mul_(1.1)
        check()
        earlier = answers(model)


# The same answer whatever the batch


models = st.builds(
    shared_model,
    st.sampled_from(list(LABELS)),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["lstm", "gru"]),
    st.booleans(),
)
texts = st.lists(st.integers(0, VOCAB - 1), min_size=0, max_size=6)


@settings(deadline=None, max_examples=150)
@given(model=models, rows=st.lists(texts, min_size=1, max_size=4), data=st.data())
def test_the_answer_for_a_text_never_depends_on_its_batch(model, rows, data):
    width = max(map(len, rows)) + data.draw(st.integers(0, 2))
    ids, mask = torch.zeros(2, len(rows), width, dtype=torch.long).unbind()
    side = data.draw(st.sampled_from(["left", "right", "holes"]))
    places = []
    for row, text in enumerate(rows):
        if side == "holes":
            chosen = data.draw(st.permutations(range(width)))[: len(text)]
            place = sorted(chosen)
        else:
            first = width - len(text) if side == "left" else 0
            place = list(range(first, first + len(text)))
        ids[row] = data.draw(st.integers(0, VOCAB - 1))  # what stands at padding must not matter
        ids[row, place] = torch.tensor(text, dtype=torch.long)
        mask[row, place] = 1
        places.append(place)
    with torch.no_grad():
        output = model(ids, attention_mask=mask, output_hidden_states=True)
        posteriors = model.posteriors(ids, mask)
        sequences, log_probabilities = model.n_best(ids, 3, mask)
        for row, (text, place) in enumerate(zip(rows, places, strict=True)):
            alone = model(torch.tensor([text]).reshape(1, -1), output_hidden_states=True)
            assert_same(output.logits[row, place], alone.logits[0])
            assert_same(output.emissions[row, place], alone.emissions[0])
            for layer, want in zip(output.hidden_states, alone.hidden_states, strict=True):
                assert_same(layer[row, place], want[0])
            best, its_log_probabilities = model.n_best(torch.tensor([text]).reshape(1, -1), 3)
            assert_same(log_probabilities[row], its_log_probabilities[0])
            assert sequences[row][:, place].tolist() == best[0].tolist()
            assert_same(posteriors[row, place], model.posteriors(torch.tensor([text]).reshape(1, -1))[0])
    padding = mask == 0
    assert (output.logits[padding] == 0).all()
    assert (output.hidden_states[-1][padding] == 0).all()
    assert (posteriors[padding] == 0).all()
    assert (sequences.transpose(1, 2)[padding] == -100).all()
    order = data.draw(st.permutations(range(len(rows))))
    with torch.no_grad():
        assert_same(model(ids[order], attention_mask=mask[order]).logits, output.logits[order])


def assert_same(value, expected):
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)


@HEADS
@KINDS
def test_the_largest_logits_spell_the_viterbi_path_and_it_is_legal(scheme, use_crf, reloaded):
    model = make_model(scheme, use_crf, reloaded, scale=3.0)
    space = model.crf.space
    torch.manual_seed(1)
    for ids in torch.randint(VOCAB, (30, 5)):
        output = model(ids[None])
        paths, scores = enumerate_scores(model.crf, output.emissions[0])
        best = paths[scores.argmax()].tolist()
        assert is_legal(space, best)
        assert output.logits.dtype == torch.float32
        assert output.logits.shape == (1, 5, len(LABELS[scheme]))
        assert output.logits[0].argmax(dim=1).tolist() == [space.state_to_label[state] for state in best]
        assert (output.logits[0].amax(dim=1) == 0).all()


@HEADS
@KINDS
def test_posteriors_and_n_best_equal_enumeration(scheme, use_crf, reloaded):
    model = make_model(scheme, use_crf, reloaded)
    owners = torch.tensor(model.crf.space.state_to_label)
    ids = [3, 7, 7, 2]
    paths, scores = enumerate_scores(model.crf, compact_emissions(model, ids))
    log_probabilities = scores.log_softmax(dim=0).detach()
    batch, mask = torch.tensor([[0, *ids], [0, 0, 0, 0, 5]]), torch.tensor([[0, 1, 1, 1, 1], [0, 0, 0, 0, 1]])
    shares = nn.functional.one_hot(owners[paths], model.num_labels) * log_probabilities.exp()[:, None, None]
    posteriors = model.posteriors(batch, mask)
    assert not posteriors.requires_grad
    assert_same(posteriors[0, 1:], shares.sum(dim=0).float())
    assert_same(posteriors.sum(dim=2), mask.float())
    sequences, values = model.n_best(batch, 40, mask)
    count = min(40, len(paths))
    best = log_probabilities.argsort(descending=True)[:count]
    assert sequences[0, :count, 1:].tolist() == owners[paths[best]].tolist()
    assert_same(values[0, :count].double(), log_probabilities[best])
    assert values[0, count:].tolist() == [-math.inf] * (40 - count)
    unused = values == -math.inf
    assert unused[1].any()  # one token has few labels
    assert (sequences[unused] == -100).all()
    assert (sequences.transpose(1, 2)[mask == 0] == -100).all()


# The loss


def start_spans(labels):
    """Labels with every I-X that continues nothing rewritten to B-X, by name; None is unknown and may be anything."""
    result = list(labels)
    for position, label in enumerate(result):
        if label and label[0] == "I":
            before = result[position - 1] if position else "O"
            if before is not None and before not in (label, "B" + label[1:]):
                result[position] = "B" + label[1:]
    return result


def brute_log_likelihood(model, ids, names):
    """Log-probability of the named labels, None for unknown ones, over every legal path."""
    paths, scores = enumerate_scores(model.crf, compact_emissions(model, ids))
    owners = torch.tensor(model.crf.space.state_to_label)[paths]
    agree = torch.ones(len(paths), dtype=torch.bool)
    for position, name in enumerate(start_spans(names)):
        if name is not None:
            agree &= owners[:, position] == model.config.label2id[name]
    return scores[agree].logsumexp(0) - scores.logsumexp(0)


def to_ids(model, names):
    return [-100 if name is None else model.config.label2id[name] for name in names]


@settings(deadline=None, max_examples=100)
@given(
    scheme=st.sampled_from(list(LABELS)),
    reloaded=st.booleans(),
    rows=st.lists(st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=4), min_size=1, max_size=3),
    data=st.data(),
)
def test_partial_labels_have_the_likelihood_of_all_paths_that_agree(scheme, reloaded, rows, data):
    model = shared_model(scheme, True, reloaded, "lstm", False)
    width = max(map(len, rows)) + 1
    ids, mask = torch.zeros(2, len(rows), width, dtype=torch.long).unbind()
    labels = torch.full((len(rows), width), data.draw(st.integers(0, 3)) % model.num_labels)  # at padding: ignored
    expected, known = 0.0, 0
    for row, text in enumerate(rows):
        choices = st.sampled_from([None, *LABELS[scheme]])
        names = data.draw(st.lists(choices, min_size=len(text), max_size=len(text)))
        ids[row, -len(text) :] = torch.tensor(text)
        mask[row, -len(text) :] = 1
        labels[row, -len(text) :] = torch.tensor(to_ids(model, names))
        value = brute_log_likelihood(model, text, names).item()
        assert math.isfinite(value)  # after starting spans, every sequence of labels is legal
        expected -= value
        known += len(names) - names.count(None)
        assert model.label_log_likelihood(ids, labels, mask)[row].item() == pytest.approx(value, abs=1e-5)
    asked = torch.arange(len(rows)).flip(0).repeat(2)  # of each row twice, in another order
    answers = model.label_log_likelihood(ids, labels[asked], mask, rows=asked)
    torch.testing.assert_close(answers, model.label_log_likelihood(ids, labels, mask)[asked])
    with torch.no_grad():
        loss = model(ids, attention_mask=mask, labels=labels).loss
        summed = model(ids, attention_mask=mask, labels=labels, num_items_in_batch=1).loss
    assert loss.item() == pytest.approx(expected / max(known, 1), rel=1e-5, abs=1e-5)
    assert summed.item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("scheme", ["iob2", "bioes"])
@pytest.mark.parametrize("use_crf", [True, False])
def test_an_inside_label_without_a_span_to_go_on_starts_one(scheme, use_crf):
    model = make_model(scheme, use_crf)
    ids = torch.tensor([[4, 5, 6, 7, 8]])

    def loss(*names):
        return model(ids, labels=torch.tensor([to_ids(model, names)])).loss.item()

    assert loss("I-X", "I-X", "O", "I-X", "I-X") == loss("B-X", "I-X", "O", "B-X", "I-X")
    assert loss("B-Y", "I-X", "I-X", "O", "O") == loss("B-Y", "B-X", "I-X", "O", "O")
    assert loss("B-X", "I-X", "I-X", "O", "O") != loss("B-X", "B-X", "I-X", "O", "O")
    if use_crf:
        assert loss("O", None, "I-X", "O", "O") != loss("O", None, "B-X", "O", "O")  # the unknown one can start it


@HEADS
def test_labels_at_masked_positions_are_ignored(scheme, use_crf):
    model = make_model(scheme, use_crf)
    ids, mask = torch.tensor([[0, 4, 5, 0, 6]]), torch.tensor([[0, 1, 1, 0, 1]])
    labels = torch.tensor([[0, 1, 2, 0, 2]])
    expected = model(torch.tensor([[4, 5, 6]]), labels=torch.tensor([[1, 2, 2]])).loss
    for filler in range(model.num_labels):
        labels[mask == 0] = filler
        assert_same(model(ids, attention_mask=mask, labels=labels).loss, expected)
    labels[mask == 0] = -100
    assert_same(model(ids, attention_mask=mask, labels=labels).loss, expected)


@HEADS
@pytest.mark.parametrize("as_tensor", [True, False])
def test_num_items_in_batch_divides_the_sum(scheme, use_crf, as_tensor):
    model = make_model(scheme, use_crf)
    ids, labels = torch.tensor([[4, 5, 6], [7, 8, 9]]), torch.tensor([[0, 1, -100], [-100, 0, 0]])
    mean = model(ids, labels=labels).loss  # 4 labelled tokens
    divisor = torch.tensor(8) if as_tensor else 8
    assert_same(model(ids, labels=labels, num_items_in_batch=divisor).loss, mean / 2)
    nothing = torch.full_like(labels, -100)
    for number in (None, torch.tensor(0) if as_tensor else 0):
        assert model(ids, labels=nothing, num_items_in_batch=number).loss.item() == 0


@pytest.mark.parametrize("use_crf", [True, False])
def test_training_on_nothing_but_empty_texts(use_crf):
    model = make_model(use_crf=use_crf).train()
    empty = torch.zeros(2, 0)
    output = model(empty, attention_mask=empty, labels=empty)
    output.loss.backward()
    assert output.loss.item() == 0
    assert output.logits.shape == (2, 0, 4)


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [1, 1, 1]])
@pytest.mark.parametrize("use_crf", [True, False])
def test_label_weights_of_1_change_nothing(use_crf, weights):
    plain = make_model("none", use_crf)
    weighted = make_model("none", use_crf, label_weights=weights)
    ids, labels = torch.tensor([[4, 5, 6, 7]]), torch.tensor([[0, 1, -100, 2]])
    assert_same(weighted(ids, labels=labels).loss, plain(ids, labels=labels).loss)


def test_label_weights_of_the_softmax_head():
    weights = [0.5, 2.0, 3.0]
    model = make_model("none", False, label_weights=weights)
    ids, labels = torch.tensor([[4, 5, 6, 7], [8, 9, 0, 0]]), torch.tensor([[0, 1, -100, 2], [2, 2, 0, 1]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    output = model(ids, attention_mask=mask, labels=labels)
    known = labels.masked_fill(mask == 0, -100)
    summed = nn.functional.cross_entropy(
        output.emissions.flatten(0, 1), known.flatten(), weight=torch.tensor(weights), reduction="sum"
    )
    assert_same(output.loss, summed / 5)


@pytest.mark.parametrize("scheme", list(LABELS))
def test_label_weights_of_the_crf(scheme):
    weights = [0.5, 2.0, 3.0, 1.5][: len(LABELS[scheme])]
    model = make_model(scheme, label_weights=weights)
    ids, gold = [4, 5, 6, 7], [0, 1, -100, 1]
    paths, scores = enumerate_scores(model.crf, compact_emissions(model, ids))
    owners = torch.tensor(model.crf.space.state_to_label)[paths]
    costs, agree = torch.zeros(len(paths), dtype=torch.float64), torch.ones(len(paths), dtype=torch.bool)
    for position, label in enumerate(gold):
        if label != -100:
            wrong = owners[:, position] != label
            costs += wrong * math.log(weights[label])
            agree &= ~wrong
    expected = ((scores + costs).logsumexp(0) - scores[agree].logsumexp(0)) / 3
    assert_same(model(torch.tensor([ids]), labels=torch.tensor([gold])).loss, expected.float())


@pytest.mark.parametrize("use_crf", [True, False])
def test_a_label_weight_of_0_leaves_a_finite_loss(use_crf):
    model = make_model("bioes", use_crf, label_weights=[0, 1, 1, 1]).train()
    loss = model(torch.tensor([[4, 5, 6]]), labels=torch.tensor([[0, 1, 2]])).loss
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_the_softmax_head_narrows_the_states_of_a_label_to_those_its_neighbours_allow():
    model = make_model("bioes", False)
    names = ["B-X", "I-X", "I-X", "O", "B-X", "B-Y"]
    states = ["B-X", "I-X", "E-X", "O", "S-X", "S-Y"]
    ids = torch.tensor([[4, 5, 6, 7, 8, 9]])
    output = model(ids, labels=torch.tensor([to_ids(model, names)]))
    gold = torch.tensor([model.crf.space.states.index(state) for state in states])
    assert_same(output.loss, nn.functional.cross_entropy(output.emissions[0], gold))


@HEADS
def test_training_logits_are_folded_emissions_and_differentiable(scheme, use_crf):
    model = make_model(scheme, use_crf, embedding_dropout=0.0, hidden_dropout=0.0).train()
    ids, mask = torch.tensor([[0, 4, 5], [6, 7, 8]]), torch.tensor([[0, 1, 1], [1, 1, 1]])
    output = model(ids, attention_mask=mask)
    for label in range(model.num_labels):
        states = [state for state, owner in enumerate(model.crf.space.state_to_label) if owner == label]
        expected = output.emissions[:, :, states].logsumexp(dim=2).masked_fill(mask == 0, 0.0)
        assert_same(output.logits[:, :, label], expected)
    output.logits[:, :, 1].sum().backward()
    assert model.classifier.weight.grad.abs().sum() > 0
    assert not (model(ids).logits == 0).all()


# White space


SEGMENTATION = {"labels": ["O", "B-WORD", "I-WORD"], "white_space_token_id": 2}


@pytest.mark.parametrize("scheme", ["iob2", "bioes"])
@pytest.mark.parametrize("use_crf", [True, False])
@KINDS
def test_only_o_at_white_space_and_nowhere_else(scheme, use_crf, reloaded):
    model = make_model(scheme, use_crf, reloaded, scale=4.0, **SEGMENTATION)
    torch.manual_seed(1)
    ids = torch.randint(2, 6, (40, 7))
    mask = (torch.rand(40, 7) < 0.8).long()
    outside = model(ids, attention_mask=mask).logits.argmax(dim=2) == 0
    assert torch.equal(outside[mask == 1], (ids == 2)[mask == 1])
    posteriors = model.posteriors(ids, mask)
    assert_same(posteriors[:, :, 0], ((ids == 2) & (mask == 1)).float())
    sequences, values = model.n_best(ids, 4, mask)
    for ranked, value in zip(sequences.unbind(1), values.unbind(1), strict=True):
        used = (mask == 1) & (value > -math.inf)[:, None]
        assert torch.equal((ranked == 0)[used], (ids == 2)[used])


@pytest.mark.parametrize("scheme", ["iob2", "bioes"])
@pytest.mark.parametrize("use_crf", [True, False])
def test_losses_with_white_space_are_finite_and_follow_its_rule(scheme, use_crf):
    model = make_model(scheme, use_crf, **SEGMENTATION).train()
    ids = torch.tensor([[4, 5, 2, 6, 7]])
    full = model.eval()(ids, labels=torch.tensor([[1, 2, 0, 1, 2]])).loss
    # A word that would go on after white space starts there, whether the white space is labelled or not.
    assert_same(model(ids, labels=torch.tensor([[1, 2, 0, 2, 2]])).loss, full)
    assert_same(model(ids, labels=torch.tensor([[1, 2, -100, 2, 2]])).loss * 4, full * 5)
    for labels in ([1, -100, 0, -100, 2], [-100, 2, -100, 2, -100], [-100] * 5):
        loss = model.train()(ids, labels=torch.tensor([labels])).loss
        assert 0 <= loss.item() < 100
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("labels", [[1, 1, 0], [0, 0, 1]])
def test_labels_that_contradict_white_space_are_refused(labels):
    model = make_model("bioes", **SEGMENTATION)
    with pytest.raises(
        ValueError, match=r"labels must be 'O' at white space \(token 2\), and only there: correct them"
    ):
        model(torch.tensor([[4, 2, 5]]), labels=torch.tensor([labels]))


@pytest.mark.parametrize("labels", [["B-WORD", "I-WORD"], ["O"]])
def test_white_space_needs_o_and_another_label(labels):
    with pytest.raises(ValueError, match="the labels need 'O' for white space and others elsewhere"):
        make_model("bioes", labels=labels, white_space_token_id=2)


# Training with the stock Trainer


@pytest.mark.parametrize("use_crf", [True, False])
def test_accumulated_gradients_equal_one_large_batch(use_crf, tmp_path):
    generator = torch.Generator().manual_seed(0)
    rows = []
    for _ in range(32):
        labels = torch.randint(4, (9,), generator=generator)
        labels[torch.rand(9, generator=generator) < torch.rand(1, generator=generator)] = -100
        rows.append({"input_ids": torch.randint(VOCAB, (9,), generator=generator), "labels": labels})
    weights = []
    for batch_size in (8, 32):
        model = make_model("bioes", use_crf, embedding_dropout=0.0, hidden_dropout=0.0)
        arguments = TrainingArguments(
            output_dir=str(tmp_path),
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=32 // batch_size,
            max_steps=1,
            learning_rate=0.1,
            lr_scheduler_type="constant",
            optim="sgd",
            max_grad_norm=0,
            report_to=[],
            use_cpu=True,
            save_strategy="no",
            disable_tqdm=True,
        )
        before = copy.deepcopy(model.state_dict())
        trainer = Trainer(model=model, args=arguments, train_dataset=rows)
        assert trainer.model_accepts_loss_kwargs
        trainer.train()
        weights.append(model.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-5, atol=1e-6)
        assert not torch.equal(value, before[name]), name


@pytest.mark.parametrize("rnn_type", ["lstm", "gru"])
def test_a_ragged_batch_trains_as_its_sentences_do_one_by_one(rnn_type):
    features = {"bigram_buckets": 20, "num_hidden_layers": 2, "embedding_dropout": 0.0, "hidden_dropout": 0.0}
    model = make_model("bioes", rnn_type=rnn_type, **features).train()
    lengths = torch.tensor([9, 2, 1, 4, 3])
    mask = (torch.arange(9) < lengths[:, None]).long()
    ids, labels = torch.randint(VOCAB, (5, 9)), torch.randint(4, (5, 9))
    count = int(lengths.sum())
    together = model(ids, mask, labels=labels, num_items_in_batch=count)
    together.loss.backward()
    expected = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    losses = []
    for row, length in enumerate(lengths):
        alone = model(ids[row : row + 1, :length], labels=labels[row : row + 1, :length], num_items_in_batch=count)
        alone.loss.backward()
        losses.append(alone.loss)
        torch.testing.assert_close(alone.logits[0], together.logits[row, :length])
    torch.testing.assert_close(sum(losses), together.loss)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-5)


def test_the_stock_trainer_evaluates_and_predicts_the_viterbi_labels(tmp_path):
    model = make_model("bioes", scale=3.0)
    rows = [{"input_ids": torch.randint(VOCAB, (6,)), "labels": torch.zeros(6, dtype=torch.long)} for _ in range(5)]
    arguments = TrainingArguments(
        output_dir=str(tmp_path), per_device_eval_batch_size=2, report_to=[], use_cpu=True, disable_tqdm=True
    )
    prediction = Trainer(model=model, args=arguments).predict(rows)
    assert prediction.predictions.shape == (5, 6, 4)  # logits alone
    for row, logits in zip(rows, prediction.predictions, strict=True):
        best, _ = model.n_best(row["input_ids"][None], 1)
        assert logits.argmax(axis=1).tolist() == best[0, 0].tolist()
    assert math.isfinite(prediction.metrics["test_loss"])


@pytest.mark.parametrize("rnn_type", ["lstm", "gru"])
@pytest.mark.parametrize("scheme", ["none", "bioes"])
def test_a_tiny_corpus_is_learned(scheme, rnn_type):
    model = make_model(scheme, rnn_type=rnn_type, scale=0.1, **FEATURES, token_dropout=0.1).train()
    torch.manual_seed(0)
    ids = torch.randint(4, VOCAB, (8, 6))
    names = ["NN", "VB"] if scheme == "none" else ["B-X", "O"]
    labels = torch.where(ids < 10, model.config.label2id[names[0]], model.config.label2id[names[1]])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(40):
        optimizer.zero_grad()
        model(ids, labels=labels).loss.backward()
        optimizer.step()
    assert torch.equal(model.eval()(ids).logits.argmax(dim=2), labels)


# What goes in and what comes out


def test_hidden_states_and_tuples():
    model = make_model(num_hidden_layers=2)
    ids, labels = torch.tensor([[4, 5, 6]]), torch.tensor([[0, 1, 2]])
    output = model(ids, labels=labels, output_hidden_states=True)
    assert [tuple(state.shape) for state in output.hidden_states] == [(1, 3, 6), (1, 3, 10), (1, 3, 10)]
    as_tuple = model(ids, labels=labels, output_hidden_states=True, return_dict=False)
    assert isinstance(as_tuple, tuple)
    for got, want in zip(as_tuple[:3], output.to_tuple()[:3], strict=True):
        assert torch.equal(got, want)
    assert len(model(ids, return_dict=False)) == 2
    base = model.bilstm(ids, output_hidden_states=True)
    assert torch.equal(base.last_hidden_state, output.hidden_states[-1])
    assert torch.equal(model.bilstm(ids, return_dict=False)[0], base.last_hidden_state)
    assert model(ids).hidden_states is None
    model.config.output_hidden_states = True
    assert len(model(ids).hidden_states) == 3


@KINDS
def test_empty_texts_arrive_as_floats(reloaded):
    model = make_model(reloaded=reloaded, **FEATURES)
    empty = torch.tensor([[]])
    assert empty.dtype == torch.float32
    assert model(empty, attention_mask=empty).logits.shape == (1, 0, 4)
    assert model.posteriors(empty).shape == (1, 0, 4)
    sequences, values = model.n_best(empty, 2)
    assert sequences.shape == (1, 2, 0)
    assert values.tolist() == [[0.0, -math.inf]]
    assert model(torch.zeros(0, 3, dtype=torch.long)).logits.shape == (0, 3, 4)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"input_ids is missing: call the model with a tokenizer's output"),
        (
            {"input_ids": torch.tensor([1, 2])},
            r"must have shape \(batch, tokens\), got \(2,\); for one text: input_ids\[",
        ),
        (
            {"input_ids": torch.tensor([[1, 99]])},
            r"hold 99, but the model knows the ids 0 to 19: use the tokenizer saved",
        ),
        ({"input_ids": torch.tensor([[-1, 9]])}, r"hold -1, .* or resize_token_embeddings\(len\(tokenizer\)\)"),
        (
            {"input_ids": torch.tensor([[1.5]])},
            r"input_ids must be integers, got torch.float32: pass input_ids.long\(\)",
        ),
        (
            {"input_ids": torch.tensor([[1, 2]]), "attention_mask": torch.ones(1, 3)},
            r"attention_mask must have the shape of input_ids, \(1, 2\), got \(1, 3\)",
        ),
        (
            {"input_ids": torch.tensor([[1, 2]]), "labels": torch.tensor([0, 1])},
            r"labels must have the shape \(1, 2\) of input_ids, got \(2,\)",
        ),
        (
            {"input_ids": torch.tensor([[1, 2]]), "labels": torch.tensor([[0, 4]])},
            r"labels hold 4, but the model has the labels 0 to 3 \(O, B-X, I-X, B-Y\): use its config.label2id, and",
        ),
        ({"input_ids": torch.tensor([[1, 2]]), "labels": torch.tensor([[-1, 0]])}, r"labels hold -1, but"),
        ({"input_ids": torch.tensor([[1, 2]]), "labels": torch.tensor([[0.5, 0]])}, r"labels must be integers"),
    ],
)
def test_wrong_inputs_are_named_with_the_remedy(inputs, message):
    with pytest.raises(ValueError, match=message):
        make_model()(**inputs)


def test_resized_embeddings_are_used():
    model = make_model(**FEATURES)
    ids = torch.tensor([[4, 5, 6]])
    before = model(ids).logits
    model.resize_token_embeddings(VOCAB + 5)
    assert model.config.vocab_size == VOCAB + 5
    assert_same(model(ids).logits, before)
    assert torch.isfinite(model(ids + 18).logits).all()
    again = save_and_load(model)
    assert_same(again(ids + 18).logits, model(ids + 18).logits)


def test_extra_arguments_of_other_models_are_ignored():
    model = make_model()
    ids = torch.tensor([[4, 5]])
    assert torch.equal(model(ids, token_type_ids=torch.zeros_like(ids)).logits, model(ids).logits)


# Labels


def test_labels_that_contradict_the_scheme():
    with pytest.raises(ValueError, match="Label 'NN' contradicts tagging_scheme='bioes'"):
        make_model("bioes", labels=["O", "NN"])
    with pytest.raises(ValueError, match="has no 'B-X' to start it"):
        make_model("iob2", labels=["O", "I-X"])
    with pytest.raises(ValueError, match="must be distinct"):
        BiLstmForTokenClassification(BiLstmConfig(id2label={0: "A", 1: "A"}, label2id={"A": 1}, vocab_size=VOCAB))
    with pytest.raises(ValueError, match="label_weights has 2 entries for 3 labels"):
        make_model("none", label_weights=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"id2label must have the keys 0, 1, 2, \.\.\. \(integers\), got \[0, 2\]"):
        BiLstmForTokenClassification(BiLstmConfig(id2label={0: "A", 2: "B"}, vocab_size=VOCAB))
    with pytest.raises(ValueError, match="id2label must have the keys"):
        BiLstmForTokenClassification(BiLstmConfig(num_labels=0, vocab_size=VOCAB))
    config = BiLstmConfig(id2label={0: "A", 1: "B"}, label2id={"A": 1, "B": 0}, vocab_size=VOCAB)
    with pytest.raises(ValueError, match="label2id is not the inverse of id2label"):
        BiLstmForTokenClassification(config)


def test_one_label_is_enough():
    model = make_model("none", labels=["NN"])
    output = model(torch.tensor([[4, 5]]), labels=torch.tensor([[0, 0]]))
    assert output.loss.item() == 0
    assert output.logits.tolist() == [[[0.0], [0.0]]]


def test_default_labels_work_without_a_scheme_only(tmp_path):
    model = BiLstmForTokenClassification(BiLstmConfig(vocab_size=VOCAB, num_labels=3)).eval()
    assert save_and_load(model).config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    with pytest.raises(ValueError, match=r"needs the labels' names, .* Pass id2label=\{0: 'O', 1: 'B-X'"):
        BiLstmForTokenClassification(BiLstmConfig(vocab_size=VOCAB, num_labels=3, tagging_scheme="bioes"))
    make_model("bioes").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="needs the labels' names"):
        BiLstmForTokenClassification.from_pretrained(tmp_path, num_labels=7)


def test_labels_passed_to_from_pretrained(tmp_path):
    source = make_model("bioes")
    source.save_pretrained(tmp_path)
    names = ["O", "B-A", "I-A", "B-B", "I-B"]
    id2label, label2id = dict(enumerate(names)), {name: index for index, name in enumerate(names)}
    maps = {"id2label": id2label, "label2id": label2id}
    for extra in ({}, {"num_labels": 5}):
        model = BiLstmForTokenClassification.from_pretrained(tmp_path, ignore_mismatched_sizes=True, **maps, **extra)
        assert model.config.id2label == id2label
        assert model(torch.tensor([[4, 5]])).logits.shape == (1, 2, 5)
        assert torch.equal(model.bilstm.embeddings.token_embeddings.weight, source.get_input_embeddings().weight)
        for parameter in model.crf.parameters():
            assert (parameter == 0).all()
        bound = math.sqrt(6 / sum(model.classifier.weight.shape))
        assert 0 < model.classifier.weight.abs().max() <= bound
        assert (model.classifier.bias == 0).all()
        again = save_and_load(model)
        assert_same(again(torch.tensor([[4, 5]])).logits, model(torch.tensor([[4, 5]])).logits)
    with pytest.raises(ValueError, match=r"label2id is not the inverse of id2label.*Pass both"):
        BiLstmForTokenClassification.from_pretrained(tmp_path, ignore_mismatched_sizes=True, id2label=id2label)
    config = AutoConfig.from_pretrained(tmp_path, **maps)
    model = AutoModelForTokenClassification.from_pretrained(tmp_path, config=config, ignore_mismatched_sizes=True)
    assert model.config.id2label == id2label


def test_labels_assigned_to_the_config_of_a_loaded_model(tmp_path):
    BiLstmForTokenClassification(BiLstmConfig(vocab_size=VOCAB, num_labels=3)).save_pretrained(tmp_path / "old")
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "old")
    names = ["O", "B-X", "I-X"]
    model.config.label2id = {name: index for index, name in enumerate(names)}
    model.config.id2label = dict(enumerate(names))
    model.save_pretrained(tmp_path / "new")
    again = AutoModelForTokenClassification.from_pretrained(tmp_path / "new")
    assert again.config.id2label == dict(enumerate(names))
    ids = torch.tensor([[4, 5, 6]])
    assert_same(again(ids).logits, model(ids).logits)


@pytest.mark.parametrize("names", [["O", "B-Z", "I-Z", "B-W"], ["B-X", "I-X", "O", "B-Y"]])
def test_labels_assigned_later_must_fit_the_states_of_the_model(tmp_path, names):
    model = make_model("bioes")
    model.config.label2id = {name: index for index, name in enumerate(names)}
    model.config.id2label = dict(enumerate(names))
    if names[0] == "O":  # other names for the same structure
        ids = torch.tensor([[4, 5, 6]])
        assert_same(save_and_load(model)(ids).logits, model(ids).logits)
    else:
        with pytest.raises(
            ValueError, match=r"config.id2label was changed .* Pass id2label and label2id to from_pret"
        ):
            model.save_pretrained(tmp_path)


# Loading and saving


@pytest.mark.parametrize("rnn_type", ["lstm", "gru"])
@HEADS
def test_a_saved_model_gives_equal_logits(scheme, use_crf, rnn_type, tmp_path):
    model = make_model(scheme, use_crf, rnn_type=rnn_type, num_hidden_layers=2, **FEATURES)
    model.save_pretrained(tmp_path)
    suffixes = {path.suffix for path in tmp_path.iterdir()}
    assert suffixes <= {".json", ".safetensors", ".py"}
    ids, mask = torch.tensor([[4, 5, 6], [7, 0, 0]]), torch.tensor([[1, 1, 1], [1, 0, 0]])
    for loader in (BiLstmForTokenClassification, AutoModelForTokenClassification):
        again = loader.from_pretrained(tmp_path)
        assert isinstance(again, BiLstmForTokenClassification)
        assert not again.training
        assert torch.equal(again(ids, attention_mask=mask).logits, model(ids, attention_mask=mask).logits)
        for name, value in model.state_dict().items():
            assert torch.equal(again.state_dict()[name], value)


def test_the_base_model_loads_from_a_taggers_checkpoint_and_back(tmp_path):
    model = make_model()
    ids = torch.tensor([[4, 5, 6]])
    expected = model.bilstm(ids).last_hidden_state
    model.save_pretrained(tmp_path / "tagger")
    for loader in (BiLstmModel, AutoModel):
        base = loader.from_pretrained(tmp_path / "tagger")
        assert isinstance(base, BiLstmModel)
        assert torch.equal(base(ids).last_hidden_state, expected)
    base.save_pretrained(tmp_path / "base")
    tagger = BiLstmForTokenClassification.from_pretrained(tmp_path / "base")
    assert torch.equal(tagger.bilstm(ids).last_hidden_state, expected)


def assert_documented_recurrent_weights(rnn):
    size = rnn.hidden_size
    for gate in rnn.weight_hh_l0.split(size):
        assert_same(gate @ gate.T, torch.eye(size))
    bias = torch.zeros_like(rnn.bias_ih_l0)
    if isinstance(rnn, nn.LSTM):
        bias[size : 2 * size] = 1
    assert torch.equal(rnn.bias_ih_l0, bias)
    assert (rnn.bias_hh_l0 == 0).all()
    assert 0 < rnn.weight_ih_l0.abs().max() <= math.sqrt(6 / sum(rnn.weight_ih_l0.shape))


@pytest.mark.parametrize("rnn_type", ["lstm", "gru"])
def test_fresh_weights_are_as_documented(rnn_type):
    config = BiLstmConfig(vocab_size=VOCAB, rnn_type=rnn_type, bigram_buckets=7, hidden_size=6, num_hidden_layers=2)
    model = BiLstmForTokenClassification(config)
    for layer in model.bilstm.encoder.layers:
        assert_documented_recurrent_weights(layer.forward_rnn)
        assert_documented_recurrent_weights(layer.backward_rnn)
    embeddings = model.get_input_embeddings().weight
    assert (embeddings[0] == 0).all()
    assert 0 < embeddings.abs().max() <= math.sqrt(3 / config.embedding_size)
    assert all((parameter == 0).all() for parameter in model.crf.parameters())


@pytest.mark.parametrize("rnn_type", ["lstm", "gru"])
def test_what_a_checkpoint_lacks_is_initialised_and_what_it_has_is_kept(rnn_type, tmp_path):
    config = BiLstmConfig(vocab_size=VOCAB, hidden_size=6, embedding_size=5, rnn_type=rnn_type, **FEATURES)
    base = BiLstmModel(config)
    nn.init.normal_(base.embeddings.token_embeddings.weight)  # the padding's vector, too
    for parameter in base.encoder.parameters():
        nn.init.normal_(parameter)
    base.save_pretrained(tmp_path)
    labels = {"id2label": dict(enumerate(LABELS["bioes"])), "label2id": {x: i for i, x in enumerate(LABELS["bioes"])}}
    more = {"num_hidden_layers": 2, "tagging_scheme": "bioes", **labels}
    model = BiLstmForTokenClassification.from_pretrained(tmp_path, **more)
    for name, value in base.state_dict().items():
        assert torch.equal(model.bilstm.state_dict()[name], value), name
    second = model.bilstm.encoder.layers[1]
    assert_documented_recurrent_weights(second.forward_rnn)
    assert_documented_recurrent_weights(second.backward_rnn)
    assert all((parameter == 0).all() for parameter in model.crf.parameters())
    assert len(list(model.crf.parameters())) == 3
    assert (model.classifier.bias == 0).all()
    assert 0 < model.classifier.weight.abs().max() <= math.sqrt(6 / sum(model.classifier.weight.shape))
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_weights_of_the_wrong_size_are_made_anew_and_their_neighbours_kept(tmp_path):
    base = BiLstmModel(BiLstmConfig(vocab_size=VOCAB, hidden_size=6, embedding_size=5))
    for parameter in base.parameters():
        nn.init.normal_(parameter)
    base.save_pretrained(tmp_path)
    model = BiLstmModel.from_pretrained(tmp_path, embedding_size=8, ignore_mismatched_sizes=True)
    old, new = (each.encoder.layers[0].forward_rnn for each in (base, model))
    assert new.weight_ih_l0.shape == (24, 8)
    assert 0 < new.weight_ih_l0.abs().max() <= math.sqrt(6 / sum(new.weight_ih_l0.shape))
    for name in ("weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        assert torch.equal(getattr(new, name), getattr(old, name)), name
    assert (model.get_input_embeddings().weight[0] == 0).all()


@pytest.mark.parametrize("rnn_type", ["lstm", "gru"])
def test_loading_in_bfloat16_keeps_the_crf_in_float32(rnn_type):
    full = make_model(rnn_type=rnn_type, **FEATURES)
    model = save_and_load(full, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.crf.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in model.bilstm.parameters()} == {torch.bfloat16}
    ids, labels = torch.tensor([[4, 5, 6, 7]]), torch.tensor([[0, 1, 2, 0]])
    output = model(ids, labels=labels)
    assert output.logits.dtype == output.emissions.dtype == output.loss.dtype == torch.float32
    torch.testing.assert_close(output.emissions, full(ids).emissions, rtol=0.05, atol=0.1)
    model.train()(ids, labels=labels).loss.backward()
    assert model.crf.transitions.grad.dtype == torch.float32


@pytest.mark.parametrize("rnn_type", ["lstm", "gru"])
@pytest.mark.parametrize("use_crf", [True, False])
def test_autocast_in_training(rnn_type, use_crf):
    model = make_model(use_crf=use_crf, rnn_type=rnn_type, embedding_dropout=0.0, hidden_dropout=0.0)
    ids, labels = torch.randint(VOCAB, (4, 9)), torch.randint(4, (4, 9))
    expected = model.train()(ids, labels=labels).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(ids, labels=labels).loss
        loss.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.05, atol=0.05)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@KINDS
def test_copies_and_pickles(reloaded):
    model = make_model(reloaded=reloaded)
    ids = torch.tensor([[4, 5, 6]])
    expected = model(ids).logits
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(ids).logits, expected)
        nn.init.ones_(twin.bilstm.encoder.layers[0].forward_rnn.weight_hh_l0)
        assert not torch.equal(twin(ids).logits, expected)  # the copy uses its own weights
        assert torch.equal(model(ids).logits, expected)


@KINDS
def test_training_goes_on_after_inference_mode(reloaded):
    for use_crf, call in itertools.product((True, False), ("forward", "posteriors", "n_best")):
        model = make_model(use_crf=use_crf, reloaded=reloaded)
        ids, labels = torch.tensor([[4, 5, 6]]), torch.tensor([[0, 1, 2]])
        with torch.inference_mode():
            model.n_best(ids, 2) if call == "n_best" else getattr(model, call)(ids)
        model.train()(ids, labels=labels).loss.backward()
        assert model.classifier.weight.grad.abs().sum() > 0


def test_gradient_checkpointing_is_not_claimed():
    model = make_model()
    assert not model.supports_gradient_checkpointing
    with pytest.raises(ValueError, match="does not support"):
        model.gradient_checkpointing_enable()


def test_a_wrong_override_in_from_pretrained_is_named(tmp_path):
    make_model().save_pretrained(tmp_path)
    with pytest.raises(StrictDataclassError, match=r"hidden_dropout must be at least 0 and below 1, got 1.5"):
        BiLstmForTokenClassification.from_pretrained(tmp_path, hidden_dropout=1.5)
