from __future__ import annotations

import pytest
import yaml

from hf_bilstm import BiLstmConfig
from hf_bilstm.training.arguments import label_weights
from hf_bilstm.training.recipes import describe_recipe, read_data_arguments, read_recipe


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_file_and_command_line_are_converted_alike(write):
    recipe = read_recipe(write("rnn_type: gru\nlearning_rate: 2e-3\nfold: [lower, width]\nuse_crf: false\n"), [])
    line = "--rnn_type gru --learning_rate 2e-3 --fold lower width --use_crf false"
    same = read_recipe(None, line.split())
    assert recipe.model == same.model
    assert recipe.data == same.data
    assert recipe.training.learning_rate == same.training.learning_rate == 0.002
    assert recipe.data.fold == ["lower", "width"]
    assert recipe.model.use_crf is False


def test_command_line_stands_over_the_file(write):
    recipe = read_recipe(write("hidden_size: 10\nseed: 3\n"), ["--hidden_size", "20"])
    assert recipe.model.hidden_size == 20
    assert recipe.training.seed == 3


def test_null_leaves_the_default(write):
    assert read_recipe(write("hidden_size:\n"), []).model.hidden_size is None


def test_nothing_takes_back_what_the_file_sets(write):
    recipe = read_recipe(write("test_file: test.txt\ntag_delimiter: _\n"), ["--test_file", "", "--tag_delimiter", ""])
    assert recipe.data.test_file is None
    assert recipe.data.tag_delimiter == ""


def test_every_field_of_the_configuration_can_be_set():
    recipe = read_recipe(None, [])
    derived = {"vocab_size", "pad_token_id", "unk_token_id", "white_space_token_id"}
    derived |= {"tagset", "tag_meanings", "tag_mappings"}  # the recipe's `tagset` makes them
    derived |= {"lexicon_size", "char_vocab_size", "dictionary_nodes", "dictionary_profiles"}  # words make them
    own = {name for name in BiLstmConfig.__annotations__ if name != "keys_to_ignore_at_inference"} - derived
    assert own <= set(vars(recipe.model))


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("hiden_size: 3\n", [], r"recipe\.yaml: unknown key 'hiden_size'. Did you mean 'hidden_size'\?"),
        ("", ["--hiden_size", "3"], r"Unknown argument '--hiden_size'. Did you mean 'hidden_size'\?"),
        ("hidden_size: many\n", [], r"hidden_size.*invalid int value: 'many'"),
        ("rnn_type: rnn\n", [], r"rnn_type.*invalid choice: 'rnn' \(choose from 'lstm', 'gru'\)"),
        ("task: [\n", [], r"recipe\.yaml is not valid YAML"),
        ("- task\n", [], r"must hold `key: value` lines, got list"),
        ("ema_decay: 1.0\n", [], r"ema_decay must be at least 0 and below 1, got 1\.0"),
        ("early_stopping_patience: -1\n", [], r"early_stopping_patience must be 0 or more, got -1"),
    ],
)
def test_errors_name_what_was_found_and_what_to_do(write, text, overrides, message):
    with pytest.raises(ValueError, match=message):
        read_recipe(write(text or "task: ner\n"), overrides)


def test_missing_recipe_lists_those_there_are(write, tmp_path):
    write("task: ner\n")
    with pytest.raises(FileNotFoundError, match=r"There is no recipe .*other\.yaml.* holds: recipe\.yaml"):
        read_recipe(str(tmp_path / "other.yaml"), [])


def test_a_described_recipe_reads_back_and_holds_no_paths(write, tmp_path):
    overrides = ["--data_dir", str(tmp_path), "--output_dir", str(tmp_path), "--label_weights", '{"O": 0.5}']
    text = "hidden_size: 10\nlearning_rate: 2e-3\neval_strategy: epoch\nfold: [lower]\n"
    recipe = read_recipe(write(text), overrides)
    described = describe_recipe(recipe)
    assert str(tmp_path) not in str(described)
    again = read_recipe(write(yaml.safe_dump(described)), [])
    assert again.model == recipe.model
    assert again.run == recipe.run
    assert again.training.eval_strategy == recipe.training.eval_strategy
    assert again.training.learning_rate == recipe.training.learning_rate
    assert describe_recipe(again) == described


def test_data_arguments_alone(write):
    path = write("task: pos\nhidden_size: 10\ntrain_file: a.txt\n")
    arguments = read_data_arguments(path, ["--train_file", "b.txt"])
    assert (arguments.task, arguments.train_file) == ("pos", "b.txt")
    with pytest.raises(ValueError, match="Did you mean 'train_file'"):
        read_data_arguments(path, ["--trian_file", "b.txt"])


def test_label_weights():
    assert label_weights('{"B-X": 2}', ["O", "B-X"]) == [1.0, 2.0]
    assert label_weights(None, ["O"]) is None
    with pytest.raises(ValueError, match="'B-Y', which is not one of the labels"):
        label_weights('{"B-Y": 2}', ["O", "B-X"])
    with pytest.raises(ValueError, match="0 or more, got -1"):
        label_weights('{"O": -1}', ["O"])
