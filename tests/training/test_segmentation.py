"""Words, parts of speech and both, from files to scores and output, as a user runs them."""

from __future__ import annotations

import json

import pytest
from datasets import Dataset
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from hf_bilstm.cli import main
from hf_bilstm.data import load_sample, read_word_pos, words_of, write_word_pos
from hf_bilstm.tagsets import map_tags
from hf_bilstm.training.building import build
from hf_bilstm.training.recipes import read_recipe
from hf_bilstm.training.run import train

TEXT = "我们  去年夏天\u3000去过广州。"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The built-in corpus as one file in the form of the People's Daily; the last two days have a tag of their own."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = load_sample("train", "pos").select(range(300))
    lines = []
    for number, row in enumerate(rows):
        day = number % 30 + 1
        tags = ["Yg", *row["tags"][1:]] if day > 29 else row["tags"]
        lines.append(f"199801{day:02}-01-001-001/m  {write_word_pos(zip(row['tokens'], tags, strict=True))}  \r\n")
    (folder / "news.txt").write_bytes("".join(lines).encode("gb18030"))
    return folder


@pytest.fixture(scope="module")
def joint(corpus, recipe_file, tmp_path_factory):
    """A joint tagger trained on that file, and its results."""
    folder = tmp_path_factory.mktemp("joint")
    options = "--task segmentation_pos --data_format word_pos --encoding gb18030 --tagset pku --white_space token"
    options += " --train_file news.txt --train_select ^199801([01]|2[0-6]) --test_file news.txt --test_select ^1998013"
    options += " --validation_file news.txt --validation_select ^1998012[789] --num_train_epochs 4"
    arguments = ["--dataset", "", "--data_dir", str(corpus), "--output_dir", str(folder), *options.split()]
    return folder, train(read_recipe(str(recipe_file), arguments))


@pytest.fixture
def run(capsys, tmp_path):
    """Run a command, with some text in a file after its model, and give what it prints."""

    def run(command, model, *arguments, text=None):
        file = tmp_path / "text.txt"
        if text is not None:
            file.write_text(text, encoding="utf-8", newline="")
        capsys.readouterr()
        main([command, str(model), *([] if text is None else [str(file)]), *map(str, arguments)])
        return capsys.readouterr().out

    return run


def data_of_all_labels(folder):
    """Some data whose tags are all of a model's labels."""
    labels = AutoModelForTokenClassification.from_pretrained(folder).config.labels
    return Dataset.from_dict({"tokens": [["我"] * len(labels)], "tags": [labels]})


def test_the_scores_are_those_of_words(joint, corpus):
    folder, results = joint
    scores = results["validation"]
    assert 0.3 < scores["f1"] < scores["word_f1"]
    assert scores["f1"] < scores["tag_accuracy"] <= 1
    assert 0 < scores["oov_rate"] < 0.5
    mean = scores["oov_rate"] * scores["oov_recall"] + (1 - scores["oov_rate"]) * scores["iv_recall"]
    assert scores["word_recall"] == pytest.approx(mean)
    assert 0 < scores["oov_recall"] < 1
    assert results["test"]["per_type"]["Yg"] == {"precision": 0, "recall": 0, "f1": 0, "number": 10}
    training = read_word_pos(corpus / "news.txt", encoding="gb18030", select="^199801([01]|2[0-6])")
    words = (folder / "training_words.txt").read_text(encoding="utf-8").splitlines()
    assert words == sorted(words_of(training))
    assert not list(folder.glob("*.bin"))


def test_evaluate_repeats_the_scores_of_the_training(joint, corpus, run, tmp_path):
    folder, results = joint
    for split in ("validation", "test"):
        printed = run("evaluate", folder, "--split", split, "--data_dir", corpus, "--json", tmp_path / "scores.json")
        scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
        assert scores == results[split]
        for name in ("word_f1", "oov_recall", "iv_recall"):
            assert f"{100 * scores[name]:.2f}" in printed


