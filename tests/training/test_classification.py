"""Classifiers through a recipe: trained, scored, reported, described, served, and loaded without the package."""

from __future__ import annotations

import json
import os
import re
import subprocess

import numpy as np
import pytest
import torch
import yaml
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    pipeline,
)
from warm_python import warm_python

from hf_bilstm import BiLstmConfig, BiLstmForSequenceClassification, BiLstmForTokenClassification, BiLstmTokenizer
from hf_bilstm.cli import main
from hf_bilstm.data import encode_dataset, load_sample
from hf_bilstm.deploy.handler import EndpointHandler
from hf_bilstm.deploy.push import model_files
from hf_bilstm.training.building import build
from hf_bilstm.training.classification import evaluate_classifier, predict_probabilities
from hf_bilstm.training.model_card import rewrite_model_card
from hf_bilstm.training.recipes import read_data_arguments, read_recipe
from hf_bilstm.training.run import train
from hf_bilstm.training.splits import load_split
from hf_bilstm.training.trainer import TaggerTrainer

TEXTS = ["昨天他们赢了比赛。", "", "股市大涨，公司挣了钱。"]
# Loads a folder where hf_bilstm cannot be imported, classifies texts alone and in a batch, and prints the results.
STRANGER = """
import json, sys
sys.modules["hf_bilstm"] = None
from transformers import AutoModel, pipeline
folder, texts = sys.argv[1], json.load(sys.stdin)
classifier = pipeline("text-classification", model=folder, trust_remote_code=True)
assert type(classifier.model).__module__.startswith("transformers_modules"), type(classifier.model)
assert type(classifier.model).__name__ == "BiLstmForSequenceClassification"
assert type(AutoModel.from_pretrained(folder, trust_remote_code=True)).__name__ == "BiLstmModel"
print(json.dumps([[classifier(text, top_k=None) for text in texts], classifier(texts, top_k=None, batch_size=3)]))
"""
SMALL = ["--hidden_size", "8", "--embedding_size", "8", "--bigram_buckets", "50", "--num_train_epochs", "1"]


def load(folder):
    return AutoModelForSequenceClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def test_the_folder_is_whole_and_its_scores_can_be_had_again(classifier):
    results = json.loads((classifier / "all_results.json").read_text(encoding="utf-8"))
    model, tokenizer = load(classifier)
    assert model.config.problem_type == "single_label_classification"
    for split in ("validation", "test"):
        data = encode_dataset(load_sample(split, "classification"), tokenizer, model.config.label2id)
        assert evaluate_classifier(model, tokenizer, data) == results[split]
    assert results["validation"]["accuracy"] > 0.25  # a sixth is chance
    assert results["data"]["splits"]["train"] == {"texts": 1062, "characters": 30383}
    assert results["speed"]["characters_per_second"] > 0
    pictures = {"confusion_matrix.png", "length_curve.png", "learning_curve.png"}
    assert {*pictures, "errors.html", "README.md", "recipe.yaml"} <= {file.name for file in classifier.iterdir()}
    assert {*pictures, "modeling_sequence_classification.py", "pooling.py"} <= set(model_files(classifier))


def test_predictions_do_not_depend_on_the_batches(classifier):
    model, tokenizer = load(classifier)
    data = encode_dataset(load_sample("test", "classification"), tokenizer, model.config.label2id)
    alone = predict_probabilities(model, tokenizer, data, tokens_per_batch=1)
    np.testing.assert_allclose(predict_probabilities(model, tokenizer, data), alone, atol=1e-5)


def test_those_without_the_package_get_the_same_answers(classifier):
    stranger = subprocess.run(
        [warm_python(), "-c", STRANGER, str(classifier)],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        cwd=classifier.parent,
    )
    assert stranger.returncode == 0, stranger.stderr
    ours = pipeline("text-classification", model=str(classifier))(TEXTS, top_k=None)
    for theirs in json.loads(stranger.stdout.strip().splitlines()[-1]):
        for expected, found in zip(ours, theirs, strict=True):
            assert {item["label"]: item["score"] for item in found} == pytest.approx(
                {item["label"]: item["score"] for item in expected}, abs=1e-5
            )


