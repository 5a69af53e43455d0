"""Pushing to the loopback Hub, with the real client: by the script, by the classes, and by the Trainer."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from hub.client import ROOT, environment, push, run_program, succeeded

from hf_bilstm.deploy.push import push_folder

NOT_A_TAGGER = {
    "modeling_sequence_classification.py",
    "classification_loss.py",
    "pooling.py",
    "modeling_pretraining.py",
    "language_model_loss.py",
}
CODE = {path.name for path in (ROOT / "hf_bilstm" / "models").glob("*.py")} - {"__init__.py", *NOT_A_TAGGER}
MODEL = {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", *CODE}
PICTURES = {"learning_curve.png", "length_curve.png", "confusion_matrix.png"}
RECORDS = {"recipe.yaml", "all_results.json", *PICTURES}


@pytest.fixture
def writer(hub, tmp_path):
    return environment(hub.url, tmp_path / "home")


def files(hub, revision="main", name="org/tagger"):
    return hub.store.repositories[name].find(revision).files


def contents(hub, revision="main"):
    return {path: file.content for path, file in files(hub, revision).items()}


def test_the_script_pushes_what_belongs_to_the_model_in_one_commit(hub, finished, writer, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "tagger")
    (folder / "handler.py").write_text("class EndpointHandler: ...\n", encoding="utf-8")
    (folder / "requirements.txt").write_text("transformers\n", encoding="utf-8")
    for name in ("optimizer.pt", "training_args.bin", "pytorch_model.bin", ".env", "data.txt", "other.py", "x.png"):
        (folder / name).write_bytes(b"not the model's")
    for name in (
        "runs/events",
        "checkpoint-1/model.safetensors",
        ".cache/a",
        "__pycache__/crf.pyc",
        "sub/config.json",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"not the model's")
    for name in (*PICTURES, ".eval_results/corpus.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"the model's")
    printed = succeeded(push(folder, "org/tagger", environment=writer))

    expected = MODEL | RECORDS | {"handler.py", "requirements.txt", ".eval_results/corpus.yaml"}
    pushed = {name: (folder / name).read_bytes() for name in expected}
    card = pushed["README.md"].replace(b'"ORG/NAME"', b'"org/tagger"')  # its snippets can be copied as they stand
    assert card != pushed["README.md"]
    assert contents(hub) == {**pushed, "README.md": card}
    repository = hub.store.repositories["org/tagger"]
    assert not repository.private
    assert [commit.title for commit in repository.commits.values()] == ["initial commit", "Upload model"]
    assert printed.strip() == f"{hub.url}/org/tagger/commit/{repository.find('main').oid}"
    assert files(hub)["model.safetensors"].is_lfs
    assert not files(hub)["config.json"].is_lfs

    succeeded(push(folder, "org/tagger", environment=writer))
    assert len(repository.commits) == 2  # nothing had changed
    (folder / "README.md").write_text("# A better card\n", encoding="utf-8")
    succeeded(push(folder, "org/tagger", environment=writer))
    assert contents(hub)["README.md"] == b"# A better card\n"


def test_private_repositories_branches_and_pull_requests(hub, finished, writer, tmp_path):
    succeeded(push(finished, "org/tagger", "--private", environment=writer))
    repository = hub.store.repositories["org/tagger"]
    assert repository.private

    folder = shutil.copytree(finished, tmp_path / "tagger")
    (folder / "README.md").write_text("# On a branch\n", encoding="utf-8")
    main = contents(hub)
    succeeded(push(folder, "org/tagger", "--revision", "wide/branch", environment=writer))
    assert contents(hub) == main
    assert contents(hub, "wide/branch") == {**main, "README.md": b"# On a branch\n"}

    (folder / "README.md").write_text("# Proposed\n", encoding="utf-8")
    printed = succeeded(push(folder, "org/tagger", "--create_pr", environment=writer))
    assert printed.strip() == f"{hub.url}/org/tagger/discussions/1"
    assert contents(hub) == main
    assert contents(hub, "refs/pr/1") == {**main, "README.md": b"# Proposed\n"}
    (folder / "README.md").write_text("# Proposed again\n", encoding="utf-8")
    succeeded(push(folder, "org/tagger", "--revision", "refs/pr/1", environment=writer))
    assert contents(hub, "refs/pr/1") == {**main, "README.md": b"# Proposed again\n"}


def test_a_stranger_may_propose_but_not_write(hub, finished, writer, tmp_path):
    succeeded(push(finished, "org/tagger", environment=writer))
    folder = shutil.copytree(finished, tmp_path / "tagger")
    (folder / "README.md").write_text("# Mine\n", encoding="utf-8")
    stranger = environment(hub.url, tmp_path / "stranger", token="token-of-stranger")
    before = contents(hub)
    assert "403" in failed(push(folder, "org/tagger", environment=stranger))
    succeeded(push(folder, "org/tagger", "--create_pr", environment=stranger))
    assert contents(hub) == before
    assert contents(hub, "refs/pr/1")["README.md"] == b"# Mine\n"


def failed(done) -> str:
    """What a failed command says last."""
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr[done.stderr.rindex("hf-bilstm push: ") :]


@pytest.mark.parametrize(
    ("token", "name", "reason"),
    [(None, "org/tagger", "401"), ("wrong", "org/tagger", "Invalid credentials"), ("token-of-org", "more/x", "403")],
)
def test_a_denied_push_says_why(hub, finished, tmp_path, token, name, reason):
    assert reason in failed(push(finished, name, environment=environment(hub.url, tmp_path / "home", token=token)))
    assert hub.store.repositories == {}


def test_what_is_missing_is_listed(hub, finished, writer, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "tagger")
    gone = ["README.md", "model.safetensors", "partition.py", "pipeline_bilstm.py", "tokenizer.json"]
    for name in gone:
        (folder / name).unlink()
    assert f"it lacks {', '.join(gone)}: train it" in failed(push(folder, "org/tagger", environment=writer))
    assert hub.store.repositories == {}


def test_what_is_no_trained_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no folder"):
        push_folder(tmp_path / "nothing", "org/tagger")
    with pytest.raises(ValueError, match=r"lacks README\.md, config\.json, model\.safetensors"):
        push_folder(tmp_path, "org/tagger")
    for text in ('{"auto_map": ', '["auto_map"]', '{"auto_map": []}'):
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"config\.json"):
            push_folder(tmp_path, "org/tagger")


@pytest.mark.parametrize("reference", ["../secret.Class", "/etc/secret.Class", "a/b.Class", "..secret", "secret", 5])
@pytest.mark.parametrize("place", ["auto_map", "custom_pipelines", "tokenizer"])
def test_code_outside_of_the_folder_is_not_pushed(finished, tmp_path, reference, place):
    folder = shutil.copytree(finished, tmp_path / "tagger")
    (tmp_path / "secret.py").write_text("TOKEN = 'abc'\n", encoding="utf-8")
    file = folder / ("tokenizer_config.json" if place == "tokenizer" else "config.json")
    config = json.loads(file.read_text(encoding="utf-8"))
    if place == "custom_pipelines":
        config["custom_pipelines"] = {"x": {"impl": reference}}
    else:
        config["auto_map"]["AutoTokenizer" if place == "tokenizer" else "AutoModel"] = reference
    file.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ValueError, match=f"names code as {re.escape(repr(reference))}"):
        push_folder(folder, "org/tagger")


def test_a_module_that_imports_from_outside_of_the_folder_is_not_pushed(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "tagger")
    with (folder / "crf.py").open("a", encoding="utf-8") as file:
        file.write("from ..secret import TOKEN\n")
    (tmp_path / "secret.py").write_text("TOKEN = 'abc'\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"crf.py imports '\.\.secret'"):
        push_folder(folder, "org/tagger")


def test_model_and_tokenizer_push_themselves(hub, trained, writer):
    program = """
