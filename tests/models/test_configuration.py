"""The configuration: wrong values are named, right ones survive the trip to a file and back."""

import json
import math

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig

from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification

LABELS = {0: "O", 1: "B-X", 2: "I-X"}


@pytest.mark.parametrize(
    ("field", "value", "parts"),
    [
        ("vocab_size", "100", ["int", "str", "'100'"]),
        ("vocab_size", 0, ["at least 1", "0"]),
        ("embedding_size", -3, ["at least 1", "-3"]),
        ("embedding_size", 2.0, ["int", "float"]),
        ("bigram_buckets", -1, ["0 (no bigrams) or more", "-1"]),
        ("bigram_embedding_size", 0, ["at least 1", "0"]),
        ("character_type_embedding_size", -1, ["0 (no character types) or more", "-1"]),
        ("lexicon_embedding_size", -1, ["0 (no lexicon) or more", "-1"]),
        ("lexicon_size", -1, ["0 (no lexicon) or more", "-1"]),
        ("dictionary_nodes", -1, ["0 (no dictionary) or more", "-1"]),
        ("dictionary_profiles", -1, ["0 (no dictionary) or more", "-1"]),
        ("lexicon_max_length", 0, ["at least 1", "0"]),
        ("lexicon_dropout", 1, ["at least 0 and below 1", "1"]),
        ("hidden_size", True, ["int", "bool"]),
        ("hidden_size", 0, ["at least 1", "0"]),
        ("num_hidden_layers", 0, ["at least 1", "0"]),
        ("num_hidden_layers", None, ["int", "NoneType"]),
        ("rnn_type", "LSTM", ["'lstm', 'gru'", "LSTM"]),
        ("merge_mode", "max", ["'concat', 'sum', 'mean', 'mul'", "max"]),
        ("dropout_type", "word", ["'element', 'variational'", "word"]),
        ("tagging_scheme", "bilou", ["'none', 'iob2', 'bioes', 'bmes'", "bilou"]),
        ("use_crf", 1, ["bool", "int"]),
        ("token_dropout", 1.0, ["at least 0 and below 1", "1.0"]),
        ("embedding_dropout", -0.1, ["at least 0 and below 1", "-0.1"]),
        ("hidden_dropout", math.nan, ["at least 0 and below 1", "nan"]),
        ("hidden_dropout", "0.5", ["float", "'0.5'"]),
        ("label_weights", ["1"], ["list[float | int]", "label_weights"]),
        ("label_weights", [1.0, -1.0], ["at least 0", "-1.0"]),
        ("label_weights", [math.inf], ["finite", "inf"]),
        ("white_space_token_id", 100, ["None or 0 to 99", "100"]),
        ("pad_token_id", -1, ["None or 0 to 99", "-1"]),
        ("unk_token_id", 1.5, ["int", "1.5"]),
        ("unk_token_id", 100, ["None or 0 to 99", "100"]),
    ],
)
def test_a_wrong_value_names_the_field_what_it_got_and_what_it_takes(field, value, parts):
    with pytest.raises(StrictDataclassError) as caught:
        BiLstmConfig(**{"vocab_size": 100, field: value})
    for part in [field, *parts]:
        assert part in str(caught.value)


def test_fields_that_contradict_each_other():
    with pytest.raises(StrictDataclassError, match=r"token_dropout=0.1 needs unk_token_id, got None"):
        BiLstmConfig(token_dropout=0.1, unk_token_id=None)
    for field in ("bigram_buckets", "lexicon_embedding_size"):
        message = rf"vocab_size must be at most 4194304 with {field}, got 4194305"
        with pytest.raises(StrictDataclassError, match=message):
            BiLstmConfig(**{"vocab_size": 2**22 + 1, field: 10})
    assert BiLstmConfig(vocab_size=2**22 + 1).vocab_size == 2**22 + 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("token_dropout", 0), ("hidden_dropout", 0), ("label_weights", [1, 0.5]), ("pad_token_id", None)],
)
def test_whole_numbers_and_none_are_taken_where_they_make_sense(field, value):
    assert getattr(BiLstmConfig(**{field: value}), field) == value


def test_a_wrong_value_assigned_later_is_named_when_a_model_is_built():
    config = BiLstmConfig(vocab_size=20, id2label={0: "NN", 1: "VB"})
    config.hidden_dropout = 2.0
    with pytest.raises(StrictDataclassError, match=r"hidden_dropout must be at least 0 and below 1, got 2.0"):
        BiLstmForTokenClassification(config)
    with pytest.raises(StrictDataclassError, match="'rnn_type' expected one of"):
        config.rnn_type = "rnn"


def test_bmes_is_stored_as_bioes(tmp_path):
    config = BiLstmConfig(tagging_scheme="bmes", id2label=LABELS)
    assert config.tagging_scheme == "bioes"
    config.tagging_scheme = "iob2"
    config.tagging_scheme = "bmes"
    assert config.tagging_scheme == "bioes"
    config.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["tagging_scheme"] == "bioes"
    assert BiLstmConfig.from_pretrained(tmp_path, tagging_scheme="bmes").tagging_scheme == "bioes"


def test_round_trip_through_a_file(tmp_path):
    config = BiLstmConfig(
        vocab_size=77,
        embedding_size=5,
        bigram_buckets=11,
        character_type_embedding_size=2,
        lexicon_embedding_size=3,
        lexicon_max_length=4,
        lexicon_dropout=0.1,
        lexicon_size=5,
        bigram_embedding_size=3,
        hidden_size=7,
        num_hidden_layers=2,
        rnn_type="gru",
        merge_mode="mul",
        token_dropout=0.1,
        embedding_dropout=0.2,
        hidden_dropout=0,
        dropout_type="variational",
        use_crf=False,
        tagging_scheme="iob2",
        label_weights=[1.0, 2.5, 0.0],
        white_space_token_id=4,
        pad_token_id=2,
        unk_token_id=3,
        id2label=LABELS,
    )
    config.save_pretrained(tmp_path)
    for again in (BiLstmConfig.from_pretrained(tmp_path), AutoConfig.from_pretrained(tmp_path)):
        assert type(again).__name__ == "BiLstmConfig"
        assert again.id2label == LABELS
        for field in config.to_diff_dict():
            if not field.startswith("_") and field != "transformers_version":
                assert getattr(again, field) == getattr(config, field), field
    assert BiLstmConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()


def test_written_forms_hold_every_field_that_was_set():
    config = BiLstmConfig(vocab_size=77, rnn_type="gru", id2label=LABELS)
    for written in (config.to_diff_dict(), json.loads(config.to_json_string())):
        assert written["vocab_size"] == 77
        assert written["rnn_type"] == "gru"
        assert written["model_type"] == "bilstm"
        assert {int(key): label for key, label in written["id2label"].items()} == LABELS


def test_label2id_is_completed():
    assert BiLstmConfig(id2label=LABELS).label2id == {"O": 0, "B-X": 1, "I-X": 2}
    assert BiLstmConfig(id2label={"0": "O", "1": "B-X"}).label2id == {"O": 0, "B-X": 1}
    assert BiLstmConfig(num_labels=3).label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}


def test_what_inference_need_not_keep_is_named():
    assert BiLstmConfig().keys_to_ignore_at_inference == ["emissions", "hidden_states"]
