"""Every command and every program that the README and the pages of docs/ show runs as it stands, in a clean directory.

A page is one session: its YAML blocks become files of the name in their first line, its commands run one block after
the other, its programs run as one. The directory holds the scripts, the recipes (cut short: what they do is tested
elsewhere), a folder FOLDER of the files they read, and, for pages that start from one, trained taggers. The Hub's page
has one on the loopback interface. A translated page shows what its original shows, and is not run again.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hub.client import PACKAGES, environment
from transformers import AutoModelForTokenClassification
from warm_python import warm_python

from hf_bilstm import BiLstmConfig, BiLstmTokenizer
from hf_bilstm.data import load_sample, write_word_pos
from hf_bilstm.models.tagging_schemes import convert_tags
from hf_bilstm.training.pretraining import read_pretraining_recipe
from hf_bilstm.training.recipes import read_recipe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TRANSLATIONS = [page for page in PAGES if page.stem.endswith("_zh")]
RECIPES = sorted((ROOT / "configs").glob("*.yaml"))
SHORT = {"max_steps": 4, "embedding_size": 16, "bigram_buckets": 100, "hidden_size": 16, "num_hidden_layers": 1}
# Commands that set up or check the project itself: their arguments are checked instead.
SET_UP = ("pip install", "make", ".venv/bin/pre-commit install")
SERVERS = ("tensorboard",)


def blocks(page: Path, language: str) -> list[str]:
    """What a page shows in a language, from top to bottom."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def clean_directory(tmp_path, monkeypatch, data_files):
    """What a user has in front of them."""
    monkeypatch.setenv("PYTHONPATH", PACKAGES)
    for programs in (Path(sys.executable).parent, warm_programs(tmp_path / "programs")):
        monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    for recipe in RECIPES:
        values = yaml.safe_load(recipe.read_text(encoding="utf-8"))
        short = {**values, **SHORT}
        if values.get("task") == "pretraining":
            del short["bigram_buckets"]  # which would tell what is to be predicted
        write_yaml(tmp_path / "configs" / recipe.name, short)
    shutil.copytree(data_files, tmp_path / "FOLDER")
    (tmp_path / "outputs").mkdir()
    return tmp_path


