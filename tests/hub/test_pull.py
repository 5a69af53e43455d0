"""Reading from the loopback Hub in fresh processes with empty caches, by every way a user has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hub.client import STRANGER, environment, run_program, succeeded
from hub.server import LoopbackHub
from hub.store import File
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

import hf_bilstm  # noqa: F401  (registers the Auto classes)

TEXTS = ["昨天，周晓岚在广州参加了东海大学的毕业典礼。", "", "今年夏天，爷爷打算和老李去黄河边钓鱼。", "ABC 龘😀。"]

WRITER = """
import sys
from huggingface_hub import create_tag
from hf_bilstm.deploy.push import push_folder
finished, other, third = sys.argv[1:]
push_folder(other, "org/tagger", private=True)
create_tag("org/tagger", tag="v1.0")
push_folder(finished, "org/tagger")
push_folder(third, "org/tagger", revision="wide/branch")
push_folder(third, "org/tagger", create_pr=True)
"""
# Reads every revision through every class, and prints what the readers answer.
READER = """
import json, sys
import torch
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification, AutoTokenizer, pipeline
revisions, texts, options = json.loads(sys.argv[1])
def spans(found):
    return [[(e["entity_group"], e["start"], e["end"], e["word"]) for e in text] for text in found]
answers = {}
for revision in revisions:
    options["revision"] = revision
    config = AutoConfig.from_pretrained("org/tagger", **options)
    tokenizer = AutoTokenizer.from_pretrained("org/tagger", **options)
    encoder = AutoModel.from_pretrained("org/tagger", **options)
    model = AutoModelForTokenClassification.from_pretrained("org/tagger", **options)
    stock = pipeline("token-classification", "org/tagger", aggregation_strategy="simple", **options)
    tagging = pipeline(model="org/tagger", **options)
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs).logits
        encoded = encoder(**inputs).last_hidden_state
        assert torch.equal(encoded, model.bilstm(**inputs).last_hidden_state)
    made = [config, tokenizer, encoder, model, tagging]
    answers[revision] = {
        "ids": inputs["input_ids"].tolist(),
        "logits": logits.tolist(),
        "stock": spans(stock(texts)),
        "tagging": spans(tagging(texts)),
        "classes": [type(thing).__name__ for thing in made],
        "modules": sorted({type(thing).__module__.split(".")[0] for thing in made}),
        "stock class": type(stock).__module__,
    }
print(json.dumps(answers))
"""
CLASSES = ["BiLstmConfig", "BiLstmTokenizer", "BiLstmModel", "BiLstmForTokenClassification", "TaggingPipeline"]
HERE = "import hf_bilstm\n"
# How the program begins, what it says to every reader, and where the classes then come from.
WAYS = {
    "installed": (HERE, {}, "hf_bilstm"),
    "remote code": (STRANGER, {"trust_remote_code": True}, "transformers_modules"),
}


def answer_here(folder: Path) -> dict:
    """What the tagger of a folder answers in this process."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder)
    inputs = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs).logits
    stock = pipeline("token-classification", model=str(folder), aggregation_strategy="simple")
    spans = [[[e["entity_group"], e["start"], e["end"], e["word"]] for e in found] for found in stock(TEXTS)]
    assert sum(map(len, spans)) > 2
    return {"ids": inputs["input_ids"].tolist(), "logits": logits.tolist(), "stock": spans, "tagging": spans}


def read(program: str, options: dict, revisions: list, environment: dict) -> dict:
    done = run_program(program + READER, json.dumps([revisions, TEXTS, options]), environment=environment)
    return json.loads(succeeded(done).strip().splitlines()[-1])


@pytest.fixture(scope="module")
def pushed(finished, tmp_path_factory):
    """A Hub with a private tagger whose main branch, other branch and pull request differ, and what each answers."""
    with LoopbackHub() as hub:
        work = tmp_path_factory.mktemp("pushed")
        other, third = (shutil.copytree(finished, work / name) for name in ("other", "third"))
        model = AutoModelForTokenClassification.from_pretrained(finished)
        for folder, factor in ((other, 0.5), (third, 0.5)):
            model.classifier.weight.data *= factor
            model.save_pretrained(folder)
        succeeded(run_program(WRITER, finished, other, third, environment=environment(hub.url, work / "home")))
        repository = hub.store.repositories["org/tagger"]
        first = repository.find("v1.0").oid
        answers = {folder: answer_here(folder) for folder in (finished, other, third)}
        assert len({str(answer["logits"]) for answer in answers.values()}) == 3
        revisions = {"v1.0": other, first: other, "main": finished, "wide/branch": third, "refs/pr/1": third}
        yield hub, {revision: answers[folder] for revision, folder in revisions.items()}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same_answers(pushed, tmp_path, way):
    hub, expected = pushed
    program, options, home = WAYS[way]
    reader = environment(hub.url, tmp_path / "home")
    answers = read(program, options, list(expected), reader)
    for revision, answer in answers.items():
        assert answer == {
            **expected[revision],
            "classes": CLASSES,
            "modules": answer["modules"],
            "stock class": "transformers.pipelines.token_classification",
        }
        assert answer["modules"] == [home]

    # Offline, from the cache alone; the server would say that the token is wrong.
    offline = {**reader, "HF_HUB_OFFLINE": "1", "HF_TOKEN": "wrong"}
    assert read(program, options, ["main", "wide/branch"], offline) == {
        revision: answers[revision] for revision in ("main", "wide/branch")
    }


