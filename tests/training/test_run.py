from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    TrainerCallback,
)
from warm_python import warm_python

from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification
from hf_bilstm.data import encode_dataset, load_sample
from hf_bilstm.models.tagging_schemes import tags_to_spans
from hf_bilstm.models.trie import Trie, find_words
from hf_bilstm.training.building import build
from hf_bilstm.training.callbacks import EmaCallback
from hf_bilstm.training.recipes import read_recipe
from hf_bilstm.training.run import train
from hf_bilstm.training.saving import save
from hf_bilstm.training.scoring import evaluate_tagger, predict_label_ids
from hf_bilstm.training.trainer import TaggerTrainer


def load(folder: Path):
    return AutoModelForTokenClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def test_the_output_folder_is_complete_and_loads(trained):
    assert {
        "all_results.json",
        "config.json",
        "learning_curve.png",
        "model.safetensors",
        "recipe.yaml",
        "tokenizer.json",
        "tokenizer_config.json",
    } <= {file.name for file in trained.iterdir()}
    assert not [file for file in trained.iterdir() if file.suffix in (".bin", ".pt", ".pkl")]
    results = json.loads((trained / "all_results.json").read_text(encoding="utf-8"))
    model, tokenizer = load(trained)
    for split in ("validation", "test"):
        data = encode_dataset(load_sample(split), tokenizer, model.config.label2id)
        again = evaluate_tagger(model, tokenizer, data, "ner")
        assert again["per_type"] == results[split]["per_type"]
        assert again["f1"] == results[split]["f1"]
    assert results["validation"]["f1"] > 0.1  # it has learned something
    assert results["parameters"] == model.num_parameters()


def test_predictions_do_not_depend_on_the_batches(trained):
    model, tokenizer = load(trained)
    data = encode_dataset(load_sample("test"), tokenizer, model.config.label2id)
    alone = predict_label_ids(model, tokenizer, data, tokens_per_batch=1)
    together = predict_label_ids(model, tokenizer, data, tokens_per_batch=2000)
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert [len(row) for row in alone] == [len(row) for row in data["input_ids"]]


def test_the_same_seed_gives_the_same_model(recipe_file, tmp_path):
    weights = []
    for name in ("a", "b"):
        train(read_recipe(str(recipe_file), ["--output_dir", str(tmp_path / name), "--num_train_epochs", "1"]))
        weights.append(AutoModelForTokenClassification.from_pretrained(tmp_path / name).state_dict())
    for name, weight in weights[0].items():
        assert torch.allclose(weight, weights[1][name], atol=1e-6), name