def test_a_joint_tagger_is_scored_by_words_alone(joint, corpus, run, tmp_path):
    folder, results = joint
    rows = read_word_pos(corpus / "news.txt", encoding="gb18030", task="pos", select="^1998012[789]")
    (tmp_path / "gold.txt").write_text("".join(" ".join(words) + "\n" for words in rows["tokens"]), encoding="utf-8")
    options = "--task segmentation --data_format segmented --encoding utf-8 --test_file gold.txt --test_select"
    options = [*options.split(), "", "--data_dir", tmp_path, "--json", tmp_path / "scores.json"]
    run("evaluate", folder, *options, "--report", tmp_path)
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert scores["f1"] == scores["word_f1"] == results["validation"]["word_f1"]
    assert scores["oov_recall"] == results["validation"]["oov_recall"]
    assert list(scores["per_type"]) == ["WORD"]
    assert (tmp_path / "errors.html").is_file()


def test_the_config_explains_and_maps_its_tags(joint):
    config = AutoModelForTokenClassification.from_pretrained(joint[0]).config
    tags = {label[2:] for label in config.labels if label != "O"}
    assert config.tagset == "pku"
    assert set(config.tag_meanings) == set(config.tag_mappings["upos"]) == tags
    assert config.tag_meanings["v"]["zh"] == "动词"
    assert config.tag_mappings["863"]["w"] == "wp"


def test_words_tags_and_offsets(joint):
    tagger = pipeline("bilstm-tagging", model=str(joint[0]))
    words = tagger(TEXT)
    assert "".join(word["word"] for word in words) == "".join(TEXT.split())
    assert all(TEXT[word["start"] : word["end"]] == word["word"] for word in words)
    assert tagger(TEXT, return_words=True) == [word["word"] for word in words]
    stock = pipeline("token-classification", model=str(joint[0]), aggregation_strategy="simple")(TEXT)
    for key in ("entity_group", "word", "start", "end"):
        assert [item[key] for item in stock] == [word[key] for word in words]


def test_tags_in_another_set(joint):
    tagger = pipeline("bilstm-tagging", model=str(joint[0]))
    own, universal = tagger(TEXT), tagger(TEXT, tagset="upos")
    mapped = map_tags([word["entity_group"] for word in own], "pku", "upos")
    assert [word["entity_group"] for word in universal] == mapped
    assert [word["score"] for word in universal] == [word["score"] for word in own]
    assert tagger(TEXT, tagset="pku") == own
    assert tagger(TEXT, tagset="upos", scheme="bmes")[0]["tag"][2:] == mapped[0]
    assert [span["entity_group"] for span in tagger(TEXT, tagset="upos", n_best=1)[0]["spans"]] == mapped
    with pytest.raises(ValueError, match=r"tagset='ctb': this model can give its tags in \['pku', '863', 'upos'\]"):
        tagger(TEXT, tagset="ctb")


def test_a_tagger_without_a_tag_set_says_so(trained):
    tagger = pipeline("bilstm-tagging", model=str(trained))
    with pytest.raises(ValueError, match=r"can give its tags in \[\]\. A model learns of tag sets in training"):
        tagger(TEXT, tagset="upos")


def test_predict_prints_words_and_tags(joint, run):
    lines = f"{TEXT}\n\n我1/2\n"
    words = run("predict", joint[0], "--format", "words", text=lines).removesuffix("\n").split("\n")
    assert [line.replace(" ", "") for line in words] == ["".join(line.split()) for line in lines[:-1].split("\n")]
    tagged = run("predict", joint[0], "--format", "word_tag", text=lines).removesuffix("\n").split("\n")
    assert [" ".join(pair.rpartition("/")[0] for pair in line.split()) for line in tagged] == words
    universal = run("predict", joint[0], "--format", "word_tag", "--tagset", "upos", text=lines).split("\n")[0]
    tags = [pair.rpartition("/")[2] for pair in tagged[0].split()]
    assert [pair.rpartition("/")[2] for pair in universal.split()] == map_tags(tags, "pku", "upos")
    row = json.loads(run("predict", joint[0], text=TEXT))
    assert [entity["word"] for entity in row["entities"]] == words[0].split()