# Tries to load each part with each of several options, and prints what the errors say.
TRIES = """
import json, sys
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer, pipeline
load = {
    "config": AutoConfig.from_pretrained,
    "model": AutoModelForTokenClassification.from_pretrained,
    "tokenizer": AutoTokenizer.from_pretrained,
    "pipeline": lambda name, **options: pipeline("token-classification", name, **options),
}
results = []
for name, options in json.loads(sys.argv[1]):
    results.append({})
    for part in load:
        try:
            load[part](name, **options)
        except Exception as error:
            results[-1][part] = type(error).__name__, str(error)
        else:
            results[-1][part] = "loaded", ""
print("\\n" + json.dumps(results))
"""
# The pipeline may repeat the causes in an error of its own.
ERRORS = {"config": ["OSError"], "model": ["OSError"], "tokenizer": ["OSError"], "pipeline": ["OSError", "ValueError"]}
LOADED = {"config": ["loaded", ""], "model": ["loaded", ""], "tokenizer": ["loaded", ""], "pipeline": ["loaded", ""]}


def try_parts(environment: dict, *cases: dict, name: str = "org/tagger", program: str = HERE) -> list[dict]:
    """By part, what loading it gives with each of several options: the kind of error and its message, or "loaded"."""
    done = run_program(program + TRIES, json.dumps([(name, options) for options in cases]), environment=environment)
    return json.loads(succeeded(done).splitlines()[-1])


def test_what_cannot_be_reached_is_said(pushed, tmp_path):
    hub, _ = pushed
    cases = {
        "hf auth login": {"token": False},
        "logging in": {"token": "token-of-stranger"},
        "Invalid credentials": {"token": "wrong"},
        "v2.0 is not a valid git identifier": {"revision": "v2.0"},
    }
    reader = environment(hub.url, tmp_path / "home")
    for message, tried in zip(cases, try_parts(reader, *cases.values()), strict=True):
        for part, (kind, said) in tried.items():
            assert kind in ERRORS[part], (message, part, kind, said)
            assert message in said, part
    (tried,) = try_parts(reader, {}, name="org/no-tagger")
    assert all(
        kind in ("OSError", "ValueError") and "not a valid model identifier" in said for kind, said in tried.values()
    ), tried

    repository = hub.store.repositories["org/tagger"]
    repository.private, repository.gated = False, True
    try:
        (tried,) = try_parts(reader, {"token": "token-of-stranger"})
    finally:
        repository.private, repository.gated = True, False
    assert all(
        kind in ("OSError", "ValueError") and "Make sure to have access" in said for kind, said in tried.values()
    ), tried

    (tried,) = try_parts({**reader, "HF_HUB_OFFLINE": "1"}, {})
    assert all(kind in ("OSError", "ValueError") and "offline" in said for kind, said in tried.values()), tried


def test_without_the_package_trust_is_asked_for_and_no_code_runs(pushed, tmp_path):
    hub, _ = pushed
    home = tmp_path / "home"
    cases = [{}, {"trust_remote_code": False}]
    for tried in try_parts(environment(hub.url, home), *cases, program=STRANGER):
        for part, (kind, message) in tried.items():
            assert kind == "ValueError", (part, kind, message)
            assert "org/tagger" in message, part
            assert "trust_remote_code=True" in message, part
    assert not list(home.glob("modules/**/*bilstm*"))


