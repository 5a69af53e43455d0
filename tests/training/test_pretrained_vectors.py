"""Pretrained vectors in a run: what is found, what is filled, what training changes, what the checkpoint holds."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForTokenClassification, AutoTokenizer

from hf_bilstm.data import load_sample
from hf_bilstm.training.building import build, pretrained_vectors
from hf_bilstm.training.model_card import rewrite_model_card
from hf_bilstm.training.recipes import read_recipe
from hf_bilstm.training.run import make_trainer, train
from hf_bilstm.training.vectors import describe_coverage

SIZE = 8


def write_vectors(file: Path, words) -> dict[str, np.ndarray]:
    """Write a file of random vectors, of length 3 or so, and give them back."""
    random = np.random.default_rng(0)
    vectors = {word: random.normal(size=SIZE).astype(np.float32) for word in words}
    lines = [f"{word} {' '.join(map(str, vector))}\n" for word, vector in vectors.items()]
    file.write_text(f"{len(lines)} {SIZE}\n" + "".join(lines), encoding="utf-8")
    return vectors


def recipe_of(tmp_path, *options: str):
    plain = ["--bigram_buckets", "0", "--hidden_size", "8", "--report_to", "none", "--use_cpu", "true"]
    options = ("--output_dir", str(tmp_path / "out"), "--vectors", str(tmp_path / "vectors.txt"), *plain, *options)
    return read_recipe(None, options)


def sentences(*rows: str) -> Dataset:
    """Words, the first of each sentence a person."""
    tokens = [row.split() for row in rows]
    return Dataset.from_dict({"tokens": tokens, "tags": [["B-PER", *"O" * (len(row) - 1)] for row in tokens]})


def table_of(model, tokenizer) -> dict[str, np.ndarray]:
    weight = model.get_input_embeddings().weight.detach().numpy()
    return {token: weight[number] for token, number in tokenizer.get_vocab().items()}


def test_tokens_are_looked_up_as_they_are_then_in_lower_case_then_in_the_other_width(tmp_path):
    vectors = write_vectors(tmp_path / "vectors.txt", ["Anna", "anna", "saw", ",", "！", "unused"])
    data = sentences("Anna SAW ， bob saw", "saw !")
    recipe = recipe_of(tmp_path, "--granularity", "word", "--vectors_norm", "0")
    found = pretrained_vectors(recipe, data)
    tokenizer, model = build(recipe, data, vectors=found)
    table = table_of(model, tokenizer)
    sources = {"Anna": "Anna", "SAW": "saw", "saw": "saw", "，": ",", "!": "！"}
    for token, source in sources.items():
        assert np.array_equal(table[token], vectors[source]), token
    assert not table["[PAD]"].any()
    assert describe_coverage(found, tokenizer.get_vocab()) == {
        "name": "vectors.txt",
        "size": SIZE,
        "vocabulary": 6,
        "exact": 2,
        "lower_case": 1,
        "other_width": 2,
        "other_script": 0,
        "missing": 1,
        "added": 0,
        "running_tokens": 6 / 7,
        "most_frequent_missing": ["bob"],
    }


@pytest.mark.skipif(not find_spec("opencc"), reason="OpenCC is an extra")
@pytest.mark.parametrize(
    ("script", "held", "asked"), [("simplified", "龙", "龍"), ("traditional", "龍", "龙"), ("simplified", "龍", "龍")]
)
def test_characters_are_looked_up_in_the_script_of_the_vectors(tmp_path, script, held, asked):
    vectors = write_vectors(tmp_path / "vectors.txt", [held, "人"])
    data = sentences(f"{asked} 人")
    recipe = recipe_of(tmp_path, "--vectors_script", script, "--vectors_norm", "0")
    found = pretrained_vectors(recipe, data)
    tokenizer, model = build(recipe, data, vectors=found)
    assert np.array_equal(table_of(model, tokenizer)[asked], vectors[held])
    assert found.spelled[asked] == ("exact" if held == asked else "other_script")


def test_vectors_are_scaled_to_the_length_of_new_embeddings(tmp_path):
    vectors = write_vectors(tmp_path / "vectors.txt", [*"abcdefgh"])
    tokenizer, model = build(recipe_of(tmp_path), sentences("a b c d", "e f g"))
    table = table_of(model, tokenizer)
    found = np.stack([table[word] for word in "abcdefg"])
    assert np.mean((found**2).sum(axis=1)) == pytest.approx(1, rel=1e-5)
    ratios = found / np.stack([vectors[word] for word in "abcdefg"])
    assert ratios == pytest.approx(ratios[0, 0], rel=1e-5)  # one factor for all


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ([], {"anna", "saw", "rare"}),
        (["--vectors_vocabulary_size", "3"], {"anna", "saw", "rare", "first", "paris"}),
        (["--vectors_vocabulary_file", "words.txt"], {"anna", "saw", "rare", "listed"}),
    ],
)
def test_words_with_vectors_enter_the_vocabulary(tmp_path, monkeypatch, options, kept):
    vectors = write_vectors(tmp_path / "vectors.txt", ["first", "[PAD]", "Paris", "paris", "rare", "saw", "listed"])
    (tmp_path / "words.txt").write_text("Listed\nnowhere\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    data = sentences("Anna saw", "anna saw rare scarce")
    common = ["--granularity", "word", "--fold", "lower", "--min_frequency", "2", "--vectors_norm", "0"]
    recipe = recipe_of(tmp_path, *common, *options)
    found = pretrained_vectors(recipe, data)
    tokenizer, model = build(recipe, data, vectors=found)
    assert set(tokenizer.get_vocab()) == {"[PAD]", "[UNK]", *kept}
    table = table_of(model, tokenizer)
    assert not table["[PAD]"].any()
    for word in kept - {"anna", "paris"}:
        assert np.array_equal(table[word], vectors[word]), word
    if "paris" in kept:  # both spellings become one token, and the first is the more frequent
        assert np.array_equal(table["paris"], vectors["Paris"])
    coverage = describe_coverage(found, tokenizer.get_vocab())
    assert coverage["added"] == len(kept) - 3
    assert coverage["vocabulary"] == len(kept)
    assert coverage["most_frequent_missing"] == ["anna"]


def step(recipe, tokenizer, model, data):
    trainer = make_trainer(recipe, tokenizer, model.config.labels, data, None, model=model)
    trainer.train()
    return trainer


def test_frozen_vectors_stay_and_the_others_are_learned(tmp_path):
    vectors = write_vectors(tmp_path / "vectors.txt", ["安", "娜"])
    data = sentences("安 娜 李 王", "王 安")
    options = ["--vectors_trainable", "false", "--vectors_norm", "0", "--max_steps", "3", "--embedding_dropout", "0"]
    recipe = recipe_of(tmp_path, *options, "--token_dropout", "0.3", "--weight_decay", "0.1")
    tokenizer, model = build(recipe, data)
    before = {token: vector.copy() for token, vector in table_of(model, tokenizer).items()}
    step(recipe, tokenizer, model, data)
    after = table_of(model, tokenizer)
    for token in vectors:
        assert np.array_equal(after[token], vectors[token]), token
    for token in "李王":
        assert not np.array_equal(after[token], before[token]), token


def test_vectors_may_learn_at_a_rate_of_their_own(tmp_path):
    write_vectors(tmp_path / "vectors.txt", ["安", "娜"])
    data = sentences("安 娜 李 王", "王 安")
    rates = ["--learning_rate", "1e-2", "--lr_scheduler_type", "linear", "--warmup_steps", "2", "--logging_steps", "1"]
    recipe = recipe_of(
        tmp_path, *rates, "--vectors_learning_rate", "1e-4", "--max_steps", "4", "--optim", "adamw_torch"
    )
    tokenizer, model = build(recipe, data)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    trainer = step(recipe, tokenizer, model, data)
    groups = trainer.optimizer.param_groups
    assert [group["initial_lr"] for group in groups] == [1e-2, 1e-2, 1e-4]
    assert groups[-1]["params"] == [model.get_input_embeddings().weight]
    assert groups[-1]["weight_decay"] == 0
    counted = Counter(id(weight) for group in groups for weight in group["params"])
    assert set(counted) == {id(weight) for weight in model.parameters() if weight.requires_grad}
    assert set(counted.values()) == {1}
    moved = {name: float((weight.detach() - before[name]).abs().max()) for name, weight in model.named_parameters()}
    # Adam moves a weight by about its learning rate a step; rates sum to 2 rates over warm-up and decay.
    assert 0 < moved.pop("bilstm.embeddings.token_embeddings.weight") < 3e-4
    assert max(moved.values()) > 1e-2


def test_a_rate_of_0_keeps_all_embeddings_of_a_fine_tuned_model(trained, tmp_path, recipe_file):
    options = ["--model_name_or_path", str(trained), "--vectors_learning_rate", "0", "--max_steps", "2"]
    recipe = read_recipe(str(recipe_file), [*options, "--ema_decay", "0", "--output_dir", str(tmp_path)])
    recipe.training.eval_strategy = recipe.training.save_strategy = "no"
    recipe.training.load_best_model_at_end = False
    recipe.run.early_stopping_patience = 0
    data = load_sample("validation")
    tokenizer, model = build(recipe, data)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    step(recipe, tokenizer, model, data)
    after = dict(model.named_parameters())
    name = "bilstm.embeddings.token_embeddings.weight"
    assert torch.equal(after[name], before[name])
    assert not torch.equal(after["classifier.weight"], before["classifier.weight"])


def test_a_run_reports_coverage_and_its_folder_needs_no_vectors(tmp_path, recipe_file, caplog):
    characters = {character for tokens in load_sample("train")["tokens"] for token in tokens for character in token}
    file = tmp_path / "vectors.txt"
    write_vectors(file, sorted(characters - set("我你")))
    folder = tmp_path / "out"
    settings = ["--vectors", str(file), "--vectors_name", "made_up vectors", "--vectors_trainable", "false"]
    kept = [line for line in recipe_file.read_text(encoding="utf-8").splitlines() if "embedding_size: 32" not in line]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("\n".join(kept), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        train(read_recipe(str(recipe), [*settings, "--num_train_epochs", "2", "--output_dir", str(folder)]))
    number = f"{len(characters) - 2:,} of the {len(characters):,} tokens of the vocabulary have one"
    assert f"the vectors of made_up vectors ({SIZE} numbers each): {number}" in caplog.text
    assert re.search(r"Most frequent without: (我 你|你 我)", caplog.text)
    results = json.loads((folder / "all_results.json").read_text(encoding="utf-8"))
    assert results["vectors"]["missing"] == 2
    assert results["vectors"]["exact"] == len(characters) - 2
    assert 0.9 < results["vectors"]["running_tokens"] < 1
    file.unlink()
    model = AutoModelForTokenClassification.from_pretrained(folder)
    assert model.config.embedding_size == SIZE
    weights = table_of(model, AutoTokenizer.from_pretrained(folder))
    lengths = [np.linalg.norm(weights[character]) for character in characters - set("我你")]
    assert np.mean(np.square(lengths)) == pytest.approx(1, rel=1e-3)  # frozen: as they were scaled
    for card in (folder / "README.md", rewrite_model_card(folder)):
        text = card.read_text(encoding="utf-8")
        assert f"vectors of made\\_up vectors ({SIZE} numbers each): {number}" in text
        assert "hf-bilstm train recipe.yaml --vectors FILE --output_dir" in text
        assert str(tmp_path) not in text
    assert "vectors: vectors.txt" in (folder / "recipe.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--vectors_trainable", "false"], "vectors_trainable: false needs vectors, and none are given"),
        (["--vectors_script", "simplified"], "vectors_script needs vectors"),
        (["--vectors_vocabulary_size", "9"], "vectors_vocabulary_size needs vectors"),
        (["--vectors_vocabulary_file", "words.txt"], "vectors_vocabulary_file needs vectors"),
        (["--vectors", "v", "--vectors_norm", "-1"], "vectors_norm must be 0 or more, got -1"),
        (["--vectors", "v", "--vectors_learning_rate", "-1"], "vectors_learning_rate must be 0 or more"),
        (["--vectors", "v", "--vectors_vocabulary_size", "-1"], "vectors_vocabulary_size must be 0 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        read_recipe(None, options)


def test_vectors_of_another_size_are_refused_with_the_remedy(tmp_path):
    write_vectors(tmp_path / "vectors.txt", ["a"])
    with pytest.raises(ValueError, match="vectors of 8 numbers, and 100 are wanted: leave out embedding_size"):
        build(recipe_of(tmp_path, "--embedding_size", "100"), sentences("a b"))


def test_vectors_of_another_language_are_refused(tmp_path):
    write_vectors(tmp_path / "vectors.txt", ["word"])
    with pytest.raises(ValueError, match=r"has a vector of none of the 2 tokens of the training data.*characters"):
        build(recipe_of(tmp_path), sentences("a b"))


def test_vectors_of_a_model_that_is_fine_tuned_are_refused(trained, tmp_path):
    recipe = recipe_of(tmp_path, "--model_name_or_path", str(trained))
    with pytest.raises(ValueError, match=r"vectors are for new models.*leave out vectors to fine-tune it"):
        build(recipe, load_sample("train"))