def test_evaluate_and_predict_on_the_command_line(classifier, tmp_path, capsys, monkeypatch):
    results = json.loads((classifier / "all_results.json").read_text(encoding="utf-8"))
    main(["evaluate", str(classifier), "--json", str(tmp_path / "s.json"), "--report", str(tmp_path / "report")])
    printed = capsys.readouterr().out
    assert re.search(rf"^accuracy +{100 * results['test']['accuracy']:.2f}$", printed, re.M)
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8")) == results["test"]
    page = (tmp_path / "report" / "errors.html").read_text(encoding="utf-8")
    wrong = round((1 - results["test"]["accuracy"]) * 96)
    assert f"Wrong label: {wrong}" in page
    assert page.count('<li id="error-') == wrong

    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    main(["predict", str(classifier), str(tmp_path / "texts.txt")])
    lines = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert [line["text"] for line in lines] == TEXTS
    expected = pipeline("text-classification", model=str(classifier))
    for line in lines:
        (best,) = expected(line["text"])
        assert line["label"] == best["label"]
        assert line["score"] == pytest.approx(best["score"], abs=1e-5)
        assert sum(line["scores"].values()) == pytest.approx(1, abs=1e-4)
    with pytest.raises(SystemExit, match="classifies texts: leave out --format"):
        main(["predict", str(classifier), str(tmp_path / "texts.txt"), "--format", "words"])
    with pytest.raises(SystemExit, match="classifier, which does not fit task 'ner'"):
        main(["evaluate", str(classifier), "--task", "ner"])


def test_the_errors_page_escapes_texts_and_ranks_by_confidence(classifier, tmp_path):
    from hf_bilstm.training.text_error_page import TextError, render_text_errors

    errors = [
        TextError(0, "<b>one\n&", "a", "b", 0.6, 0.3),
        TextError(2, "two", "b", "a", 0.9995, 0.0001),
    ]
    page = render_text_errors(errors, [("accuracy", "33.33 %")], ["a", "a", "b"], ["b", "a", "a"])
    assert "&lt;b&gt;one␊&amp;" in page
    assert page.index("two") < page.index("&lt;b&gt;one")
    assert "&gt; 99.9 %" in page


def test_the_card_is_a_classifiers(classifier):
    card = (classifier / "README.md").read_text(encoding="utf-8")
    metadata = yaml.safe_load(card.split("---")[1])
    assert metadata["pipeline_tag"] == "text-classification"
    assert metadata["tags"] == ["bilstm", "hf_bilstm"]
    assert {"accuracy", "f1"} == set(metadata["metrics"])
    results = json.loads((classifier / "all_results.json").read_text(encoding="utf-8"))
    by_split = {result["dataset"]["split"]: result for result in metadata["model-index"][0]["results"]}
    assert by_split["test"]["metrics"][0]["value"] == round(results["test"]["accuracy"], 4)
    assert by_split["test"]["task"]["type"] == "text-classification"
    assert "1,062 texts" in card
    for word in ("tagger", "CRF", "span", "tag accuracy", "TaggingPipeline"):
        assert word not in card, word
    before = card
    rewrite_model_card(classifier)
    assert (classifier / "README.md").read_text(encoding="utf-8") == before


def test_the_snippets_of_the_card_run(classifier):
    for code in re.findall(r"```python\n(.*?)```", (classifier / "README.md").read_text(encoding="utf-8"), re.S):
        code = code.replace("ORG/NAME", str(classifier))
        done = subprocess.run([warm_python(), "-c", code], capture_output=True, text=True, cwd=classifier.parent)
        assert done.returncode == 0, done.stderr
        assert "label" in done.stdout