def test_a_download_that_breaks_off_is_made_good_and_the_cache_too(pushed, tmp_path):
    hub, expected = pushed
    reader = environment(hub.url, tmp_path / "home")
    size = len(hub.store.repositories["org/tagger"].find("main").files["model.safetensors"].content)
    try:
        hub.cuts["model.safetensors"] = [size // 100] * 20
        (tried,) = try_parts(reader, {})
        for part in ("model", "pipeline"):
            kind, message = tried[part]
            assert kind in ERRORS[part], message
            assert "org/tagger broke off" in message
            assert "try again" in message
        assert not list((tmp_path / "home" / "hub").glob("models--*/snapshots/*/model.safetensors"))
        hub.served.clear()
        hub.cuts["model.safetensors"] = [size // 10, size // 10]
        assert read(HERE, {}, ["main"], reader)["main"]["logits"] == expected["main"]["logits"]
        assert hub.served.count("model.safetensors") == 3  # broken off twice, and begun again
    finally:
        hub.cuts.clear()


def test_files_that_are_broken_or_missing_on_the_hub_are_named(pushed, tmp_path):
    hub, _ = pushed
    repository = hub.store.repositories["org/tagger"]
    files = repository.find("main").files
    expected = {
        "model.safetensors": ("model", "is damaged"),
        "config.json": ("model", "not a valid JSON file"),
        "tokenizer.json": ("tokenizer", "is not valid JSON"),
    }
    for file in expected:
        broken = File(files[file].content[: len(files[file].content) // 2], files[file].is_lfs)
        others = {path: content for path, content in files.items() if path != file}
        repository.commit(f"refs/heads/broken-{file}", None, "Break it", {**others, file: broken})
        repository.commit(f"refs/heads/no-{file}", None, "Lose it", others)
    revisions = [f"{kind}-{file}" for file in expected for kind in ("broken", "no")]
    reader = environment(hub.url, tmp_path / "home")
    results = try_parts(reader, *({"revision": revision} for revision in revisions), {"revision": "main"})
    assert results[-1] == LOADED  # the cache of the good revision is good
    for revision, tried in zip(revisions, results, strict=False):
        file = revision.split("-")[1]
        part, message = expected[file]
        kind, said = tried[part]
        assert kind in ("OSError", "ValueError"), said
        assert (message if revision.startswith("broken") else file) in said

    others = {path: content for path, content in files.items() if path != "crf.py"}
    repository.commit("refs/heads/no-module", None, "Lose it", others)
    (tried,) = try_parts(reader, {"revision": "no-module", "trust_remote_code": True}, program=STRANGER)
    kind, said = tried["model"]
    assert kind == "OSError"
    assert "crf.py" in said


@pytest.mark.parametrize("way", WAYS)
def test_what_was_read_and_saved_again_stands_on_its_own(pushed, tmp_path, way):
    hub, expected = pushed
    program = """
import json, sys
from transformers import pipeline
tagger = pipeline("bilstm-tagging", "org/tagger", trust_remote_code=json.loads(sys.argv[1]))
tagger.save_pretrained("saved")
"""
    first_line, options, _ = WAYS[way]
    trust = options.get("trust_remote_code", False)
    succeeded(
        run_program(first_line + program, json.dumps(trust), environment=environment(hub.url, tmp_path / "home"))
    )
    folder = tmp_path / "home" / "saved"
    for file in ("config.json", "tokenizer_config.json"):
        text = (folder / file).read_text(encoding="utf-8")
        assert "org/tagger" not in text, file
        assert str(tmp_path) not in text, file
        assert "trust" not in text, file
    assert answer_here(folder) == expected["main"]
    nowhere = environment("http://127.0.0.1:9", tmp_path / "alone")
    assert try_parts(nowhere, {"trust_remote_code": True}, name=str(folder), program=STRANGER) == [LOADED]


def test_a_generic_class_reads_raw_text_alike(pushed, tmp_path):
    """Ids and offsets of `tokenizers`, and of the class that transformers falls back to."""
    hub, expected = pushed
    program = """
import json, sys
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast
generic = PreTrainedTokenizerFast.from_pretrained("org/tagger")
assert type(generic) is PreTrainedTokenizerFast
encoded = generic(json.loads(sys.argv[1]), padding=True, return_offsets_mapping=True)
bare = [e for e in Tokenizer.from_pretrained("org/tagger").encode_batch(json.loads(sys.argv[1]))]
print(json.dumps([encoded["input_ids"], encoded["offset_mapping"], [e.ids for e in bare], [e.offsets for e in bare]]))
"""
    texts = json.dumps(TEXTS)
    reader = environment(hub.url, tmp_path / "home")
    ids, offsets, bare_ids, bare_offsets = json.loads(
        succeeded(run_program(STRANGER + program, texts, environment=reader)).splitlines()[-1]
    )
    assert ids == expected["main"]["ids"]
    lengths = list(map(len, bare_ids))
    assert [row[:length] for row, length in zip(ids, lengths, strict=True)] == bare_ids
    assert [row[:length] for row, length in zip(offsets, lengths, strict=True)] == bare_offsets
    assert [end for _, end in bare_offsets[0]] == list(range(1, len(TEXTS[0]) + 1))