import sys, hf_bilstm
from transformers import AutoModelForTokenClassification, AutoTokenizer
model = AutoModelForTokenClassification.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model.push_to_hub("org/tagger", private=True)
tokenizer.push_to_hub("org/tagger")
model.push_to_hub("org/tagger", revision="dev", commit_message="Upload again")
"""
    succeeded(run_program(program, trained, environment=writer))
    repository = hub.store.repositories["org/tagger"]
    assert repository.private
    assert set(files(hub)) == MODEL
    assert contents(hub)["model.safetensors"] == (trained / "model.safetensors").read_bytes()
    titles = [commit.title for commit in repository.commits.values()]
    assert titles == ["initial commit", "Upload BiLstmForTokenClassification", "Upload tokenizer"]
    # The branch has what main had: nothing was left to upload.
    assert contents(hub, "dev") == contents(hub)


TRAINER = """
import os, sys, json, hf_bilstm
from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments
from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification, BiLstmTokenizer
from hf_bilstm.data import encode_dataset, label_list, load_sample
data = load_sample("train").select(range(32))
tokenizer = BiLstmTokenizer.from_corpus(data["tokens"])
labels = dict(enumerate(label_list([data])))
config = BiLstmConfig(vocab_size=len(tokenizer), tagging_scheme="bioes", id2label=labels, hidden_size=8)
model = BiLstmForTokenClassification(config)
arguments = TrainingArguments("trainer", report_to="none", disable_tqdm=True, **json.loads(sys.argv[1]))
encoded = encode_dataset(data, tokenizer, config.label2id)
trainer = Trainer(model, arguments, DataCollatorForTokenClassification(tokenizer), encoded, processing_class=tokenizer)
trainer.train()
trainer.push_to_hub()
"""


def test_the_trainer_pushes(hub, writer):
    arguments = {"max_steps": 2, "hub_model_id": "org/tagger"}
    succeeded(run_program(TRAINER, json.dumps(arguments), environment=writer))
    assert set(files(hub)) >= MODEL
    pushed = Path(writer["HF_HOME"], "trainer", "model.safetensors").read_bytes()
    assert contents(hub)["model.safetensors"] == pushed


def test_the_trainer_pushes_at_every_save(hub, writer):
    arguments = {
        "push_to_hub": True,
        "hub_model_id": "org/tagger",
        "hub_strategy": "every_save",
        "hub_always_push": True,
        "save_steps": 1,
        "max_steps": 3,
    }
    succeeded(run_program(TRAINER, json.dumps(arguments), environment=writer))
    assert set(files(hub)) >= MODEL
    assert not [name for name in files(hub) if name.startswith("checkpoint-")]
    titles = [commit.title for commit in hub.store.repositories["org/tagger"].commits.values()]
    assert titles[0] == "initial commit"
    assert titles[1].startswith("Training in progress, step ")
    assert titles[-1] == "End of training"