class StopAt(TrainerCallback):
    """Ends training after some steps, as a killed process would, with a checkpoint at hand."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step >= self.step:
            control.should_training_stop = True
            control.should_save = True


@pytest.mark.parametrize("ema_decay", ["0", "0.9"])
def test_resuming_reaches_the_weights_of_an_unbroken_run(recipe_file, tmp_path, ema_decay):
    def trainer(folder: Path, callbacks) -> TaggerTrainer:
        options = ["--ema_decay", ema_decay, "--early_stopping_patience", "0", "--load_best_model_at_end", "false"]
        options += ["--eval_strategy", "no", "--num_train_epochs", "2", "--output_dir", str(folder)]
        recipe = read_recipe(str(recipe_file), options)
        torch.manual_seed(0)
        data = load_sample("validation")
        tokenizer, model = build(recipe, data)
        model.bilstm.embeddings.token_dropout = 0.0
        if recipe.run.ema_decay:
            callbacks = [*callbacks, EmaCallback(recipe.run.ema_decay)]
        return TaggerTrainer(
            model=model,
            args=recipe.training,
            train_dataset=encode_dataset(data, tokenizer, model.config.label2id),
            processing_class=tokenizer,
            data_collator=DataCollatorForTokenClassification(tokenizer),
            callbacks=callbacks,
        )

    whole = trainer(tmp_path / "whole", [])
    whole.train()
    steps = whole.state.global_step // 2
    broken = trainer(tmp_path / "broken", [StopAt(steps)])
    broken.train()
    assert broken.state.global_step == steps
    resumed = trainer(tmp_path / "broken", [])
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == whole.state.global_step
    for (name, expected), got in zip(whole.model.named_parameters(), resumed.model.parameters(), strict=True):
        assert torch.allclose(expected, got, atol=1e-5), name


def test_fine_tuning_on_the_same_labels_keeps_the_head(trained, recipe_file, tmp_path):
    recipe = read_recipe(str(recipe_file), ["--model_name_or_path", str(trained), "--output_dir", str(tmp_path)])
    _, model = build(recipe, load_sample("train"))
    before, _ = load(trained)
    for name, weight in before.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name]), name


@pytest.mark.parametrize(
    ("field", "value"),
    [("hidden_size", 64), ("rnn_type", "gru"), ("bigram_buckets", 0), ("lexicon_embedding_size", 9)],
)
def test_fine_tuning_refuses_other_shapes(trained, recipe_file, tmp_path, field, value):
    options = ["--model_name_or_path", str(trained), f"--{field}", str(value), "--output_dir", str(tmp_path)]
    recipe = read_recipe(str(recipe_file), options)
    with pytest.raises(ValueError, match=f"{field} is {value} in the recipe and .*leave it out to fine-tune"):
        build(recipe, load_sample("train"))


def test_label_weights_follow_the_labels_of_a_checkpoint_in_another_order(trained, recipe_file, tmp_path):
    model, tokenizer = load(trained)
    turned = dict(enumerate(reversed(model.config.labels)))
    config = BiLstmConfig(vocab_size=len(tokenizer), hidden_size=8, tagging_scheme="bioes", id2label=turned)
    BiLstmForTokenClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    options = ["--model_name_or_path", str(tmp_path), "--label_weights", '{"O": 0.5}', "--output_dir", str(tmp_path)]
    _, tuned = build(read_recipe(None, options), load_sample("train"))
    assert tuned.config.labels == list(turned.values())
    assert dict(zip(tuned.config.labels, tuned.config.label_weights, strict=True))["O"] == 0.5
    assert sum(tuned.config.label_weights) == len(turned) - 0.5


def test_fine_tuning_on_new_labels_keeps_the_encoder_and_starts_a_new_head(trained, recipe_file, tmp_path):
    options = ["--model_name_or_path", str(trained), "--task", "segmentation", "--num_train_epochs", "1"]
    recipe = read_recipe(str(recipe_file), [*options, "--output_dir", str(tmp_path)])
    _, model = build(recipe, load_sample("train", "segmentation"))
    before, _ = load(trained)
    for name, weight in before.bilstm.state_dict().items():
        assert torch.equal(weight, model.bilstm.state_dict()[name]), name
    assert model.config.labels == ["O", "B-WORD", "I-WORD"]
    assert model.crf.transitions.abs().sum() == 0
    results = train(recipe)
    assert results["test"]["f1"] > 0.3
    again, _ = load(tmp_path)
    assert again.config.labels == ["O", "B-WORD", "I-WORD"]


def test_every_task_of_the_sample_trains(recipe_file, tmp_path):
    options = ["--num_train_epochs", "1", "--output_dir", str(tmp_path), "--overwrite_output_dir", "true"]
    no_lexicon = ["--lexicon_embedding_size", "0"]
    for task, metric, more in (
        ("segmentation", "f1", ["--white_space", "token"]),
        ("segmentation_pos", "f1", []),
        ("pos", "accuracy", ["--granularity", "word", "--metric_for_best_model", "accuracy", *no_lexicon]),
    ):
        results = train(read_recipe(str(recipe_file), [*options, "--task", task, *more]))
        assert 0 < results["test"][metric] <= 1
        model, tokenizer = load(tmp_path)
        expected = tokenizer.white_space_token_id if task == "segmentation" else None
        assert model.config.white_space_token_id == expected
        assert model.config.tagging_scheme == ("none" if task == "pos" else "bioes")


def test_a_lexicon_holds_the_words_of_the_data_and_of_a_list(recipe_file, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("北京 4\n天\n龘龘 9\n", encoding="utf-8")
    options = ["--lexicon_file", str(words), "--lexicon_min_frequency", "2", "--white_space", "token"]
    recipe = read_recipe(str(recipe_file), ["--task", "segmentation", *options, "--output_dir", str(tmp_path)])
    data = load_sample("train", "segmentation")
    counts = Counter(
        "".join(tokens[start:end])
        for tokens, tags in zip(data["tokens"], data["tags"], strict=True)
        for _, start, end in tags_to_spans(tags, "iob2")
    )
    tokenizer, model = build(recipe, data)
    lexicon = model.bilstm.embeddings.lexicon
    kept = {word for word, count in counts.items() if count >= 2}
    for word in (*kept, "北京", "天", "公园"):
        ids = torch.tensor([tokenizer(word)["input_ids"]])
        found = find_words(Trie(lexicon.keys, lexicon.frequencies), ids, torch.tensor([len(word)]))
        whole = found.nodes[found.sizes == len(word)]
        expected = counts[word] * (word in kept) + {"北京": 4, "天": 1}.get(word, 0)
        assert lexicon.frequencies[whole].tolist() == [expected] * (expected > 0), word
        assert lexicon.held_out[whole].tolist() == [int(word in kept)] * (expected > 0), word
    assert len(kept | {"北京", "天"}) == int((lexicon.frequencies > 0).sum())
    words.write_text("北京 0.5\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"words.txt, line 1: the frequency of '北京' takes a whole number from 1 on"):
        build(recipe, data)
    recipe = read_recipe(str(recipe_file), ["--task", "pos", "--granularity", "word", "--output_dir", str(tmp_path)])
    with pytest.raises(ValueError, match=r"a lexicon is learned from spans.*leave lexicon_embedding_size at 0"):
        build(recipe, load_sample("train", "pos"))


def test_evaluating_without_validation_data_says_what_to_do(recipe_file, tmp_path):
    source = tmp_path / "train.txt"
    source.write_text("张 B-PER\n三 I-PER\n来 O\n\n", encoding="utf-8")
    options = ["--dataset", "", "--train_file", str(source), "--output_dir", str(tmp_path / "out")]
    with pytest.raises(ValueError, match="names no validation data: set validation_file"):
        train(read_recipe(str(recipe_file), options))


def test_a_second_run_does_not_mix_with_the_first(recipe_file, tmp_path):
    options = ["--output_dir", str(tmp_path), "--num_train_epochs", "1"]
    old = tmp_path / "checkpoint-99999"
    old.mkdir()
    with pytest.raises(ValueError, match=r"checkpoint-99999.*--resume_from_checkpoint true.*--overwrite_output_dir"):
        train(read_recipe(str(recipe_file), options))
    assert old.is_dir()
    train(read_recipe(str(recipe_file), [*options, "--overwrite_output_dir", "true"]))
    assert not old.exists()
    assert list(tmp_path.glob("checkpoint-*"))


def test_a_failed_save_leaves_the_good_one(trained, recipe_file, tmp_path):
    recipe = read_recipe(str(recipe_file), ["--output_dir", str(tmp_path)])
    model, tokenizer = load(trained)
    save(tmp_path, recipe, model, tokenizer, {"run": 1})
    files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    class Unsavable:
        def save_pretrained(self, folder: str) -> None:
            Path(folder, "tokenizer.json").write_text("{", encoding="utf-8")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        save(tmp_path, recipe, model, Unsavable(), {"run": 2})
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == files


def test_a_killed_run_leaves_the_old_model_and_resumes(trained, recipe_file, tmp_path):
    code = "import sys; from hf_bilstm.cli import main; main(['train', *sys.argv[1:]])"
    options = [str(recipe_file), "--output_dir", str(tmp_path), "--num_train_epochs", "3"]
    model, tokenizer = load(trained)
    save(tmp_path, read_recipe(options[0], options[1:]), model, tokenizer, {"run": 1})
    before = (tmp_path / "model.safetensors").read_bytes()
    command = [sys.executable, "-c", code, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.time() + 240
    while not list(tmp_path.glob("checkpoint-*/trainer_state.json")) and time.time() < deadline:
        assert process.poll() is None, process.stdout.read().decode()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "model.safetensors").read_bytes() == before
    done = subprocess.run(
        [warm_python(), *command[1:], "--resume_from_checkpoint", "true"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "all_results.json").read_text())["test"]["f1"] > 0
