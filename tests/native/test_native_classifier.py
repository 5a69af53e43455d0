"""Classifiers in NumPy against those of PyTorch that were saved: every pooling, every kind of problem."""

import json

import numpy as np
import pytest
import torch
from helpers_native import make_tagger, make_tokenizer, random_texts
from transformers import pipeline

import hf_bilstm
from bilstm_native import NativeClassifier
from hf_bilstm import BiLstmConfig
from hf_bilstm.cli import main


def make_classifier(folder, pooling="max", problem_type=None, labels=("a", "b", "c"), **config):
    """A PyTorch classifier of random weights, saved, and its tokenizer."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    sizes = {"vocab_size": len(tokenizer), "embedding_size": 5, "hidden_size": 4, "bigram_buckets": 7}
    kind = {"classifier_pooling": pooling, "problem_type": problem_type, "id2label": dict(enumerate(labels))}
    model = hf_bilstm.BiLstmForSequenceClassification(BiLstmConfig(**sizes, **kind, **config)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mean", "mul"])
def test_logits_are_those_of_pytorch(pooling, merge_mode, tmp_path):
    rnn_type = "gru" if merge_mode == "sum" else "lstm"
    model, tokenizer = make_classifier(
        tmp_path, pooling, merge_mode=merge_mode, rnn_type=rnn_type, num_hidden_layers=2
    )
    sentences = tokenizer([*random_texts(0, 30), ""])["input_ids"]
    got = NativeClassifier.from_pretrained(tmp_path).logits(sentences)
    for sentence, logits in zip(sentences, got, strict=True):
        with torch.inference_mode():
            expected = model(torch.tensor([sentence], dtype=torch.long)).logits[0]
        np.testing.assert_allclose(logits, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("problem_type", "labels"),
    [
        (None, ("a", "b", "c")),
        ("single_label_classification", ("a", "b", "c")),
        ("multi_label_classification", ("a", "b", "c")),
        ("regression", ("a",)),
        (None, ("a",)),
    ],
)
def test_scores_are_those_of_the_stock_pipeline(problem_type, labels, tmp_path):
    make_classifier(tmp_path, "mean", problem_type, labels)
    texts = random_texts(1)
    stock = pipeline("text-classification", model=str(tmp_path), top_k=None)(texts)
    native = NativeClassifier.from_pretrained(tmp_path)
    for ours, theirs in zip(native(texts), stock, strict=True):
        assert [row["label"] for row in ours] == [row["label"] for row in theirs]
        np.testing.assert_allclose([r["score"] for r in ours], [r["score"] for r in theirs], rtol=1e-4, atol=1e-6)
    assert [row["label"] for row in native(texts[0])] == [row["label"] for row in native(texts)[0]]


def test_wrong_calls_and_models_are_named(tmp_path):
    make_classifier(tmp_path / "classifier")
    with pytest.raises(ValueError, match=r"texts\[1\] is 3"):
        NativeClassifier.from_pretrained(tmp_path / "classifier")(["a", 3])
    model, tokenizer = make_tagger()
    model.save_pretrained(tmp_path / "tagger")
    tokenizer.save_pretrained(tmp_path / "tagger")
    with pytest.raises(ValueError, match="it takes a BiLstmForSequenceClassification"):
        NativeClassifier.from_pretrained(tmp_path / "tagger")


def test_predict_gives_the_answers_of_pytorch(tmp_path, capsys):
    make_classifier(tmp_path / "model")
    file = tmp_path / "texts.txt"
    file.write_text("".join(f"{text}\n" for text in random_texts(1) if text.strip() and text.isprintable()))
    answers = {}
    for runtime in ("torch", "native"):
        main(["predict", str(tmp_path / "model"), str(file), "--runtime", runtime])
        answers[runtime] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(answers["torch"]) == len(answers["native"]) > 2
    for expected, got in zip(answers["torch"], answers["native"], strict=True):
        assert (got["text"], got["label"]) == (expected["text"], expected["label"])
        assert got["scores"] == pytest.approx(expected["scores"], abs=1e-5)
    with pytest.raises(SystemExit, match="classifies texts: leave out --format"):
        main(["predict", str(tmp_path / "model"), str(file), "--format", "words", "--runtime", "native"])