def warm_programs(folder: Path) -> Path:
    """Make a folder of the two programs that the pages run; each starts quickly."""
    folder.mkdir()
    command = Path(sys.executable).with_name("hf-bilstm")
    for name, program in (("python", warm_python()), ("hf-bilstm", f"{warm_python()} {command}")):
        (folder / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def write_yaml(file: Path, values: dict) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")


@pytest.fixture(scope="session")
def data_files(tmp_path_factory):
    """A little of the built-in corpus under the names, and in the formats, of the recipes that read a folder."""
    folder = tmp_path_factory.mktemp("data_files")
    for values in map(yaml.safe_load, recipe_texts()):
        for split in ("train", "validation", "test"):
            if f"{split}_file" in values:
                usual = "text" if values.get("task") == "pretraining" else "columns"
                text = WRITERS[values.get("data_format", usual)](split)
                (folder / values[f"{split}_file"]).write_text(text, encoding=values.get("encoding", "utf-8"))
    return folder


def pairs(split: str, task: str) -> list[list[tuple[str, str]]]:
    """Tokens and tags of some sentences of the built-in corpus."""
    rows = load_sample(split, task).select(range(62))
    return [list(zip(row["tokens"], row["tags"], strict=True)) for row in rows]


def columns(split: str) -> str:
    sentences = ((list(zip(*s, strict=True))) for s in pairs(split, "ner"))
    bmes = (zip(tokens, convert_tags(tags, "iob2", "bmes"), strict=True) for tokens, tags in sentences)
    return "\n".join("".join(f"{token} {tag}\n" for token, tag in sentence) for sentence in bmes)


def conllu(split: str) -> str:
    rows = (enumerate(sentence, start=1) for sentence in pairs(split, "pos"))
    line = "{}\t{}\t_\tNOUN\t{}\t_\t0\troot\t_\t_\n"
    return "\n".join("".join(line.format(n, word, tag) for n, (word, tag) in sentence) for sentence in rows)


def word_pos(split: str) -> str:
    """A month of one-line days, whatever the split: all are in one file."""
    days = enumerate(pairs("train", "pos"))
    return "".join(f"199801{i % 31 + 1:02}-01-001-001/m  {write_word_pos(words)}\n" for i, words in days)


def labelled_text(split: str) -> str:
    """Lines that any encoding can hold."""
    rows = load_sample(split, "classification", "en").select(range(62))
    texts = (text.encode("ascii", "ignore").decode() for text in rows["text"])
    return "".join(f"{label} {text}\n" for label, text in zip(rows["label"], texts, strict=True))


def tsv(split: str) -> str:
    """A table under the column names of all recipes."""
    rows = load_sample(split, "classification").select(range(62))
    lines = (f"{label}\t{text}\t{text}\n" for label, text in zip(rows["label"], rows["text"], strict=True))
    return "label\ttext\ttext_a\n" + "".join(lines)


def text(split: str) -> str:
    """A text a line."""
    return "\n".join(load_sample("train", "classification")["text"][:200])


WRITERS = {
    "text": text,
    "columns": columns,
    "conllu": conllu,
    "word_pos": word_pos,
    "labelled_text": labelled_text,
    "tsv": tsv,
}


def recipe_texts() -> list[str]:
    """Every recipe of configs/ and of the pages."""
    shown = [text for page in PAGES for text in blocks(page, "yaml")]
    return [*shown, *(recipe.read_text(encoding="utf-8") for recipe in RECIPES)]


def provide_taggers(folder: Path, finished: Path) -> None:
    """Put the taggers there that a page starts from, as the commands it names would have left them."""
    shutil.copytree(finished, folder / "outputs" / "quickstart", dirs_exist_ok=True)
    data = load_sample("train", task="segmentation")
    tokenizer = BiLstmTokenizer.from_corpus(data["tokens"], white_space="token")
    config = BiLstmConfig(
        vocab_size=len(tokenizer),
        tagging_scheme="bmes",
        id2label=dict(enumerate(["O", "B-WORD", "I-WORD"])),
        white_space_token_id=tokenizer.white_space_token_id,
    )
    segmenter = folder / "outputs" / "quickstart_segmentation"
    AutoModelForTokenClassification.from_config(config).save_pretrained(segmenter)
    tokenizer.save_pretrained(segmenter)


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def serve(command: str, folder: Path) -> None:
    """Start a server, wait until it says where it is, and stop it."""
    log = folder / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(command.split(), cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        while "http://" not in log.read_text():
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
    finally:
        server.terminate()
        server.wait()


def run_commands(text: str, folder: Path) -> None:
    """Run a block of commands, apart from those that set the project up."""
    lines = text.splitlines()
    for line in lines:
        if line.startswith("pip install"):
            extras = re.findall(r"hf_bilstm\[(\w+)\]", line)
            assert extras
            assert set(extras) <= optional_dependencies(), line
        elif line.startswith("make"):
            run(["make", "--dry-run", line.split()[1]], ROOT)
        elif line.startswith(SERVERS):
            serve(line, folder)
    commands = "\n".join(line for line in lines if not line.startswith((*SET_UP, *SERVERS)))
    if commands.strip():
        run(["bash", "-euo", "pipefail", "-c", commands], folder)


def optional_dependencies() -> set[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (section,) = re.findall(r"^\[project\.optional-dependencies\]\n(.*?)^\[", text, re.M | re.S)
    return set(re.findall(r"^(\w+) = \[", section, re.M))


@pytest.mark.parametrize("page", [page for page in PAGES if page not in TRANSLATIONS], ids=lambda page: page.stem)
def test_what_a_page_shows_runs(page, clean_directory, finished, hub, monkeypatch):
    if page.stem == "hub":
        for name, value in environment(hub.url, clean_directory / "home").items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("HF_HUB_OFFLINE")
    for text in blocks(page, "yaml"):
        name = re.match(r"# (\S+\.yaml)\n", text)
        assert name, f"{page.name}: the first line of a YAML block names its file, '# mine.yaml', got {text[:40]!r}"
        values = yaml.safe_load(text)
        read_recipe_of_page(values, clean_directory / name[1])
    if "outputs/" in page.read_text(encoding="utf-8"):
        provide_taggers(clean_directory, finished)
    for text in blocks(page, "bash"):
        run_commands(text, clean_directory)
    programs = blocks(page, "python")
    if not shutil.which("g++"):
        programs = [text for text in programs if "torch.compile" not in text]  # it calls a C++ compiler
    if programs:
        printed = run(["python", "-c", "\n".join(programs)], clean_directory)
        if page.stem == "README":
            assert finds_entities(printed.strip().splitlines()[-1])


def finds_entities(line: str) -> bool:
    """Tell whether what a pipeline gave, as it is printed, has a time or a place."""
    found = ast.literal_eval(re.sub(r"np\.float32\((.*?)\)", r"\1", line))
    return bool({"TIME", "LOC"} & {entity["entity_group"] for entity in found})


@pytest.mark.parametrize("page", TRANSLATIONS, ids=lambda page: page.stem)
def test_a_translation_shows_what_its_original_shows_which_runs(page):
    original = page.with_name(page.name.replace("_zh", ""))
    for language in ("yaml", "bash", "python"):
        shown, wanted = (list(map(without_comments, blocks(each, language))) for each in (page, original))
        assert shown == wanted
        assert shown


def without_comments(text: str) -> str:
    """Code but for what stands after a # and a blank, which a translation may say in its language."""
    return re.sub(r" +# .*", "", text)


def read_recipe_of_page(values: dict, file: Path) -> None:
    """Check that a recipe reads, and write it down, cut short; a search space is written as it stands."""
    is_recipe = "output_dir" in values
    write_yaml(file, values)
    if is_recipe:
        assert output_dir(file) == values["output_dir"]
        write_yaml(file, {**values, "max_steps": SHORT["max_steps"]})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_commands_only_where_they_are_run(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    stray = re.findall(r"^ {4,}(?:python|hf-bilstm|make|pip|torchrun) .*", text, re.M)
    assert not stray, f"{page.name}: put commands in ```bash blocks: {stray}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_links_of_a_page_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_writes_to_the_folder_of_its_name(recipe):
    assert output_dir(recipe) == f"outputs/{recipe.stem}"


def output_dir(recipe: Path) -> str | None:
    """Read a recipe of either kind, whole, and say where its model goes."""
    is_pretraining = yaml.safe_load(recipe.read_text(encoding="utf-8")).get("task") == "pretraining"
    return (read_pretraining_recipe if is_pretraining else read_recipe)(str(recipe), []).training.output_dir
