"""Files and tables of vectors, good and bad."""

from __future__ import annotations

import bz2
import gzip
import logging
import re
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hub.client import environment, run_program
from hub.store import File
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from hf_bilstm.data import load_vectors, read_vectors

FILES = Path(__file__).parent / "files"
COMPRESSORS = {"plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress}


def numbers(found) -> dict[str, list[float]]:
    return {word: np.round(vector.astype(float), 6).tolist() for word, vector in found.vectors.items()}


@pytest.mark.parametrize("compress", COMPRESSORS.values(), ids=COMPRESSORS)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vectors_word2vec.txt", {"中": [0.5, -0.25, 0.1], "paris": [7, 8, 9]}),
        ("vectors_word2vec.bin", {"中": [0.5, -0.25, 0.1], "of": [32, 10.25, 0.001]}),
        (
            "vectors_glove.txt",
            {
                "the": [0.1, 0.2, 0.3],
                ". . .": [1, 1, 1],
                "New\u00a0York": [3, 3, 3],
                "7": [4, 4, 4],
                "\u2028": [5, 5, 5],
            },
        ),
        ("vectors_tabs.vec", {"naïve": [1.5, -2], "界": [3, 4]}),
    ],
)
def test_every_format_gives_its_vectors(tmp_path, name, expected, compress):
    file = tmp_path / "vectors"  # its name says nothing
    file.write_bytes(compress((FILES / name).read_bytes()))
    found = read_vectors(file, [*expected, "absent", "", "\ud800"])
    assert numbers(found) == expected
    assert found.size == len(next(iter(expected.values())))
    assert all(vector.dtype == np.float32 for vector in found.vectors.values())


def test_the_first_of_several_vectors_counts_and_the_log_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        found = read_vectors(FILES / "vectors_word2vec.txt", ["中", "国"])
    assert numbers(found)["中"] == [0.5, -0.25, 0.1]
    assert "1 words come again, the first vector of each counts: '中' (line 6)" in caplog.text


def test_the_first_words_come_in_the_order_of_the_file():
    found = read_vectors(FILES / "vectors_word2vec.txt", ["paris"], first_words=3, is_token=str.isalpha)
    assert found.first_words == ["中", "国", "PARIS"]
    assert list(found.vectors) == ["中", "国", "PARIS", "paris"]
    everything = read_vectors(FILES / "vectors_glove.txt", [], first_words=100)
    assert everything.first_words == ["the", "7"]  # the others could be no tokens


@given(
    words=st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1), unique=True),
    header=st.booleans(),
    binary=st.booleans(),
    data=st.data(),
)
def test_what_is_written_is_read(words, header, binary, data):
    size = data.draw(st.integers(2, 5))
    # Of half precision, so that their four bytes are never all letters, as those of very few numbers could be.
    row = st.lists(st.floats(-1e3, 1e3, width=16), min_size=size, max_size=size)
    rows = [data.draw(row) for _ in words]
    lines = [b"%d %d\n" % (len(words), size)] if header or binary or not words else []
    for word, vector in zip(words, rows, strict=True):
        text = " ".join(map(repr, vector)).encode() + b"\n"
        lines.append(word.encode() + b" " + (struct.pack(f"<{size}f", *vector) if binary else text))
    wanted = words[::2]
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(lines))
        file.flush()
        found = read_vectors(file.name, wanted, size=size)
    assert list(found.vectors) == wanted
    for word, vector in zip(wanted, rows[::2], strict=True):
        assert found.vectors[word].tolist() == vector


