"""The classifier: answers blind to the batch, losses by problem type, and encoders that pass to and from taggers."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    TextClassificationPipeline,
    pipeline,
)

from hf_bilstm import BiLstmConfig, BiLstmForSequenceClassification, BiLstmForTokenClassification, BiLstmTokenizer

LABELS = {0: "news", 1: "sport", 2: "science"}
TAGS = {0: "O", 1: "B-X", 2: "I-X"}
MULTI, SINGLE, NUMBERS = "multi_label_classification", "single_label_classification", "regression"
KINDS = ["last", "mean", "max", "attention"]


def configure(**fields):
    given = {"vocab_size": 30, "embedding_size": 7, "hidden_size": 5, "id2label": LABELS, **fields}
    return BiLstmConfig(**given)


def make(**fields):
    torch.manual_seed(0)
    return BiLstmForSequenceClassification(configure(**fields)).eval()


def inverse(labels):
    return {label: number for number, label in labels.items()}


@pytest.mark.parametrize("kind", KINDS)
@given(
    masks=st.integers(1, 6).flatmap(
        lambda width: st.lists(st.lists(st.integers(0, 1), min_size=width, max_size=width), min_size=1, max_size=4)
    )
)
@settings(max_examples=25, deadline=None)
def test_the_answer_never_depends_on_the_batch_or_the_padding(kind, masks):
    model = make(classifier_pooling=kind, bigram_buckets=11, num_hidden_layers=2)
    mask = torch.tensor(masks)
    ids = torch.randint(2, 30, mask.shape, generator=torch.Generator().manual_seed(sum(map(sum, masks))))
    with torch.inference_mode():
        together = model(ids, mask).logits
        for row in range(len(masks)):
            alone = model(ids[row][mask[row].bool()][None]).logits[0]
            torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mean", "mul"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_pooling_and_merge_learns(kind, merge_mode):
    model = make(classifier_pooling=kind, merge_mode=merge_mode, rnn_type="gru", embedding_dropout=0.0)
    model.train()
    ids, labels = torch.randint(2, 30, (6, 8)), torch.tensor([0, 1, 2, 0, 1, 2])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(25):
        loss = model(ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_text_of_nothing_is_answered_by_the_bias_alone():
    model = make()
    torch.nn.init.normal_(model.score.bias)
    for ids in (torch.zeros(1, 0, dtype=torch.long), torch.ones(1, 3, dtype=torch.long)):
        logits = model(ids, torch.zeros_like(ids)).logits
        torch.testing.assert_close(logits[0], model.score.bias)


def test_losses_are_those_of_the_definitions():
    model = make()
    ids = torch.randint(2, 30, (4, 5))
    logits = model(ids).logits

    output = model(ids, labels=torch.tensor([0, 2, -100, 1]))
    torch.testing.assert_close(output.loss, F.cross_entropy(logits[[0, 1, 3]], torch.tensor([0, 2, 1])))
    assert model.config.problem_type == SINGLE

    model = make(problem_type=MULTI)
    labels = torch.tensor([[1.0, 0.0, -100.0]] * 4)
    expected = F.binary_cross_entropy_with_logits(logits[:, :2], labels[:, :2])
    torch.testing.assert_close(model(ids, labels=labels).loss, expected)
    torch.testing.assert_close(model(ids, labels=labels.long()).loss, expected)

    model = make(problem_type=NUMBERS)
    torch.testing.assert_close(model(ids, labels=torch.ones(4, 3)).loss, F.mse_loss(logits, torch.ones(4, 3)))


def test_label_weights_multiply_the_parts_of_the_loss():
    ids, labels = torch.randint(2, 30, (3, 5)), torch.tensor([0, 1, 2])
    plain, weighted = make(), make(label_weights=[2.0, 0.0, 1.0])
    each = F.cross_entropy(plain(ids).logits, labels, reduction="none")
    torch.testing.assert_close(weighted(ids, labels=labels).loss, (2 * each[0] + each[2]) / 3)


def test_accumulated_losses_add_up_to_that_of_the_whole_batch():
    model = make()
    ids, labels = torch.randint(2, 30, (6, 5)), torch.tensor([0, 1, 2, -100, 1, 0])
    whole = model(ids, labels=labels).loss
    parts = [
        model(ids[rows], labels=labels[rows], num_items_in_batch=torch.tensor(5)).loss
        for rows in (slice(0, 2), slice(2, 6))
    ]
    torch.testing.assert_close(sum(parts), whole)
    assert model(ids, labels=torch.full((6,), -100)).loss == 0


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (torch.tensor([0, 1]), SINGLE),
        (torch.tensor([[1.0, 0.0, 1.0]] * 2), MULTI),
    ],
)
def test_the_first_labels_tell_the_problem_type(labels, expected):
    model = make()
    model(torch.ones(2, 3, dtype=torch.long), labels=labels)
    assert model.config.problem_type == expected


def test_one_label_is_a_regression():
    model = make(id2label={0: "stars"})
    ids = torch.randint(2, 30, (2, 3))
    loss = model(ids, labels=torch.tensor([1.5, 4.0])).loss
    assert model.config.problem_type == NUMBERS
    torch.testing.assert_close(loss, F.mse_loss(model(ids).logits[:, 0], torch.tensor([1.5, 4.0])))
    torch.testing.assert_close(loss, model(ids, labels=torch.tensor([[1.5], [4.0]])).loss)


@pytest.mark.parametrize(
    ("fields", "labels", "message"),
    [
        ({}, torch.tensor([0, 3]), r"labels hold 3, .* 0 to 2 \(news, sport, science\)"),
        ({}, torch.tensor([0, -1]), r"labels hold -1"),
        ({}, torch.tensor([0, 1, 2]), r"shape \(2,\) .* got \(3,\)"),
        ({"problem_type": SINGLE}, torch.tensor([0.0, 1.0]), r"integers .* labels\.long\(\)"),
        ({"problem_type": MULTI}, torch.tensor([0, 1]), r"shape \(2, 3\) .* got \(2,\)"),
        ({"problem_type": MULTI}, torch.full((2, 3), 1.5), r"must be 0 to 1"),
        ({"problem_type": NUMBERS}, torch.tensor([0.5, 1.0]), r"shape \(2, 3\)"),
    ],
)
def test_wrong_labels_are_refused_with_the_remedy(fields, labels, message):
    with pytest.raises(ValueError, match=message):
        make(**fields)(torch.ones(2, 3, dtype=torch.long), labels=labels)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tagging_scheme": "bioes", "id2label": TAGS}, r"are a tagger's .* id2label="),
        ({"dictionary_nodes": 3, "dictionary_profiles": 1}, r"dictionary_nodes=0"),
        ({"label_weights": [1.0]}, r"label_weights has 1 entries for 3 labels"),
        ({"classifier_pooling": "first"}, r"classifier_pooling"),
        ({"classifier_dropout": 1.0}, r"classifier_dropout must be"),
        ({"problem_type": "ranking"}, r"problem_type"),
    ],
)
def test_wrong_configurations_are_refused(fields, message):
    with pytest.raises(Exception, match=message):
        make(**fields)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_classifier_answers_as_before_and_names_its_own_class(tmp_path, kind):
    model = make(classifier_pooling=kind, problem_type=MULTI, bigram_buckets=10)
    model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert set(saved["auto_map"]) == {"AutoConfig", "AutoModel", "AutoModelForSequenceClassification"}
    assert "custom_pipelines" not in saved
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(again) is BiLstmForSequenceClassification
    assert again.config.problem_type == MULTI
    ids = torch.randint(2, 30, (3, 4))
    torch.testing.assert_close(again(ids).logits, model(ids).logits)
    assert again(ids, return_dict=False)[0].shape == (3, 3)
    layers = again(ids, output_hidden_states=True).hidden_states
    assert [layer.shape for layer in layers] == [(3, 4, 7 + 64), (3, 4, 10)]


def test_a_checkpoint_that_lacks_its_head_is_refused(tmp_path):
    model = make(classifier_pooling="attention")
    state = {name: value for name, value in model.state_dict().items() if name != "pooling.context.weight"}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(ValueError, match=r"lacks pooling\.context\.weight"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path)


def test_an_encoder_passes_from_a_tagger_to_a_classifier_and_back(tmp_path):
    torch.manual_seed(0)
    tagger = BiLstmForTokenClassification(configure(tagging_scheme="bioes", id2label=TAGS))
    tagger.save_pretrained(tmp_path / "tagger")
    classifier = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "tagger", id2label=LABELS, label2id=inverse(LABELS)
    )
    classifier.save_pretrained(tmp_path / "classifier")
    saved = json.loads((tmp_path / "classifier" / "config.json").read_text(encoding="utf-8"))
    assert saved["architectures"] == ["BiLstmForSequenceClassification"]
    assert set(saved["auto_map"]) == {"AutoConfig", "AutoModel", "AutoModelForSequenceClassification"}
    assert "custom_pipelines" not in saved
    again = AutoModelForTokenClassification.from_pretrained(
        tmp_path / "classifier", id2label=TAGS, label2id=inverse(TAGS), tagging_scheme="bioes"
    )
    again.save_pretrained(tmp_path / "again")
    map_of_tagger = json.loads((tmp_path / "again" / "config.json").read_text(encoding="utf-8"))["auto_map"]
    assert set(map_of_tagger) == {"AutoConfig", "AutoModel", "AutoModelForTokenClassification"}
    bare = AutoModel.from_pretrained(tmp_path / "classifier")
    for name, weight in tagger.bilstm.state_dict().items():
        assert torch.equal(weight, classifier.bilstm.state_dict()[name])
        assert torch.equal(weight, again.bilstm.state_dict()[name])
        assert torch.equal(weight, bare.state_dict()[name])


def test_a_head_of_the_other_kind_is_never_taken_over(tmp_path):
    tagger = BiLstmForTokenClassification(configure(id2label={0: "NN", 1: "VB", 2: "JJ"}, use_crf=False))
    tagger.save_pretrained(tmp_path)  # as many labels, and states, as the classifier has
    loaded, info = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert set(info["missing_keys"]) == {"score.weight", "score.bias"}
    assert not torch.equal(loaded.score.weight, tagger.classifier.weight)


def test_a_tagger_without_new_labels_says_what_to_pass(tmp_path):
    BiLstmForTokenClassification(configure(tagging_scheme="bioes", id2label=TAGS)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"O, B-X, I-X are a tagger's .* or num_labels="):
        AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=4).num_labels == 4


@pytest.fixture(scope="module")
def tokenizer():
    return BiLstmTokenizer.from_corpus(["昨天他们赢了比赛。", "股市大涨"])


@pytest.mark.parametrize(
    ("fields", "function"),
    [
        ({"problem_type": SINGLE}, lambda logits: logits.softmax(-1)),
        ({}, lambda logits: logits.softmax(-1)),
        ({"problem_type": MULTI}, torch.sigmoid),
        ({"problem_type": NUMBERS}, lambda logits: logits),
    ],
)
def test_the_stock_pipeline_reads_each_problem_type(tokenizer, fields, function):
    model = make(**fields)
    classifier = pipeline("text-classification", model=model, tokenizer=tokenizer)
    assert type(classifier) is TextClassificationPipeline
    texts = ["昨天他们赢了", "", "股市", " \n"]
    found = classifier(texts, top_k=None, batch_size=4)
    for text, items in zip(texts, found, strict=True):
        ids = torch.tensor([tokenizer(text)["input_ids"]], dtype=torch.long)
        expected = function(model(ids).logits[0]).tolist()
        scores = {item["label"]: item["score"] for item in items}
        assert [scores[label] for label in LABELS.values()] == pytest.approx(expected, abs=1e-5)


def test_half_precision_answers_nearly_alike(tmp_path):
    model = make(classifier_pooling="attention")
    model.save_pretrained(tmp_path)
    half = AutoModelForSequenceClassification.from_pretrained(tmp_path, dtype=torch.bfloat16)
    ids, mask = torch.randint(2, 30, (2, 6)), torch.tensor([[1] * 6, [1, 1, 0, 0, 0, 0]])
    assert half(ids, mask).logits.dtype == torch.float32
    torch.testing.assert_close(half(ids, mask).logits, model(ids, mask).logits, atol=0.05, rtol=0.05)


def test_from_config_gives_the_classifier():
    config = configure()
    assert type(AutoModelForSequenceClassification.from_config(config)) is BiLstmForSequenceClassification
    assert AutoConfig.for_model("bilstm").classifier_pooling == "max"
