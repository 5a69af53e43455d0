"""What docs/trainer.md promises of the Trainer's extras."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from datasets import IterableDataset
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from warm_python import warm_python

from hf_bilstm import BiLstmConfig, BiLstmForPreTraining, BiLstmTokenizer
from hf_bilstm.cli import main
from hf_bilstm.data import load_sample
from hf_bilstm.training.recipes import read_recipe
from hf_bilstm.training.run import train

ROOT = Path(__file__).parents[2]


def run_snippet(section: str) -> dict[str, Any]:
    """Run the program that a section of docs/trainer.md shows, and give its names."""
    text = (ROOT / "docs" / "trainer.md").read_text(encoding="utf-8")
    (code,) = re.findall(rf"^## {section}\n.*?```python\n(.*?)```", text, re.M | re.S)
    names: dict[str, Any] = {}
    exec(compile(code, section, "exec"), names)
    return names


def test_two_processes_give_the_result_of_one(recipe_file, tmp_path):
    """Without dropout, and with the same rows in each step, two processes compute what one does.

    They start from a language model whose weights are let go while they train.
    """
    data = load_sample("train")
    tokenizer = BiLstmTokenizer.from_corpus(data["tokens"])
    config = BiLstmConfig(vocab_size=len(tokenizer), embedding_size=32, hidden_size=48)
    reader = BiLstmForPreTraining(config)
    reader.save_pretrained(tmp_path / "read")
    tokenizer.save_pretrained(tmp_path / "read")
    options = [
        "--max_steps",
        "25",
        "--learning_rate",
        "2e-2",
        "--ema_decay",
        "0",
        "--eval_strategy",
        "steps",
        "--save_strategy",
        "steps",
    ]
    options += ["--eval_steps", "25", "--save_steps", "25", "--train_sampling_strategy", "random"]
    options += ["--token_dropout", "0", "--embedding_dropout", "0", "--hidden_dropout", "0"]
    options += ["--model_name_or_path", str(tmp_path / "read"), "--unfreeze_every", "0.1"]  # epochs, of 67 steps
    options += ["--lexicon_dropout", "0", "--output_dir"]
    one, two = tmp_path / "one", tmp_path / "two"
    expected = train(read_recipe(str(recipe_file), [*options, str(one)]))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    half = ["--per_device_train_batch_size", "8"]
    command = [*launch, "scripts/train.py", str(recipe_file), *options, str(two), *half]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    assert done.stdout.count("Saved to") == done.stdout.count("'train_loss'") == 1
    theirs = load_file(two / "model.safetensors")
    ours = load_file(one / "model.safetensors")
    for name, weight in ours.items():
        # Not number by number: where a gradient is next to nothing, Adam's step has the sign of its rounding.
        difference = (weight - theirs[name]).double()  # of tables too
        assert difference.norm() <= 0.02 * weight.double().norm(), name
    layer = "encoder.layers.0.forward_rnn.weight_hh_l0"
    assert not torch.equal(ours[f"bilstm.{layer}"], reader.bilstm.get_parameter(layer))
    results = json.loads((two / "all_results.json").read_text(encoding="utf-8"))
    assert results["training"]["train_loss"] == pytest.approx(expected["training"]["train_loss"], rel=5e-2)
    for split in ("validation", "test"):
        assert results[split]["accuracy"] == pytest.approx(expected[split]["accuracy"], abs=0.005)
    # What both processes evaluated together, a number of rows that does not divide evenly, is every row once.
    assert expected["validation"]["accuracy"] > 0.5
    (logged,) = [row for row in state_of(two)["log_history"] if "eval_f1" in row]
    for score in ("precision", "recall", "f1", "accuracy"):
        assert logged[f"eval_{score}"] == pytest.approx(results["validation"][score])


def state_of(folder: Path) -> dict:
    return json.loads((folder / "checkpoint-25" / "trainer_state.json").read_text(encoding="utf-8"))


def test_a_stream_trains_a_tagger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer = run_snippet("Data that streams")["trainer"]
    assert isinstance(trainer.train_dataset, IterableDataset)
    assert trainer.state.global_step == 60
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert losses[-1] < losses[0] / 2


SPACE = """
learning_rate: {low: 5e-3, high: 3e-2, log: true}
warmup_steps: {low: 0.0, high: 0.2}
hidden_dropout: {low: 0, high: 0.4}
hidden_size: {low: 16, high: 32, step: 16}
rnn_type: [lstm, gru]
"""


def test_a_search_finds_a_recipe_that_gives_its_score(recipe_file, tmp_path, capsys):
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")
    options = [
        "--trials",
        "3",
        "--num_train_epochs",
        "2",
        "--train_fraction",
        "0.5",
        "--output_dir",
        str(tmp_path / "out"),
    ]
    command = ["search", str(recipe_file), str(tmp_path / "space.yaml"), *options]
    tables = []
    for _ in range(2):
        main(command)
        tables.append([line.split() for line in capsys.readouterr().out.strip().splitlines()[-6:-2]])
    assert tables[0] == tables[1]  # seeds are fixed
    names, *trials = tables[0]
    assert names[:2] == ["trial", "score"]
    assert set(names[2:]) == set(yaml.safe_load(SPACE))
    scores = [float(trial[1]) for trial in trials]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]

    best = read_recipe(str(tmp_path / "out" / "best.yaml"), [])
    of_best = dict(zip(names, trials[0], strict=True))
    assert best.model.rnn_type == of_best["rnn_type"]
    assert best.model.hidden_size == int(of_best["hidden_size"])
    assert 0 < best.training.warmup_steps < 0.2
    for name, group in (("learning_rate", best.training), ("hidden_dropout", best.model)):
        assert getattr(group, name) == pytest.approx(float(of_best[name]), rel=1e-3)
    assert train(best)["validation"]["f1"] == pytest.approx(scores[0], abs=1e-4)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("learning_rte: [1e-3]", "Did you mean 'learning_rate'?"),
        ("hidden_sise: {low: 1, high: 2}", "Did you mean 'hidden_size'?"),
        ("learning_rate: {low: 1e-2, high: 1e-4}", "learning_rate needs low <= high"),
        ("learning_rate: {low: 0, high: 1, log: true}", "low above 0 with log"),
        ("hidden_dropout: 0.3", "hidden_dropout must be a list of choices"),
        ("rnn_type: {low: 1, high: 2}", "rnn_type is no number"),
        ("rnn_type: [lstm, gruu]", "'gruu'"),
        ("seed: [1, 2]", "seed is no hyper-parameter"),
    ],
)
def test_a_bad_space_says_what_to_do(recipe_file, tmp_path, space, message):
    (tmp_path / "space.yaml").write_text(space, encoding="utf-8")
    with pytest.raises(SystemExit, match=re.escape(message)):
        main(["search", str(recipe_file), str(tmp_path / "space.yaml"), "--output_dir", str(tmp_path)])


def test_the_script_searches(recipe_file):
    command = [warm_python(), "scripts/search.py", str(recipe_file), "nothing.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("hf-bilstm search: There is no recipe nothing.yaml")


def test_tensorboard_has_the_scalars(recipe_file, tmp_path, monkeypatch):
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    options = ["--report_to", "tensorboard", "--num_train_epochs", "2", "--logging_steps", "10"]
    results = train(read_recipe(str(recipe_file), [*options, "--output_dir", str(tmp_path)]))
    (file,) = (tmp_path / "runs").rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file)).Reload()
    losses = events.Scalars("train/loss")
    epoch = -(-len(load_sample("train")) // 16)
    assert [row.step for row in losses] == list(range(10, 2 * epoch + 1, 10))
    assert losses[-1].value < losses[0].value
    scores = events.Scalars("eval/accuracy")
    assert [row.step for row in scores] == [epoch, 2 * epoch]
    assert max(row.value for row in scores) == pytest.approx(results["validation"]["accuracy"], abs=1e-6)


def test_training_in_bfloat16_ends_near_float32_with_weights_in_float32(recipe_file, tmp_path):
    options = ["--max_steps", "40", "--eval_strategy", "steps", "--save_strategy", "steps"]
    options += ["--eval_steps", "40", "--save_steps", "40"]
    losses = {}
    for precision in ("false", "true"):
        given = [*options, "--bf16", precision, "--use_cpu", "true", "--output_dir", str(tmp_path / precision)]
        losses[precision] = train(read_recipe(str(recipe_file), given))["training"]["train_loss"]
    assert losses["true"] == pytest.approx(losses["false"], rel=0.05)
    assert losses["true"] != losses["false"]  # something was computed in another precision
    tensors = load_file(tmp_path / "true" / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float32}
