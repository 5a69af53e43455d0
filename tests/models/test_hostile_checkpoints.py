"""Checkpoints that are broken, or made to do harm, end in an error that says what is wrong and what to do."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification, AutoTokenizer, pipeline
from warm_python import warm_python

from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification, BiLstmModel, BiLstmTokenizer

LABELS = ["O", "B-X", "I-X", "B-Y"]
WEIGHTS = "model.safetensors"
# Whoever unpickles or runs this makes a file.
HARM = "open(r'{}', 'w').close()"


def maps(labels: list[str]) -> dict:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "checkpoint"
    tokenizer = BiLstmTokenizer.from_corpus(["北京 大学"])
    config = BiLstmConfig(
        vocab_size=len(tokenizer), embedding_size=8, hidden_size=16, tagging_scheme="bioes", **maps(LABELS)
    )
    BiLstmForTokenClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def change_weights(folder: Path, *gone: str, **changed: torch.Tensor) -> None:
    weights = {name: value for name, value in load_file(folder / WEIGHTS).items() if not name.startswith(gone)}
    save_file({**weights, **changed}, folder / WEIGHTS, metadata={"format": "pt"})


def change_json(folder: Path, file: str = "config.json", **values: object) -> None:
    config = json.loads((folder / file).read_text(encoding="utf-8"))
    (folder / file).write_text(json.dumps({**config, **values}), encoding="utf-8")


def read_header(folder: Path) -> tuple[dict, bytes]:
    content = (folder / WEIGHTS).read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def write_header(folder: Path, header: dict, numbers: bytes) -> None:
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + numbers)


class Harmful:
    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return exec, (HARM.format(self.mark),)


@pytest.mark.parametrize("named", ["pytorch_model.bin", "pytorch_model.bin beside"])
def test_pickles_are_never_read(checkpoint, tmp_path, named):
    (checkpoint / "pytorch_model.bin").write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    if named == "pytorch_model.bin":
        (checkpoint / WEIGHTS).unlink()
        for auto in (AutoModel, AutoModelForTokenClassification):
            with pytest.raises(ValueError, match=r"a pickle, which can run code.*safetensors\.torch\.save_file"):
                auto.from_pretrained(checkpoint)
    else:
        AutoModelForTokenClassification.from_pretrained(checkpoint)
        with pytest.raises(ValueError, match="use_safetensors=False would unpickle"):
            AutoModelForTokenClassification.from_pretrained(checkpoint, use_safetensors=False)
    assert not (tmp_path / "harm").exists()


def test_the_remedy_for_pickled_weights_works(checkpoint):
    expected = load_file(checkpoint / WEIGHTS)
    torch.save(expected, checkpoint / "pytorch_model.bin")
    (checkpoint / WEIGHTS).unlink()
    with pytest.raises(ValueError, match="pickle") as error:
        AutoModelForTokenClassification.from_pretrained(checkpoint)
    remedy = str(error.value)[str(error.value).index("safetensors.torch.save_file(") :].rstrip(".")
    subprocess.run([warm_python(), "-c", f"import torch, safetensors.torch\n{remedy}"], cwd=checkpoint, check=True)
    model = AutoModelForTokenClassification.from_pretrained(checkpoint)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in expected.items())


def test_a_checkpoint_without_weights(checkpoint):
    (checkpoint / WEIGHTS).unlink()
    with pytest.raises(OSError, match=r"holds no model\.safetensors"):
        AutoModelForTokenClassification.from_pretrained(checkpoint)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"not weights at all", struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 2) + b"[]"],
    ids=["empty", "short", "text", "endless header", "no object"],
)
def test_files_that_are_no_weights(checkpoint, content):
    (checkpoint / WEIGHTS).write_bytes(content)
    with pytest.raises(OSError, match=r"model\.safetensors is damaged .*force_download=True"):
        AutoModelForTokenClassification.from_pretrained(checkpoint)


@pytest.mark.parametrize("kept", [7, 100, -1])
def test_a_truncated_file(checkpoint, kept):
    content = (checkpoint / WEIGHTS).read_bytes()
    (checkpoint / WEIGHTS).write_bytes(content[:kept])
    with pytest.raises(OSError, match="is damaged"):
        AutoModelForTokenClassification.from_pretrained(checkpoint)


@pytest.mark.parametrize(
    ("shape", "offsets"), [([2**40, 2**40], None), ([2**40], [0, 2**42]), ([-1, 4], None), ([4], [0, 2**63])]
)
def test_huge_shapes_in_the_header_take_no_memory(checkpoint, shape, offsets):
    header, numbers = read_header(checkpoint)
    header["classifier.weight"]["shape"] = shape
    if offsets:
        header["classifier.weight"]["data_offsets"] = offsets
    write_header(checkpoint, header, numbers)
    with pytest.raises(OSError, match="is damaged"):
        AutoModelForTokenClassification.from_pretrained(checkpoint)


@pytest.mark.parametrize(
    "gone",
    [
        "crf.transitions",
        "crf.",
        "classifier.bias",
        "classifier.",
        ("classifier.", "crf."),
        "bilstm.embeddings",
        "bilstm.",
    ],
)
def test_missing_weights_are_an_error_and_no_warning(checkpoint, gone):
    names = [name for name in load_file(checkpoint / WEIGHTS) if name.startswith(gone)]
    change_weights(checkpoint, *([gone] if isinstance(gone, str) else gone))
    with pytest.raises(ValueError, match=f"checkpoint lacks {', '.join(sorted(names))}:"):
        AutoModelForTokenClassification.from_pretrained(checkpoint)


def test_missing_weights_of_the_encoder_alone(checkpoint, tmp_path):
    change_weights(checkpoint, "bilstm.encoder.layers.0.forward_rnn.bias")
    with pytest.raises(ValueError, match=r"lacks encoder.layers.0.forward_rnn.bias_hh_l0, .*bias_ih_l0:"):
        AutoModel.from_pretrained(checkpoint)
    BiLstmModel(BiLstmConfig(vocab_size=5, embedding_size=4, hidden_size=4)).save_pretrained(tmp_path / "encoder")
    change_weights(tmp_path / "encoder", "encoder.layers.0.forward_rnn.bias")
    with pytest.raises(ValueError, match=r"lacks bilstm.encoder.layers.0.forward_rnn.bias_hh_l0, .*bias_ih_l0:"):
        AutoModelForTokenClassification.from_pretrained(tmp_path / "encoder", tagging_scheme="bioes", **maps(LABELS))


def test_what_the_caller_asks_for_is_made_anew(checkpoint, tmp_path):
    encoder = AutoModel.from_pretrained(checkpoint)
    encoder.save_pretrained(tmp_path / "encoder")
    tagger, info = AutoModelForTokenClassification.from_pretrained(tmp_path / "encoder", output_loading_info=True)
    assert {name.split(".")[0] for name in info["missing_keys"]} == {"classifier", "crf"}
    assert torch.equal(tagger.get_input_embeddings().weight, encoder.get_input_embeddings().weight)

    change_json(checkpoint, use_crf=False)
    change_weights(checkpoint, "crf.")
    tagger = AutoModelForTokenClassification.from_pretrained(checkpoint, use_crf=True)
    assert (tagger.crf.transitions == 0).all()


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8, torch.complex64])
def test_weights_that_are_no_floating_point_numbers(checkpoint, dtype):
    change_weights(checkpoint, **{"classifier.bias": load_file(checkpoint / WEIGHTS)["classifier.bias"].to(dtype)})
    with pytest.raises(ValueError, match=r"classifier\.bias holds \w+, but weights are floating-point numbers"):
        AutoModelForTokenClassification.from_pretrained(checkpoint)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_floating_point_numbers_are_converted(checkpoint, dtype):
    bias = torch.randn_like(load_file(checkpoint / WEIGHTS)["classifier.bias"]).to(dtype)
    change_weights(checkpoint, **{"classifier.bias": bias})
    model = AutoModelForTokenClassification.from_pretrained(checkpoint)
    assert torch.equal(model.classifier.bias, bias.float())


@pytest.mark.parametrize(("name", "shape"), [("crf.transitions", (3, 3)), ("classifier.weight", (9, 5))])
def test_weights_of_another_size_are_an_error(checkpoint, name, shape):
    change_weights(checkpoint, **{name: torch.zeros(shape)})
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        AutoModelForTokenClassification.from_pretrained(checkpoint)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id2label": {"0": "O", "2": "B-X"}, "label2id": {"O": 0, "B-X": 2}}, "keys 0, 1, 2"),
        ({"id2label": {"-1": "O", "0": "B-X"}, "label2id": {"O": -1, "B-X": 0}}, "keys 0, 1, 2"),
        ({"id2label": {"0": "O", "1": "O"}, "label2id": {"O": 0}}, "not the inverse|distinct"),
        ({"label2id": {"O": 1}}, "not the inverse"),
        ({"id2label": {"0": "O", "1": "E-X"}, "label2id": {"O": 0, "E-X": 1}}, "'E-X' contradicts"),
        ({"vocab_size": 10**15}, "vocab_size|ignore_mismatched_sizes"),
        ({"hidden_size": -4}, "hidden_size must be at least 1"),
        ({"num_hidden_layers": 3}, "checkpoint lacks"),
    ],
)
def test_configurations_that_contradict_themselves_or_the_weights(checkpoint, values, message):
    change_json(checkpoint, **values)
    with pytest.raises(Exception, match=message):
        AutoModelForTokenClassification.from_pretrained(checkpoint)


@pytest.mark.parametrize("content", ["", "{", '{"a": 1'])
def test_files_of_settings_that_are_damaged(checkpoint, content):
    (checkpoint / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(OSError, match=r"tokenizer\.json .*is not valid JSON .*force_download=True"):
        AutoTokenizer.from_pretrained(checkpoint)
    (checkpoint / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(OSError, match=r"config\.json' is not a valid JSON file"):
        AutoModelForTokenClassification.from_pretrained(checkpoint)


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/outside.safetensors", "sub/outside.safetensors"])
def test_weights_outside_of_the_checkpoint_are_not_read(checkpoint, tmp_path, shard):
    names = list(load_file(checkpoint / WEIGHTS))
    (checkpoint / WEIGHTS).rename(tmp_path / "outside.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, shard)}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ValueError, match=r"names the file .*its own folder only"):
        AutoModelForTokenClassification.from_pretrained(checkpoint)


def test_shards_are_read(checkpoint):
    model = AutoModelForTokenClassification.from_pretrained(checkpoint)
    (checkpoint / WEIGHTS).unlink()
    model.save_pretrained(checkpoint, max_shard_size="1KB")
    assert not (checkpoint / WEIGHTS).exists()
    again = AutoModelForTokenClassification.from_pretrained(checkpoint)
    assert all(torch.equal(again.state_dict()[name], value) for name, value in model.state_dict().items())


def test_no_code_of_a_checkpoint_runs_without_trust(checkpoint, tmp_path):
    """The names of the registered classes lead to harmful code, in the folder and outside of it."""
    for file in (*checkpoint.glob("*.py"), tmp_path / "evil.py"):
        file.write_text(HARM.format(tmp_path / "harm"), encoding="utf-8")
    change_json(checkpoint, trust_remote_code=True, custom_pipelines={"bilstm-tagging": {"impl": "crf.A", "pt": []}})
    for readers in (AutoConfig, AutoModel, AutoModelForTokenClassification, AutoTokenizer):
        readers.from_pretrained(checkpoint)
    for task in ("token-classification", "bilstm-tagging", None):
        pipeline(task, model=str(checkpoint))
    change_json(checkpoint, custom_pipelines={"other": {"impl": "../evil.A", "pt": ["AutoModel"]}})
    for task in ("other", None):
        with pytest.raises(ValueError, match="trust_remote_code=True"):
            pipeline(task, model=str(checkpoint))
    pipeline("token-classification", model=str(checkpoint))
    assert not (tmp_path / "harm").exists()


def test_saved_files_carry_neither_trust_nor_paths(checkpoint, tmp_path):
    change_json(checkpoint, trust_remote_code=True, _name_or_path="/home/somebody/model")
    change_json(checkpoint, "tokenizer_config.json", trust_remote_code=True, name_or_path="/home/somebody/model")
    model = AutoModelForTokenClassification.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    pipeline("bilstm-tagging", model=model, tokenizer=tokenizer).save_pretrained(tmp_path / "again")
    shutil.rmtree(checkpoint)
    for file in (tmp_path / "again").glob("*.json"):
        text = file.read_text(encoding="utf-8")
        assert "trust_remote_code" not in text, file.name
        assert "name_or_path" not in text, file.name
        assert "/home/somebody" not in text, file.name
        assert str(tmp_path) not in text, file.name
