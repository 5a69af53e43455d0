"""The scripts, run as a user runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from warm_python import warm_python

ROOT = Path(__file__).parents[1]


def run(script: str, *arguments: object, stdin: str | bytes = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [warm_python(), ROOT / "scripts" / f"{script}.py", *map(str, arguments)],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env=dict(os.environ),
        cwd=ROOT,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def failed(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a failed command ends with."""
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_train_evaluate_predict(recipe_file, tmp_path):
    model = tmp_path / "model"
    done = run("train", recipe_file, "--output_dir", model, "--num_train_epochs", 2)
    assert done.returncode == 0, done.stderr
    assert "micro average" in done.stdout

    done = run("evaluate", model, "--json", tmp_path / "scores.json")
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    recorded = json.loads((model / "all_results.json").read_text(encoding="utf-8"))
    assert scores["f1"] == pytest.approx(recorded["test"]["f1"])
    assert f"{100 * scores['f1']:.2f}" in done.stdout

    text = tmp_path / "text.txt"
    text.write_bytes("昨天他去了北京。\r\n\n上海\u2028很大。".encode())
    from_file, from_stdin = run("predict", model, text), run("predict", model, stdin=text.read_bytes())
    assert from_file.returncode == 0, from_file.stderr
    assert from_file.stdout == from_stdin.stdout
    rows = [json.loads(line) for line in from_file.stdout.removesuffix("\n").split("\n")]
    assert [row["text"] for row in rows] == ["昨天他去了北京。", "", "上海\u2028很大。"]
    assert rows[1]["entities"] == []
    for row in rows:
        for entity in row["entities"]:
            assert set(entity) == {"entity_group", "score", "word", "start", "end"}


def test_predict_with_a_dictionary(trained, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("天去了 1 ORG\n", encoding="utf-8")
    done = run("predict", trained, "--dictionary", words, "--force", stdin="昨天去了北京。\n")
    assert done.returncode == 0, done.stderr
    found = [(span["entity_group"], span["word"]) for span in json.loads(done.stdout)["entities"]]
    assert ("ORG", "天去了") in found
    words.write_text("\n天去了 1 2 3\n", encoding="utf-8")
    assert "words.txt, line 2" in failed(run("predict", trained, "--dictionary", words, stdin="他\n"))
    assert "name one with --dictionary" in failed(run("predict", trained, "--force", stdin="他\n"))


def test_files_of_columns(trained, tmp_path):
    (tmp_path / "test.txt").write_text("他 O\n去 O\n北 B-LOC\n京 E-LOC\n", encoding="utf-8")
    options = ["--dataset", "", "--test_file", "test.txt", "--data_dir", tmp_path, "--file_scheme", "bioes"]
    done = run("evaluate", trained, *options)
    assert done.returncode == 0, done.stderr
    assert "LOC" in done.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("北 B-LOC\n京 B-LOC\n去 I-PER\n", "line 3"),
        ("北 B-GPE\n京 I-GPE\n", "'B-GPE'"),
        ("北 B-LOC\n京\n", "line 2"),
        ("", "test.txt"),
    ],
)
def test_bad_files_end_in_one_line(trained, tmp_path, content, message):
    (tmp_path / "test.txt").write_text(content, encoding="utf-8")
    options = ["--dataset", "", "--test_file", "test.txt", "--data_dir", tmp_path, "--file_scheme", "iob2"]
    assert message in failed(run("evaluate", trained, *options))


def test_errors_end_in_one_line(trained, recipe_file, tmp_path):
    assert "Did you mean 'hidden_size'?" in failed(run("train", recipe_file, "--hiden_size", 3))
    assert "There is no recipe" in failed(run("train", "nothing.yaml"))
    assert "hidden_size must be at least 1, got 0" in failed(
        run("train", recipe_file, "--hidden_size", 0, "--output_dir", tmp_path / "x")
    )
    assert "names no data" in failed(run("train", "--output_dir", tmp_path / "y"))
    assert "not UTF-8 at byte 3" in failed(run("predict", trained, stdin=b"ab\xff\n"))
    assert "nothing.txt" in failed(run("predict", trained, "nothing.txt"))


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_checkpoint_file_is_named(trained, tmp_path, missing):
    broken = shutil.copytree(trained, tmp_path / "broken", ignore=shutil.ignore_patterns("checkpoint-*", missing))
    assert missing in failed(run("predict", broken, stdin="他去了北京。\n"))


def test_help():
    done = run("train", "--help")
    assert done.returncode == 0, done.stderr
    assert "--token_dropout" in done.stdout
    done = run("predict", "--help")
    assert "entity_group" in done.stdout
    command = [Path(sys.executable).parent / "hf-bilstm", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "evaluate MODEL" in done.stdout