def test_the_handler_serves_a_classifier(classifier):
    endpoint = EndpointHandler(str(classifier))
    expected = pipeline("text-classification", model=str(classifier))
    (best,) = expected(TEXTS[0])
    found = endpoint({"inputs": TEXTS[0]})
    assert found[0]["label"] == best["label"]
    assert len(found) == 6
    assert [item["score"] for item in found] == sorted((item["score"] for item in found), reverse=True)
    several = endpoint({"inputs": TEXTS, "parameters": {"top_k": 2}})
    assert [len(items) for items in several] == [2, 2, 2]
    assert [item["label"] for item in several[0]] == [item["label"] for item in found[:2]]
    assert endpoint({"inputs": []}) == []
    json.dumps(several)
    for request, message in (
        ({"inputs": TEXTS[0], "parameters": {"top_k": 0}}, "top_k must be a whole number from 1 on"),
        ({"inputs": TEXTS[0], "parameters": {"n_best": 2}}, "Unknown parameter 'n_best': there are top_k, batch_size"),
        ({"inputs": [["a"]]}, r"inputs\[0\] is \['a'\]: it takes a text"),
    ):
        with pytest.raises(ValueError, match=message):
            endpoint(request)


def test_a_share_of_the_training_data_is_held_out_by_its_own_seed(tmp_path):
    lines = [f"{n % 3} question {n}" for n in range(50)]
    (tmp_path / "all.txt").write_text("\n".join(lines), encoding="utf-8")
    options = ["--task", "classification", "--data_format", "labelled_text", "--data_dir", str(tmp_path)]
    options += ["--train_file", "all.txt", "--validation_fraction", "0.1"]

    def texts(split, *more):
        return load_split(read_data_arguments(None, [*options, *more]), split)["text"][:]

    held_out = texts("validation")
    assert len(held_out) == 5
    assert sorted(held_out + texts("train")) == sorted(line[2:] for line in lines)
    assert texts("validation") == held_out
    assert texts("validation", "--validation_seed", "1") != held_out
    assert load_split(read_data_arguments(None, options), "test") is None
    with pytest.raises(ValueError, match="validation_file names other"):
        read_data_arguments(None, [*options, "--validation_file", "b.txt"])
    with pytest.raises(ValueError, match=r"validation_fraction must be .* got 1\.5"):
        read_data_arguments(None, [*options, "--validation_fraction", "1.5"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "classification", "--train_file", "a"], "data_format labelled_text, tsv or csv, not 'columns'"),
        (
            ["--task", "ner", "--train_file", "a", "--data_format", "tsv"],
            "has a label a text, for task 'classification'",
        ),
    ],
)
def test_formats_of_the_other_kind_of_task_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        load_split(read_data_arguments(None, options), "train")


def test_what_a_classifier_cannot_use_is_refused(tmp_path):
    recipe = "configs/quickstart_topics.yaml"
    data = load_sample("train", "classification")
    with pytest.raises(ValueError, match="lexicon is learned from words"):
        build(read_recipe(recipe, ["--lexicon_embedding_size", "4"]), data)
    with pytest.raises(ValueError, match="All texts have the label 'news'"):
        build(read_recipe(recipe, []), data.filter(lambda row: row["label"] == "news"))


