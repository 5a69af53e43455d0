"""Readers of labelled texts: good files in their forms and encodings, and errors that say where and what to do."""

from __future__ import annotations

import csv
import io

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_bilstm import BiLstmTokenizer
from hf_bilstm.data import (
    encode_dataset,
    label_list,
    load_labelled_dataset,
    load_sample,
    read_labelled_lines,
    read_tsv,
)
from hf_bilstm.data import read_csv as read_comma_table


def write(folder, content, encoding="utf-8"):
    path = folder / "texts"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def pairs(dataset):
    return list(zip(dataset["label"], dataset["text"], strict=True))


def test_lines_of_a_label_and_a_text(tmp_path):
    path = write(
        tmp_path,
        b"\xef\xbb\xbf0 What is  caf\xc3\xa9 ?\r\n\n1\tWho ?\n0 a\xe2\x80\xa8b\x0bc\x85\n".replace(b"\x85", b""),
    )
    assert pairs(read_labelled_lines(path)) == [("0", "What is  café ?"), ("1", "Who ?"), ("0", "a\u2028b\x0bc")]


def test_latin_1_is_read_as_such_and_lines_part_at_line_feeds_alone(tmp_path):
    path = write(tmp_path, b"4 Where is Carr\xe9 ?\n2 a\x85b\x0cc\x1cd ?\n")
    assert pairs(read_labelled_lines(path, encoding="latin-1")) == [
        ("4", "Where is Carré ?"),
        ("2", "a\x85b\x0cc\x1cd ?"),
    ]
    with pytest.raises(ValueError, match=r"line 1: byte 15 .* is not valid utf-8.*'latin-1'"):
        read_labelled_lines(path)


def test_tables_with_named_columns(tmp_path):
    path = write(tmp_path, 'id\tlabel\ttext_a\r\n1\t好\t他说"好, 好\r\n2\t坏\t坏"\n\n')
    assert pairs(read_tsv(path, text_column="text_a")) == [("好", '他说"好, 好'), ("坏", '坏"')]
    path = write(tmp_path, 'text,label\n"a, ""b""\nc",x\nplain\rone,"y z"\n', "gb18030")
    assert pairs(read_comma_table(path, encoding="gb18030")) == [("x", 'a, "b"\nc'), ("y z", "plain\rone")]


written = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0\ufeff"), min_size=1).filter(
    str.strip
)


@given(rows=st.lists(st.tuples(written, written), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_writer_of_csv_writes_is_read(tmp_path, rows):
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("label", "text"), *rows])
    assert pairs(read_comma_table(write(tmp_path, buffer.getvalue()))) == rows


def test_a_long_text_is_read_whole(tmp_path):
    text = "长" * 200_000
    assert read_comma_table(write(tmp_path, f"label,text\na,{text}\n"))["text"][0] == text
    assert read_tsv(write(tmp_path, f"label\ttext\na\t{text}\n"))["text"][0] == text
    assert csv.field_size_limit() == 131_072


@pytest.mark.parametrize(
    ("reader", "content", "options", "message"),
    [
        (read_labelled_lines, "0 a\n1\n", {}, r"line 2: the text is empty; write a label, a blank and a text"),
        (read_labelled_lines, " a\n", {}, r"line 1: the label is empty"),
        (read_labelled_lines, "\n\n", {}, r"holds no labelled text; write a label"),
        (read_labelled_lines, "0 a", {"encoding": "klingon"}, r"unknown encoding 'klingon'"),
        (read_tsv, "label\ttext\na\tb\tc\n", {}, r"line 2: 3 columns, where line 1 names 2 \(label, text\)"),
        (read_tsv, "label\ttext\na\n", {}, r"line 2: 1 columns"),
        (read_tsv, "label\tbody\na\tb\n", {}, r"no column 'text' among 'label', 'body'\. Name it with text_column"),
        (read_tsv, "", {}, r"no column 'text' among no columns"),
        (read_tsv, "label\ttext\n", {}, r"holds no labelled text"),
        (read_tsv, "label\ttext\na\t \n", {}, r"line 2: the text is empty"),
        (read_comma_table, 'label,text\n"a"b,c\n', {}, r"line 2: .*quotation marks"),
        (read_comma_table, 'label,text\na,"b\n', {}, r"line 3: unexpected end of data"),
        (read_comma_table, 'label,text\n"a\nb",c\nd\n', {}, r"line 4: 1 columns"),
    ],
)
def test_bad_files_are_refused_with_the_place_and_the_remedy(tmp_path, reader, content, options, message):
    with pytest.raises(ValueError, match=message):
        reader(write(tmp_path, content), **options)


def test_a_missing_file_names_its_neighbours(tmp_path):
    write(tmp_path, "0 a")
    with pytest.raises(FileNotFoundError, match="holds texts"):
        read_tsv(tmp_path / "other.tsv")


@pytest.mark.parametrize("kind", [Value("string"), ClassLabel(names=["bad", "good"])])
def test_data_sets_with_strings_or_class_labels(tmp_path, kind):
    features = Features({"review": Value("string"), "stars": kind, "id": Value("int64")})
    labels = ["good", "bad"]
    rows = {"review": ["a", "b"], "stars": labels if isinstance(kind, Value) else [1, 0], "id": [7, 8]}
    DatasetDict({"train": Dataset.from_dict(rows, features)}).save_to_disk(str(tmp_path))
    columns = {"text_column": "review", "label_column": "stars"}
    assert pairs(load_labelled_dataset(tmp_path, split="train", **columns)) == [("good", "a"), ("bad", "b")]
    with pytest.raises(ValueError, match=r"no column 'label'; it has .* text_column and label_column"):
        load_labelled_dataset(tmp_path, split="train", text_column="review")
    with pytest.raises(ValueError, match=r"'id' is .* ClassLabel\(names"):
        load_labelled_dataset(tmp_path, split="train", text_column="review", label_column="id")
    with pytest.raises(ValueError, match=r"has no split 'test'"):
        load_labelled_dataset(tmp_path, split="test", **columns)


def test_a_row_without_its_label_is_refused(tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features).save_to_disk(str(tmp_path))
    with pytest.raises(ValueError, match=r"row 1: the label is empty; fill it in"):
        load_labelled_dataset(tmp_path, split="train")


def test_texts_become_model_inputs():
    data = load_sample("test", "classification")
    assert label_list([data]) == ["business", "daily", "literature", "news", "science", "sport"]
    tokenizer = BiLstmTokenizer.from_corpus(data["text"])
    label2id = {label: number for number, label in enumerate(label_list([data]))}
    encoded = encode_dataset(data, tokenizer, label2id)
    assert set(encoded.column_names) == {"input_ids", "attention_mask", "labels"}
    assert encoded["input_ids"][:] == tokenizer(data["text"][:])["input_ids"]
    assert [label_list([data])[number] for number in encoded["labels"]] == data["label"][:]
    with pytest.raises(ValueError, match=r"Text 0: label 'sport' is not one of 'news'"):
        encode_dataset(data.filter(lambda row: row["label"] == "sport"), tokenizer, {"news": 0})


def test_the_real_files(shared_data):
    trec = read_labelled_lines(shared_data / "trec" / "TREC.train.all", encoding="latin-1")
    assert len(trec) == 5452
    assert label_list([trec]) == ["0", "1", "2", "3", "4", "5"]
    assert trec["label"][:].count("2") == 86
    reviews = read_tsv(shared_data / "chnsenticorp" / "train.tsv", text_column="text_a")
    assert len(reviews) == 9600
    assert len(read_tsv(shared_data / "chnsenticorp" / "dev.tsv", text_column="text_a")) == 1200