def test_what_is_no_word_is_printed_too(trained, run):
    printed = run("predict", trained, "--format", "word_tag", text="昨天 他去了北京。")
    assert "".join(pair.rpartition("/")[0] for pair in printed.split()) == "昨天他去了北京。"


@pytest.mark.parametrize("task", ["segmentation", "pos", "ner"])
def test_the_other_tasks_train_on_the_same_file(corpus, recipe_file, tmp_path, task):
    options = f"--task {task} --data_format word_pos --encoding gb18030 --tagset pku --train_file news.txt --dataset"
    options = [*options.split(), "", "--data_dir", str(corpus), "--output_dir", str(tmp_path), "--max_steps", "4"]
    options += ["--validation_file", "news.txt", "--validation_select", "^1998013", "--eval_strategy", "no"]
    options += ["--load_best_model_at_end", "false", "--save_strategy", "no", "--early_stopping_patience", "0"]
    if task == "pos":
        options += ["--granularity", "word", "--lexicon_embedding_size", "0"]
    results = train(read_recipe(str(recipe_file), options))
    assert ("oov_recall" in results["validation"]) == (task == "segmentation")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.granularity == ("word" if task == "pos" else "char")
    assert (tmp_path / "training_words.txt").exists() == (task == "segmentation")
    if task == "pos":
        tagger = pipeline("bilstm-tagging", model=str(tmp_path))
        own, universal = (tagger(["我们", "去"], is_split_into_words=True, tagset=name) for name in (None, "upos"))
        tags = [item["entity_group"] for item in own]
        assert [item["entity_group"] for item in universal] == map_tags(tags, "pku", "upos")


def test_fine_tuning_carries_the_tag_set_of_its_own_labels(joint, recipe_file, tmp_path):
    options = ["--model_name_or_path", str(joint[0]), "--output_dir", str(tmp_path)]
    _, same = build(read_recipe(str(recipe_file), options), data_of_all_labels(joint[0]))
    assert same.config.tagset == "pku"
    _, other = build(read_recipe(str(recipe_file), options), load_sample("validation"))
    assert (other.config.tagset, other.config.tag_meanings, other.config.tag_mappings) == (None, None, None)
    options += ["--tagset", "pku", "--task", "segmentation_pos"]
    _, new = build(read_recipe(str(recipe_file), options), load_sample("validation", "segmentation_pos"))
    assert set(new.config.tag_meanings) == {label[2:] for label in new.config.labels if label != "O"}


def test_a_tag_set_needs_no_reader_of_words(recipe_file, tmp_path, caplog):
    """Of the built-in corpus, and of columns, unknown tags are reported as well."""
    (tmp_path / "train.txt").write_text("我 B-r\n寺 B-na\n", encoding="utf-8")
    options = f"--task segmentation_pos --tagset pku --train_file {tmp_path}/train.txt --eval_strategy no --dataset"
    options = [*options.split(), "", "--load_best_model_at_end", "false", "--early_stopping_patience", "0"]
    train(read_recipe(str(recipe_file), [*options, "--max_steps", "1", "--output_dir", str(tmp_path / "out")]))
    assert "sentence 0: tag 'na' (1 in all) is not in the tag set 'pku'" in caplog.text


def test_columns_take_no_selection(recipe_file, tmp_path):
    options = ["--dataset", "", "--train_file", str(tmp_path / "train.txt"), "--train_select", "^a"]
    with pytest.raises(ValueError, match="train_select needs data_format 'segmented', 'word_pos' or 'conllu'"):
        train(read_recipe(str(recipe_file), [*options, "--output_dir", str(tmp_path)]))


def test_maps_of_tags_are_objects(recipe_file, tmp_path):
    options = ["--dataset", "", "--train_file", "x", "--data_format", "word_pos", "--tag_map", "vvn"]
    with pytest.raises(ValueError, match=r'tag_map takes names for names, \{"old": "new"\}, got \'vvn\''):
        train(read_recipe(str(recipe_file), [*options, "--output_dir", str(tmp_path)]))
