"""Cards: what they say is what was measured, whatever the labels, and hand-written words survive."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from datasets import Dataset
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from markdown_it import MarkdownIt
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    TrainingArguments,
)
from warm_python import warm_python

from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification, BiLstmTokenizer, TaggingPipeline
from hf_bilstm.data import encode_dataset, label_list, load_sample
from hf_bilstm.deploy.repository_name import name_repository
from hf_bilstm.training.arguments import CardArguments
from hf_bilstm.training.card_callback import ModelCardCallback
from hf_bilstm.training.card_facts import CardFacts, hub_id, recipe_facts
from hf_bilstm.training.card_measures import describe_data, measure_speed, tell_language, text_separator
from hf_bilstm.training.card_tables import code, markdown_table, prose
from hf_bilstm.training.model_card import (
    HAND_EDITED,
    HAND_EDITED_END,
    render_model_card,
    rewrite_model_card,
    write_model_card,
)
from hf_bilstm.training.recipes import describe_recipe, read_recipe
from hf_bilstm.training.run import train
from hf_bilstm.training.trainer import TaggerTrainer

ROOT = Path(__file__).parents[2]


def load(folder: Path):
    return AutoModelForTokenClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def make_tagger(data: Dataset, granularity: str = "char", scheme: str = "bioes"):
    tokenizer = BiLstmTokenizer.from_corpus(data["tokens"], granularity=granularity)
    config = BiLstmConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        embedding_size=8,
        tagging_scheme=scheme,
        id2label=dict(enumerate(label_list([data]))),
    )
    return BiLstmForTokenClassification(config), tokenizer


def section(card: str, title: str) -> str:
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", card, re.M | re.S)[1]


def tables(text: str) -> list[list[list[str]]]:
    """Cells of each table, split as GitHub's Markdown splits them: at pipes without a backslash."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.M):
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
        assert len({len(row) for row in rows}) == 1, block
        assert all(re.fullmatch(r" (---|--:) ", cell) for cell in rows[1])
        found.append([[cell.strip() for cell in row] for row in (rows[0], *rows[2:])])
    return found


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of a trained folder, to be written into."""
    return Path(shutil.copytree(trained, tmp_path / "copied", ignore=shutil.ignore_patterns("checkpoint-*")))


def test_metadata_is_what_the_hub_reads_back(trained):
    card = ModelCard.load(trained / "README.md")
    data = card.data
    assert (data.library_name, data.pipeline_tag, data.language) == ("transformers", "token-classification", ["zh"])
    assert {"bilstm", "hf_bilstm", "crf", "ner"} <= set(data.tags)
    assert data.metrics == ["f1", "precision", "recall", "accuracy"]
    # Nobody gave a license, and neither data nor base model are on the Hub.
    assert not {"license", "datasets", "base_model"} & set(data.to_dict())
    again = ModelCard(card.content)
    assert again.data.to_dict() == data.to_dict()
    assert again.content == card.content

    results = json.loads((trained / "all_results.json").read_text(encoding="utf-8"))
    index = data.to_dict()["model-index"]
    name, read = model_index_to_eval_results(index)
    assert name == trained.name
    assert eval_results_to_model_index(name, read) == index
    scores = {(result.dataset_split, result.metric_name): result.metric_value for result in read}
    for split in ("validation", "test"):
        assert scores[split, "Span F1"] == round(results[split]["f1"], 4)
        assert scores[split, "Tag accuracy"] == round(results[split]["accuracy"], 4)
    assert {result.dataset_type for result in read} == {"unknown"}


def test_widget_shows_the_validation_sentences_richest_in_types(trained):
    data = load_sample("validation")
    types = {"".join(row["tokens"]): {tag[2:] for tag in row["tags"]} - {""} for row in data}
    widget = ModelCard.load(trained / "README.md").data.widget
    assert len(widget) == 3
    most = max(map(len, types.values()))
    assert len(types[widget[0]["text"]]) == most
    assert all(item["text"] in types for item in widget)


def test_the_body_says_what_was_measured(trained):
    card = (trained / "README.md").read_text(encoding="utf-8")
    results = json.loads((trained / "all_results.json").read_text(encoding="utf-8"))
    overall, by_type = tables(section(card, "Results"))
    rows = {row[0]: row[1:] for row in overall[1:]}
    assert overall[0] == ["split", "precision", "recall", "F1", "macro F1", "tag accuracy"]
    for split in ("validation", "test"):
        assert rows[split][2] == f"{100 * results[split]['f1']:.2f}"
    for kind, scores in results["test"]["per_type"].items():
        shown = [f"{100 * scores[key]:.2f}" for key in ("precision", "recall", "f1")]
        assert [f"`{kind}`", *shown, str(scores["number"])] in by_type
    (labels,) = tables(section(card, "Labels"))
    assert labels[0] == ["type", "meaning", "frequent in the training data"]
    assert [row[:2] for row in labels[1:3]] == [["`LOC`", "a place"], ["`ORG`", "an organisation"]]
    text = "".join(token for tokens in load_sample("train")["tokens"] for token in tokens)
    assert all(word in text for row in labels[1:] for word in row[2].split(" · "))
    (data,) = tables(section(card, "Data"))
    sample = load_sample("train")
    assert data[1][:3] == ["train", f"{len(sample):,}", f"{sum(map(len, sample['tokens'])):,}"]
    assert f"{results['parameters']:,} parameters" in card
    assert results["speed"]["characters_per_second"] > 0
    assert f"a machine with {results['speed']['cores']} CPU core" in card
    assert f"torch {importlib.metadata.version('torch')}" in section(card, "Versions")
    (settings,) = re.findall(r"```yaml\n(.*?)```", section(card, "How it was trained"), re.S)
    assert yaml.safe_load(settings) == yaml.safe_load((trained / "recipe.yaml").read_text(encoding="utf-8"))
    assert "![Confusion matrix](confusion_matrix.png)" in card
    assert "![Learning curve](learning_curve.png)" in card
    assert card.endswith("\n")
    assert "\n\n\n\n" not in card


def test_the_answer_that_it_shows_is_the_models(trained):
    card = (trained / "README.md").read_text(encoding="utf-8")
    text = re.search(r'for item in tagger\("(.*)"\):', card)[1]
    model, tokenizer = load(trained)
    found = TaggingPipeline(model=model, tokenizer=tokenizer)(text)
    shown = re.search(r"It prints.*?```text\n(.*?)```", card, re.S)[1].splitlines()
    assert shown == [str({**span, "score": round(span["score"], 4)}) for span in found[:5]]


@pytest.mark.parametrize("task", ["ner", "segmentation", "pos"])
def test_every_snippet_runs(tmp_path, recipe_file, task, trained, capsys):
    """In three ways, the last of them where the package cannot be imported."""
    folder = trained
    if task != "ner":
        options = ["--task", task, "--max_steps", "2", "--eval_strategy", "no", "--load_best_model_at_end", "false"]
        options += ["--early_stopping_patience", "0", "--save_strategy", "no"]
        words = ["--granularity", "word", "--lexicon_embedding_size", "0"]
        options += {"pos": words, "segmentation": ["--white_space", "token"]}[task]
        folder = tmp_path / "tagger"
        train(read_recipe(str(recipe_file), [*options, "--output_dir", str(folder)]))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert ('aggregation_strategy="none"' in card) == (task == "pos")
    assert ('aggregation_strategy="simple"' in card) == (task != "pos")
    assert ("return_words=True" in card) == (task == "segmentation")
    snippets = re.findall(r"```python\n(.*?)```", name_repository(card, str(folder)), re.S)
    assert len(snippets) == 3
    assert all("import hf_bilstm" in snippet for snippet in snippets[:2])
    for snippet in snippets[:2]:
        exec(compile(snippet, "README.md", "exec"), {})
    assert capsys.readouterr().out
    stranger = 'import sys\nsys.modules["hf_bilstm"] = None\n' + snippets[2] + "print(type(tagger).__name__)\n"
    done = subprocess.run([warm_python(), "-c", stranger], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "TaggingPipeline"


def test_no_path_of_the_machine_is_in_a_card(trained, recipe_file, tmp_path):
    secret = tmp_path / "home" / "somebody"
    secret.mkdir(parents=True)
    files = {}
    for split in ("train", "validation", "test"):
        file = secret / f"{split}.txt"
        rows = load_sample(split).select(range(20))
        file.write_text(
            "\n".join("".join(f"{a} {b}\n" for a, b in zip(row["tokens"], row["tags"], strict=True)) for row in rows),
            encoding="utf-8",
        )
        files[split] = file
    start = shutil.copytree(trained, secret / "start")
    options = ["--dataset", "", "--model_name_or_path", str(start), "--max_steps", "1", "--output_dir"]
    options += [str(secret / "out"), "--eval_strategy", "no", "--load_best_model_at_end", "false"]
    options += ["--early_stopping_patience", "0", "--hub_token", "hf_verysecret", "--save_strategy", "no"]
    for split, file in files.items():
        options += [f"--{split}_file", str(file)]
    train(read_recipe(str(recipe_file), options))
    card = (secret / "out" / "README.md").read_text(encoding="utf-8")
    assert "somebody" not in card
    assert str(tmp_path) not in card
    assert "hf_verysecret" not in card
    assert "hf_verysecret" not in (secret / "out" / "recipe.yaml").read_text(encoding="utf-8")
    assert "train_file: train.txt" in card
    assert "hf-bilstm train recipe.yaml --data_dir FOLDER --output_dir outputs/out" in card
    assert "base_model" not in ModelCard(card).data.to_dict()


def test_what_only_the_user_knows(folder):
    options = ["--license", "cc-by-4.0", "--language", "zh", "lzh", "--model_name", "Tagger *one*"]
    meanings = ["--label_meanings", '{"LOC": "where | one is"}', "--dataset_name", "My <b>corpus</b>"]
    card = ModelCard.load(rewrite_model_card(folder, [*options, *meanings]))
    assert card.data.license == "cc-by-4.0"
    assert card.data.language == ["zh", "lzh"]
    assert card.data.model_name == "Tagger *one*"
    assert card.data.eval_results[0].dataset_name == "My <b>corpus</b>"
    assert "# Tagger \\*one\\*" in card.text
    assert "My \\<b\\>corpus\\</b\\>" in card.text
    assert tables(section(card.text, "Labels"))[0][1][:2] == ["`LOC`", "where \\| one is"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--license", "Apache 2.0"], "license must be an id that the Hub knows, such as apache-2.0"),
        (["--language", "Chinese"], "language must be ISO 639 codes such as zh or en, got 'Chinese'"),
        (["--label_meanings", "LOC"], "label_meanings must be types and their meanings"),
        (["--label_meanings", '{"LOC": 3}'], "label_meanings must be types and their meanings"),
    ],
)
def test_what_the_hub_would_refuse_is_refused_at_once(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_recipe(None, options)


def test_a_card_of_hub_data_and_a_hub_model(folder):
    model, tokenizer = load(folder)
    results = json.loads((folder / "all_results.json").read_text(encoding="utf-8"))
    facts = CardFacts(
        results={key: value for key, value in results.items() if key != "sources"},
        dataset="org/corpus",
        dataset_config="zh",
        base_model="org/start",
        repository="me/tagger",
        tags=["finance", "ner"],
        arguments=CardArguments(eval_results_task="entities"),
    )
    write_model_card(folder, model, tokenizer, facts)
    card = ModelCard.load(folder / "README.md")
    assert (card.data.datasets, card.data.base_model, card.data.model_name) == (["org/corpus"], "org/start", "tagger")
    assert card.data.tags.count("ner") == 1
    assert card.data.tags[-1] == "finance"
    result = card.data.eval_results[0]
    assert (result.dataset_type, result.dataset_name, result.dataset_config) == ("org/corpus", "org/corpus", "zh")
    assert 'model="me/tagger"' in card.text
    assert "ORG/NAME" not in card.text
    (entry,) = yaml.safe_load((folder / ".eval_results" / "corpus.yaml").read_text(encoding="utf-8"))
    assert entry["dataset"] == {"id": "org/corpus", "task_id": "entities"}
    assert entry["value"] == round(results["test"]["f1"], 4)


def test_results_for_a_benchmark_need_one(recipe_file, tmp_path):
    with pytest.raises(ValueError, match="eval_results_task is 'x', which needs a data set of the Hub"):
        train(read_recipe(str(recipe_file), ["--eval_results_task", "x", "--output_dir", str(tmp_path)]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("org/name", "org/name"),
        ("conll2003", "conll2003"),
        ("sample", None),
        *((name, None) for name in (None, "/data/x", "./x", "a/b/c", "C:\\x", "~/x")),
    ],
)
def test_ids_of_the_hub_are_told_from_folders(name, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hub_id(name) == expected
    if expected:
        Path(name).mkdir(parents=True)
        assert hub_id(name) is None


def test_a_hand_edited_section_survives(folder):
    file = folder / "README.md"
    words = "\n## What I found\n\nIt works | well, `mostly`.\n\n```python\nx = 1\n```\n"
    text = file.read_text(encoding="utf-8").replace(HAND_EDITED, HAND_EDITED + "\n" + words)
    text = text.replace("library_name:", "license: mit\nco2_eq_emissions:\n  emissions: 3\nlibrary_name:", 1)
    text = text.replace("- bilstm\n", "- wrong\n", 1)
    file.write_text(text, encoding="utf-8")
    for _ in range(2):
        rewrite_model_card(folder)
        card = ModelCard.load(file)
        kept = card.text.partition(HAND_EDITED)[2].partition(HAND_EDITED_END)[0]
        assert kept.strip("\n") == words.strip("\n")
        assert card.text.count(HAND_EDITED) == card.text.count(HAND_EDITED_END) == 1
        assert card.data.license == "mit"  # which only the user can say
        assert card.data.co2_eq_emissions == {"emissions": 3}
        assert "wrong" not in card.data.tags
    once = file.read_bytes()
    rewrite_model_card(folder)
    assert file.read_bytes() == once


def test_a_card_whose_marks_are_gone_is_not_written_over(folder, recipe_file):
    file = folder / "README.md"
    broken = file.read_text(encoding="utf-8").replace(HAND_EDITED_END, "my words")
    file.write_text(broken, encoding="utf-8")
    with pytest.raises(ValueError, match="must have the two lines around its hand-edited section once each"):
        rewrite_model_card(folder)
    options = ["--output_dir", str(folder), "--max_steps", "1"]
    with pytest.raises(ValueError, match="hand-edited"):  # before the training, not after it
        train(read_recipe(str(recipe_file), options))
    assert file.read_text(encoding="utf-8") == broken


@pytest.mark.parametrize("text", ["# My own page\n", "---\nlicense: [mit\n---\n# Mine\n", ""])
def test_a_page_of_another_origin_is_left_alone(folder, text):
    file = folder / "README.md"
    file.write_text(text, encoding="utf-8")
    rewrite_model_card(folder)
    assert file.read_text(encoding="utf-8") == text


def test_the_card_of_the_stock_trainer_makes_way(folder):
    file = folder / "README.md"
    file.write_text("---\ntags:\n- generated_from_trainer\nlicense: mit\n---\n\nA stock card.\n", encoding="utf-8")
    rewrite_model_card(folder)
    card = ModelCard.load(file)
    assert "stock card" not in card.text
    assert HAND_EDITED in card.text
    assert card.data.license == "mit"


def test_without_pictures_there_are_none_in_the_card(folder):
    (folder / "confusion_matrix.png").unlink()
    card = rewrite_model_card(folder).read_text(encoding="utf-8")
    assert "confusion_matrix" not in card
    assert "learning_curve.png" in card


ODD = ["-LRB-", "a|b", "`tick`", "``", "<b>x</b>", "*", "a_b_c", "$x$", "[l](u)", "|", "\\|", "名", "#", "&amp;"]


def test_odd_labels_break_no_table(tmp_path):
    data = Dataset.from_dict({"tokens": [[f"{tag}w|`<i>"] * 2 for tag in ODD], "tags": [[tag] * 2 for tag in ODD]})
    model, tokenizer = make_tagger(data, granularity="word", scheme="none")
    scores = {tag: {"precision": 0.5, "recall": 0.5, "f1": 0.5, "number": 2} for tag in ODD}
    results = {
        "test": {"accuracy": 0.5, "macro_f1": 0.5, "per_tag": scores},
        "data": describe_data({"train": data}, plain=True),
    }
    write_model_card(tmp_path, model, tokenizer, CardFacts(task="pos", results=results))
    card = ModelCard.load(tmp_path / "README.md")
    (labels,) = tables(section(card.text, "Labels"))
    assert [row[0] for row in labels[1:]] == [code(tag).replace("|", "\\|") for tag in sorted(ODD)]
    _, by_label = tables(section(card.text, "Results"))
    assert [row[0] for row in by_label[1:]] == [code(tag).replace("|", "\\|") for tag in ODD]
    assert "<b>x</b>" not in re.sub(
        r"(`+)[^`].*?\1(?!`)", "", card.text.partition("## Limits")[0].partition("## Labels")[2]
    )
    assert not {"datasets", "language"} & set(card.data.to_dict())


@pytest.mark.parametrize("text", [*ODD, "a``b`c", "`", "x`"])
def test_names_and_texts_read_as_they_are(text):
    markdown = MarkdownIt("commonmark").enable("table")
    table = markdown.render(markdown_table(["a", "b"], [[code(text), prose(text)]]))
    cells = re.findall(r"<td>(.*?)</td>", table, re.S)
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    assert cells[0] == f"<code>{escaped}</code>"
    assert cells[1] == escaped
    assert markdown.render(f"x {code(text)} {prose(text)}") == f"<p>x <code>{escaped}</code> {escaped}</p>\n"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("他昨天去了北京，住在十里河的A饭店。", ["zh"]),
        ("東京へ行きました。", ["ja"]),
        ("コンピュータ", ["ja"]),
        ("나는 어제 서울에 갔다가 오늘 왔다 A", ["ko"]),
        ("He went to Beijing.", []),
        ("Он поехал в Москву", []),
        ("GPU 计算 with CUDA is fast", []),
        ("123 !?", []),
        ("", []),
    ],
)
def test_a_language_is_told_by_a_script_of_its_own_alone(text, language):
    assert tell_language([text]) == language
    assert tell_language(text) == language


def test_data_is_described_from_what_is_there():
    data = Dataset.from_dict(
        {
            "tokens": [["He", "met", "Ann\n"], ["Ann", "Lee", "left"], ["x"]],
            "tags": [["O", "O", "B-PER"], ["B-PER", "I-PER", "O"], ["O"]],
        }
    )
    assert describe_data({"train": data, "validation": None}, plain=False) == {
        "splits": {"train": {"sentences": 3, "tokens": 7, "spans": 2}},
        "language": [],
        "examples": [["Ann", "Lee", "left"], ["x"]],  # what cannot be printed is no example
        "types": {"PER": ["Ann Lee"]},
        "separator": " ",
    }
    own = describe_data({"train": data}, plain=False, texts=["Jo left"])
    assert (own["examples"], own["types"], own["splits"]["train"]["tokens"]) == ([["Jo", "left"]], {}, 7)
    assert describe_data({}, plain=False) == {}


def test_speed_is_measured_for_texts_and_for_words():
    for task, granularity in (("ner", "char"), ("pos", "word")):
        data = load_sample("test", task)
        model, tokenizer = make_tagger(data, granularity, "bioes" if task == "ner" else "none")
        speed = measure_speed(model, tokenizer, data["tokens"])
        assert speed["characters"] == sum(len(token) for tokens in data["tokens"] for token in tokens)
        assert speed["characters_per_second"] > 0
        assert (speed["device"], speed["threads"]) == ("cpu", 1)


def make_trainer(folder: Path, callbacks=()) -> TaggerTrainer:
    data = load_sample("validation")
    model, tokenizer = make_tagger(data)
    encoded = encode_dataset(data, tokenizer, model.config.label2id)
    return TaggerTrainer(
        model=model,
        args=TrainingArguments(
            str(folder), max_steps=2, report_to="none", eval_strategy="steps", eval_steps=2, seed=7
        ),
        train_dataset=encoded,
        eval_dataset=encoded,
        processing_class=tokenizer,
        data_collator=DataCollatorForTokenClassification(tokenizer),
        callbacks=list(callbacks),
        compute_metrics=lambda prediction: {"f1": 0.25, "accuracy": 0.5},
    )


def test_the_trainers_own_card_is_ours(tmp_path):
    """`Trainer.push_to_hub` calls `create_model_card` just before it uploads the folder."""
    trainer = make_trainer(tmp_path)
    trainer.train()
    trainer.create_model_card(
        language="zh", license="mit", tags="news", model_name="mine", finetuned_from="org/start", dataset_tags="org/d"
    )
    card = ModelCard.load(tmp_path / "README.md")
    assert "generated automatically" not in card.text
    data = card.data
    assert (data.language, data.license, data.base_model, data.datasets) == (["zh"], "mit", "org/start", ["org/d"])
    assert "news" in data.tags
    assert data.model_name == "mine"
    assert {(r.dataset_split, r.metric_type, r.metric_value) for r in data.eval_results} == {
        ("validation", "f1", 0.25),
        ("validation", "accuracy", 0.5),
    }
    assert "seed 7" in card.text
    assert "max_steps: 2" in card.text


def test_a_card_is_written_before_each_push_of_a_training(tmp_path):
    recipe = read_recipe(None, ["--dataset", "sample", "--license", "mit", "--output_dir", str(tmp_path)])
    callback = ModelCardCallback(recipe_facts(recipe, {}), {"train": load_sample("validation")})
    trainer = make_trainer(tmp_path, [callback])
    trainer.callback_handler.on_push_begin(trainer.args, trainer.state, trainer.control)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.license == "mit"
    assert not card.data.eval_results
    assert "None were measured" in section(card.text, "Results")
    trainer.train()
    trainer.callback_handler.on_push_begin(trainer.args, trainer.state, trainer.control)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.eval_results[0].metric_value == 0.25
    assert tables(section(card.text, "Data"))[0][1][1] == "72"
    trainer.create_model_card()
    assert ModelCard.load(tmp_path / "README.md").data.license == "mit"


def test_settings_are_told_while_a_trainer_works(tmp_path):
    trainer = make_trainer(tmp_path)
    assert describe_recipe([trainer.args])["seed"] == 7
    trainer.train()


def test_a_failed_write_leaves_the_old_card(folder):
    before = (folder / "README.md").read_bytes()
    with pytest.raises(UnicodeEncodeError):
        rewrite_model_card(folder, ["--model_name", "half of a pair \ud83d"])
    assert (folder / "README.md").read_bytes() == before
    assert not list(folder.glob(".writing-*"))


def test_the_template_is_in_the_wheel(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(ROOT / "hf_bilstm", source / "hf_bilstm", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-c", "from setuptools.build_meta import build_wheel; build_wheel('.')"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = source.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "hf_bilstm/training/templates/model_card.md" in names
    assert {"hf_bilstm/deploy/handler.py", "hf_bilstm/deploy/requirements.txt"} <= set(names)
    link = ROOT / "model_cards" / "template.md"
    assert link.resolve() == ROOT / "hf_bilstm" / "training" / "templates" / "model_card.md"


def test_data_that_is_not_for_everybody_is_not_shown(folder):
    own = "林若水住在宁波。"
    shown = ModelCard.load(folder / "README.md")
    sentences = [item["text"] for item in shown.data.widget]
    card = ModelCard.load(rewrite_model_card(folder, ["--examples", own]))
    assert card.data.widget == [{"text": own, "example_title": "Example 1"}]
    assert f'tagger("{own}")' in card.text
    assert not any(sentence in card.content for sentence in sentences)
    assert "frequent in the training data" not in card.text


def test_words_of_a_word_tagger_stand_apart_in_its_texts():
    data = Dataset.from_dict({"tokens": [["我", "去", "了", "北京", "。"]], "tags": [["r", "v", "u", "ns", "w"]]})
    model, tokenizer = make_tagger(data, granularity="word", scheme="none")
    facts = CardFacts(task="pos", results={"data": describe_data({"train": data}, True, text_separator(tokenizer))})
    card = ModelCard(render_model_card(model, tokenizer, facts, "tagger"))
    assert card.data.widget[0]["text"] == "我 去 了 北京 。"
    assert 'tagger(["我", "去", "了", "北京", "。"], is_split_into_words=True)' in card.text


def test_meanings_of_tags_come_from_the_configuration(tmp_path):
    data = load_sample("test", "pos")
    model, tokenizer = make_tagger(data, "word", "none")
    model.config.tag_meanings = {"n": {"zh": "名词", "en": "noun", "examples": ["人"]}}
    facts = CardFacts(task="pos", arguments=CardArguments(label_meanings='{"w": "a mark of punctuation"}'))
    (labels,) = tables(section(render_model_card(model, tokenizer, facts, "tagger"), "Labels"))
    meanings = {row[0]: row[1] for row in labels[1:]}
    assert (meanings["`n`"], meanings["`w`"], meanings["`v`"]) == ("noun (名词)", "a mark of punctuation", "")


def test_scores_of_words_are_told_once(tmp_path):
    data = load_sample("test", "segmentation")
    model, tokenizer = make_tagger(data)
    scores = {"precision": 0.9, "recall": 0.8, "f1": 0.85, "macro_f1": 0.85, "word_f1": 0.85, "oov_recall": 0.4}
    facts = CardFacts(task="segmentation", results={"test": scores})
    card = ModelCard(render_model_card(model, tokenizer, facts, "tagger"))
    (overall,) = tables(section(card.text, "Results"))
    assert overall == [
        ["split", "precision", "recall", "F1", "recall of unseen words"],
        ["test", "90.00", "80.00", "85.00", "40.00"],
    ]
    assert {result.metric_name for result in card.data.eval_results} == {
        "Span F1",
        "Span precision",
        "Span recall",
        "Recall of unseen words",
    }
