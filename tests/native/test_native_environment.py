"""The runtime stands on its own: without torch and transformers, from a folder, the Hub and the command line."""

import ast
import json
import os
import re
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest
from hub.client import environment, push, run, succeeded

import hf_bilstm
from bilstm_native import NativeClassifier, NativeTagger
from hf_bilstm.cli import main

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "native"
TEXTS = ["昨天，周晓岚在广州参加了东海大学的毕业典礼。", "", "今年夏天，爷爷打算和老李去黄河边钓鱼。"]

READER = """
import json, sys
from bilstm_native import NativeTagger
tagger = NativeTagger.from_pretrained(sys.argv[1])
tagged = tagger(json.load(sys.stdin))
found = [[(span["entity_group"], span["start"], span["end"]) for span in spans] for spans in tagged]
heavy = {"torch", "transformers", "hf_bilstm"} & set(sys.modules)
print(json.dumps([found, sorted(heavy)]))
"""


def expected(folder):
    found = NativeTagger.from_pretrained(folder)(TEXTS)
    assert any(found)
    return [[[span["entity_group"], span["start"], span["end"]] for span in spans] for spans in found]


def read(command, folder, **options):
    done = subprocess.run(
        [*command, "-c", READER, str(folder)], input=json.dumps(TEXTS), capture_output=True, text=True, **options
    )
    return json.loads(succeeded(done))


def test_neither_torch_nor_transformers_is_imported(trained):
    assert find_spec("torch")
    assert find_spec("transformers")
    assert read([sys.executable], trained) == [expected(trained), []]


def test_an_environment_without_torch_and_transformers(trained, tmp_path):
    """An environment that holds what native/pyproject.toml names, and nothing else."""
    venv.create(tmp_path / "bare", symlinks=True, with_pip=False)
    (packages,) = (tmp_path / "bare").glob("[Ll]ib/**/site-packages")
    for name in ("numpy", "safetensors", "tokenizers"):
        folder = Path(find_spec(name).origin).parent
        (packages / name).symlink_to(folder)
        if (folder.parent / f"{name}.libs").is_dir():
            (packages / f"{name}.libs").symlink_to(folder.parent / f"{name}.libs")
    (packages / "bilstm_native").symlink_to(NATIVE / "bilstm_native")
    (python,) = (tmp_path / "bare").glob("[Bb][Ii]*/python")
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for absent in ("torch", "transformers", "huggingface_hub"):
        failed = subprocess.run(
            [python, "-c", f"import {absent}"], capture_output=True, text=True, env=bare, cwd=tmp_path
        )
        assert "ModuleNotFoundError" in failed.stderr
    assert read([python], trained, env=bare, cwd=tmp_path) == [expected(trained), []]
    failed = subprocess.run(
        [python, "-c", READER, "org/tagger"], input="[]", capture_output=True, text=True, env=bare, cwd=tmp_path
    )
    assert "reading from the Hub takes huggingface_hub: pip install huggingface_hub" in failed.stderr


def test_what_the_distribution_imports_is_what_it_depends_on():
    text = (NATIVE / "pyproject.toml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^dependencies = \[(.*)\]$", text, re.M)
    dependencies = set(re.findall(r'"(\w+)', listed))
    imported = set()
    for file in (NATIVE / "bilstm_native").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.partition(".")[0])
    assert imported - set(sys.stdlib_module_names) == dependencies | {"huggingface_hub"}


def test_the_package_gives_the_same_classes():
    assert hf_bilstm.NativeTagger is NativeTagger
    assert hf_bilstm.NativeClassifier is NativeClassifier
    with pytest.raises(AttributeError, match="has no attribute 'NativeTager'"):
        _ = hf_bilstm.NativeTager


def test_without_the_distribution_the_package_says_what_to_install():
    program = "import sys; sys.modules['bilstm_native'] = None\nimport hf_bilstm\nhf_bilstm.NativeTagger"
    failed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'hf_bilstm[native]'" in failed.stderr


def test_a_repository_of_the_hub(finished, hub, tmp_path):
    writer = environment(hub.url, tmp_path / "writer")
    succeeded(push(finished, "org/tagger", environment=writer))
    reader = environment(hub.url, tmp_path / "reader")
    assert read([sys.executable], "org/tagger", env=reader) == [expected(finished), []]
    (snapshot,) = (tmp_path / "reader").glob("hub/models--org--tagger/snapshots/*")
    assert {file.name for file in snapshot.iterdir()} == {
        *("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
    }


def test_predict(trained, tmp_path, capsys):
    file = tmp_path / "text.txt"
    file.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    script = [sys.executable, str(ROOT / "scripts" / "predict.py"), str(trained), str(file), "--runtime", "native"]
    native = [json.loads(line) for line in succeeded(run(script, dict(os.environ), cwd=ROOT)).splitlines()]
    main(["predict", str(trained), str(file)])
    torch = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    scores = [[span.pop("score") for line in lines for span in line["entities"]] for lines in (native, torch)]
    assert native == torch
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    for form in ("words", "word_tag"):
        main(["predict", str(trained), str(file), "--format", form])
        expected = capsys.readouterr().out
        main(["predict", str(trained), str(file), "--format", form, "--runtime", "native"])
        assert capsys.readouterr().out == expected
    with pytest.raises(SystemExit, match=r"--tagset goes with --runtime torch; leave one of the two out"):
        main(["predict", str(trained), str(file), "--runtime", "native", "--tagset", "upos"])