BAD = {
    "short": (b"3 3\na 1 2 3\nb 1 2\nc 1 2 3\n", "line 3: 'b 1 2' has 2 numbers after its word, and 3 are expected"),
    "empty word": (b"a 1 2 3\n 1 2\n", "line 2: ' 1 2' has 1 numbers"),
    "no number": (b"a 1 2 3\nb 1 x 3\n", "line 2: 'x' is no number in the vector of 'b'"),
    "one word too few": (b"a 1 2 3\nb b 1 2\n", "line 2: 'b' is no number in the vector of 'b'"),
    "not a number": (b"a 1 2 3\nb 1 nan 3\n", "line 2: the vector of 'b' holds NaN or infinity"),
    "too large": (b"a 1 2 3\nb 1 1e99 3\n", "line 2: the vector of 'b' holds NaN or infinity"),
    "cut off": (b"3 3\na 1 2 3\nb 1 2 3\n", "ends after 2 of the 3 words that its first line promises"),
    "header": (b"3 0\n", "line 1: the header '3 0"),
    "prose": (b"Once upon a time\n", "line 1: 'Once upon a time\\n' is neither a header"),
    "empty": (b"", "line 1: '' is neither a header"),
    "one number": (b"a 1\nb 2\n", "line 1: 'a 1\\n' is neither a header"),
    "zip": (b"PK\x03\x04abc", "a zip archive: unpack it"),
    "fastText": (b"\xba\x16\x4f\x2f\x0c\x00", "a fastText model with its n-grams: give the .vec file"),
    "pickle": (b"\x80\x04\x95abc", "a pickle, which could run code"),
    "NumPy": (b"\x93NUMPY\x01", "a NumPy array, which has no words"),
    "UTF-16": ("a 1 2".encode("utf-16"), "text in UTF-16: convert it"),
    "binary cut off": (b"2 2\nb \x00\x00\x80\x3f\x00\x00\x80\x3fa \x00\x00", "word 2 of 2: the file ends"),
    "binary NaN": (b"1 2\nb \x00\x00\xc0\x7f\x00\x00\x80\x3f", "word 1: the vector of 'b' holds NaN"),
    "gzip cut off": (gzip.compress(b"1 2\na 1 2\n")[:-6], "is damaged or cut off"),
    "gzip damaged": (gzip.compress(b"1 2\na 1 2\n")[:12] + b"\xff" * 9, "is damaged or cut off"),
    "bzip2 cut off": (bz2.compress(b"1 2\na 1 2\n")[:-6], "is damaged or cut off"),
    "bzip2 damaged": (bz2.compress(b"1 2\na 1 2\n")[:20] + b"\xff" * 30, "is damaged or cut off"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_says_where_and_what_to_do(tmp_path, content, message):
    file = tmp_path / "vectors"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{file}") + ".*" + re.escape(message)):
        read_vectors(file, ["b"])


def test_another_size_is_refused_with_both_numbers():
    for file in ("vectors_word2vec.txt", "vectors_word2vec.bin", "vectors_glove.txt"):
        with pytest.raises(ValueError, match="vectors of 3 numbers, and 100 are wanted: leave out embedding_size"):
            read_vectors(FILES / file, [], size=100)


def test_a_missing_file_names_those_that_are_there():
    with pytest.raises(FileNotFoundError, match=r"holds .*vectors_glove\.txt"):
        read_vectors(FILES / "vectors_glove.vec", [])


@pytest.mark.parametrize("name", ["glove.txt", "files/glove.txt", "nowhere/a/glove.txt", "/nowhere/glove.txt"])
def test_a_missing_file_is_not_looked_for_on_the_hub(monkeypatch, name):
    monkeypatch.chdir(FILES.parent)
    with pytest.raises(FileNotFoundError, match=rf"^No file {name}.* An id on the Hub is ORG/NAME"):
        load_vectors(name, [])


def word_pieces() -> Tokenizer:
    """As in the usual static models: lower-cased, with pieces inside words and special tokens."""
    vocab = {"[PAD]": 0, "[UNK]": 1, "paris": 2, "##s": 3, "the": 4, "中": 5}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]"])
    tokenizer.enable_truncation(1)
    tokenizer.enable_padding(length=8)
    return tokenizer


def unigrams() -> Tokenizer:
    vocab = [("<unk>", 0.0), ("<s>", 0.0), ("▁paris", -1.0), ("s", -2.0), ("▁the", -1.0), ("▁中", -1.0), ("▁", -9.0)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=0))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def table(rows: int, size: int = 2) -> torch.Tensor:
    return torch.arange(rows * size, dtype=torch.float32).reshape(rows, size)