def test_fine_tuning_keeps_the_encoder_either_way(classifier, trained, tmp_path):
    ner = ["--task", "ner", "--dataset", "sample", "--output_dir", str(tmp_path / "ner")]
    recipe = read_recipe(None, [*ner, "--model_name_or_path", str(classifier)])
    _, tagger = build(recipe, load_sample("train"))
    assert isinstance(tagger, BiLstmForTokenClassification)
    assert (tagger.config.tagging_scheme, tagger.config.problem_type) == ("bioes", None)
    given = AutoModelForSequenceClassification.from_pretrained(classifier)
    for name, weight in given.bilstm.state_dict().items():
        assert torch.equal(weight, tagger.bilstm.state_dict()[name])
    tagger.save_pretrained(tmp_path / "ner")
    assert AutoModelForTokenClassification.from_pretrained(tmp_path / "ner").config.labels[0] == "O"

    topics = ["--task", "classification", "--dataset", "sample", "--output_dir", str(tmp_path / "topics")]
    _, model = build(
        read_recipe(None, [*topics, "--model_name_or_path", str(trained)]), load_sample("train", "classification")
    )
    assert isinstance(model, BiLstmForSequenceClassification)
    assert (model.config.tagging_scheme, len(model.config.labels)) == ("none", 6)
    given = AutoModelForTokenClassification.from_pretrained(trained)
    for name, weight in given.bilstm.state_dict().items():
        assert torch.equal(weight, model.bilstm.state_dict()[name])
    _, again = build(
        read_recipe(None, [*topics, "--model_name_or_path", str(classifier)]), load_sample("train", "classification")
    )
    for name, weight in AutoModelForSequenceClassification.from_pretrained(classifier).state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name  # of the same labels: the head too


def test_a_table_of_ones_own_trains_through_the_same_path(tmp_path):
    data = load_sample("test", "classification")
    for split in ("train", "dev"):
        rows = "".join(f"{label}\t{text}\n" for label, text in zip(data["label"], data["text"], strict=True))
        (tmp_path / f"{split}.tsv").write_text(f"topic\tbody\n{rows}", encoding="utf-8")
    values = {
        "task": "classification",
        "data_format": "tsv",
        "text_column": "body",
        "label_column": "topic",
        "data_dir": str(tmp_path),
        "train_file": "train.tsv",
        "validation_file": "dev.tsv",
        "classifier_pooling": "attention",
        "label_weights": {"news": 2.0},
        "output_dir": str(tmp_path / "out"),
        "report_to": "none",
        "disable_tqdm": True,
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    results = train(read_recipe(str(tmp_path / "mine.yaml"), SMALL))
    assert set(results["validation"]) == {"accuracy", "macro_f1", "per_label"}
    model, _ = load(tmp_path / "out")
    assert (model.config.classifier_pooling, model.config.label_weights[3]) == ("attention", 2.0)


def test_the_stock_trainer_trains_several_labels_a_text(tmp_path):
    data = load_sample("validation", "classification").select(range(24))
    tokenizer = BiLstmTokenizer.from_corpus(data["text"])
    names = {0: "long", 1: "has a comma"}
    config = BiLstmConfig(
        vocab_size=len(tokenizer), hidden_size=8, id2label=names, problem_type="multi_label_classification"
    )
    model = AutoModelForSequenceClassification.from_config(config)
    rows = [{**tokenizer(text), "labels": [float(len(text) > 28), float("，" in text)]} for text in data["text"]]
    arguments = TrainingArguments(
        str(tmp_path), num_train_epochs=2, report_to="none", disable_tqdm=True, save_strategy="no", use_cpu=True
    )
    trainer = Trainer(model, arguments, DataCollatorWithPadding(tokenizer), rows, rows, processing_class=tokenizer)
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < 1
    trainer.save_model()
    answer = pipeline("text-classification", model=str(tmp_path))("今天，下雨。", top_k=None)
    assert {item["label"] for item in answer} == set(names.values())


def test_the_trainer_writes_a_classifiers_card_without_a_recipe(tmp_path):
    data = load_sample("validation", "classification").select(range(12))
    tokenizer = BiLstmTokenizer.from_corpus(data["text"])
    labels = dict(enumerate(sorted(set(data["label"]))))
    config = BiLstmConfig(vocab_size=len(tokenizer), hidden_size=8, id2label=labels)
    model = AutoModelForSequenceClassification.from_config(config)
    trainer = TaggerTrainer(
        model, TrainingArguments(str(tmp_path), report_to="none", use_cpu=True), processing_class=tokenizer
    )
    trainer.create_model_card()
    assert "pipeline_tag: text-classification" in (tmp_path / "README.md").read_text(encoding="utf-8")