@pytest.mark.parametrize("tokenizer", [word_pieces, unigrams])
def test_words_of_a_static_model_are_those_that_are_one_token(tmp_path, tokenizer):
    save_file({"embeddings": table(7)}, tmp_path / "model.safetensors")
    tokenizer().save(str(tmp_path / "tokenizer.json"))
    found = load_vectors(tmp_path, ["Paris", "pariss", "s", "##s", "龘", "[UNK]", "the"], first_words=9, size=2)
    row = table(7).tolist()
    assert numbers(found) == {"Paris": row[2], "the": row[4], "paris": row[2], "中": row[5]}
    assert found.first_words == ["paris", "the", "中"]


def test_rows_are_shared_and_weighed_as_the_table_says(tmp_path):
    folder = tmp_path / "0_StaticEmbedding"
    folder.mkdir()
    tensors = {
        "embedding.weight": table(3).to(torch.float16),
        "other": table(2),
        "mapping": torch.tensor([0, 0, 2, 1, 0, 1]),
        "weights": torch.tensor([1.0, 1, 0.5, 1, 2, 3]),
    }
    save_file(tensors, folder / "model.safetensors")
    word_pieces().save(str(folder / "tokenizer.json"))
    assert numbers(load_vectors(tmp_path, ["paris", "the", "中"])) == {"paris": [2, 2.5], "the": [0, 2], "中": [6, 9]}


def test_a_list_of_words_may_stand_for_the_tokenizer(tmp_path):
    save_file({"anything": table(3)}, tmp_path / "model.safetensors")
    (tmp_path / "vocab.txt").write_text("Paris\nthe\nParis\n", encoding="utf-8")
    assert numbers(load_vectors(tmp_path, ["Paris", "the", ""])) == {"Paris": [0, 1], "the": [2, 3]}


def damaged(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"nothing")


def too_short(folder: Path) -> None:
    save_file({"embeddings": table(4)}, folder / "model.safetensors")


def several(folder: Path) -> None:
    save_file({"a": table(4), "b": table(4)}, folder / "model.safetensors")


def no_vocabulary(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damaged, r"model\.safetensors is damaged"),
        (too_short, "has 4 vectors, and 'the' is number 4 of the vocabulary"),
        (several, r"holds 2 tables \(a, b\), which is not what static vectors are"),
        (no_vocabulary, r"holds no static vectors: model\.safetensors is needed, and tokenizer\.json or vocab\.txt"),
    ],
)
def test_a_bad_static_model_says_what_is_wrong(tmp_path, spoil, message):
    save_file({"embeddings": table(6)}, tmp_path / "model.safetensors")
    word_pieces().save(str(tmp_path / "tokenizer.json"))
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_vectors(tmp_path, ["the", "中"])


def test_a_static_model_of_another_size_is_refused(tmp_path):
    save_file({"embeddings": table(6)}, tmp_path / "model.safetensors")
    word_pieces().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="vectors of 2 numbers, and 100 are wanted"):
        load_vectors(tmp_path, ["the"], size=100)


def test_a_repository_of_the_hub_is_read(tmp_path, hub):
    save_file({"embeddings": table(6)}, tmp_path / "model.safetensors")
    word_pieces().save(str(tmp_path / "tokenizer.json"))
    files = {
        name: File((tmp_path / name).read_bytes(), is_lfs=False) for name in ("model.safetensors", "tokenizer.json")
    }
    hub.store.create("org", None, "static", False).commit("refs/heads/main", None, "vectors", files)
    program = (
        "from hf_bilstm.data import load_vectors; print(load_vectors('org/static', ['the']).vectors['the'].tolist());"
        "load_vectors('org/absent', ['the'])"
    )
    done = run_program(program, environment=environment(hub.url, tmp_path / "home"))
    assert done.stdout.splitlines()[-1:] == ["[8.0, 9.0]"], done.stderr
    assert "OSError: org/absent is not a local folder and is not a valid model identifier" in done.stderr
