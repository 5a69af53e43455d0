"""Data sets at hand, saved to disk and in local folders; what the Hub holds takes the same way."""

import logging
import shutil
from pathlib import Path

import datasets
import pytest

from hf_bilstm.data import from_dataset, load_tagged_dataset

FILES = Path(__file__).parent / "files"
NAMES = ["O", "B-PER", "I-PER", "B-LOC"]


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def strings(tokens, tags):
    return datasets.Dataset.from_dict({"tokens": tokens, "tags": tags})


def numbered():
    names = datasets.Sequence(datasets.ClassLabel(names=NAMES))
    features = datasets.Features({"words": datasets.Sequence(datasets.Value("string")), "ner_tags": names})
    rows = {"words": [["Nora", "Lind", "naps"], ["Oslo"]], "ner_tags": [[1, 2, 0], [3]]}
    return datasets.Dataset.from_dict(rows, features=features)


EXPECTED = [["B-PER", "I-PER", "O"], ["B-LOC"]]


def test_class_labels_become_their_names():
    dataset = from_dataset(numbered(), token_column="words", tag_column="ner_tags")
    assert dataset["tokens"][:] == [["Nora", "Lind", "naps"], ["Oslo"]]
    assert dataset["tags"][:] == EXPECTED
    assert dataset.column_names == ["tokens", "tags"]


def test_strings_of_any_scheme_become_iob2():
    dataset = from_dataset(strings([["Nora", "Lind", "naps"], ["Oslo"]], [["B-PER", "E-PER", "O"], ["S-LOC"]]))
    assert dataset["tags"][:] == EXPECTED


def test_a_selection_in_another_format_reads_alike():
    shuffled = numbered().select([1, 0]).with_format("numpy")
    dataset = from_dataset(shuffled, token_column="words", tag_column="ner_tags")
    assert dataset["tags"][:] == EXPECTED[::-1]


def test_plain_tags_stay():
    assert from_dataset(strings([["a", "b"]], [["NN", "VV"]]))["tags"][:] == [["NN", "VV"]]


def test_rows_without_tokens_are_left_out_and_logged(caplog):
    with caplog.at_level(logging.WARNING):
        dataset = from_dataset(strings([["a"], [], ["b"]], [["O"], [], ["B-X"]]), source="corpus")
    assert dataset["tokens"][:] == [["a"], ["b"]]
    assert "corpus: left out 1 rows without tokens" in caplog.text


def test_rows_left_out_do_not_shift_the_row_of_an_error():
    with pytest.raises(ValueError, match="corpus, row 2, token 1: tag 'I-Y', between 'B-X' and the sentence's end"):
        from_dataset(strings([[], ["a"], ["b", "c"]], [[], ["O"], ["B-X", "I-Y"]]), source="corpus")


def test_repair_mends_and_logs(caplog):
    with caplog.at_level(logging.WARNING):
        dataset = from_dataset(strings([["b", "c"]], [["B-X", "I-Y"]]), repair=True, source="corpus")
    assert dataset["tags"][:] == [["B-X", "B-Y"]]
    assert "corpus: mended 1 illegal tag (scheme 'iob2')" in caplog.text


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tokens": [["a"]], "ner_tags": [["O"]]}, "no column 'tags'; it has 'tokens', 'ner_tags'.*tag_column"),
        ({"tokens": ["a b"], "tags": [["O", "O"]]}, "column 'tokens' is .*list of strings"),
        ({"tokens": [["a"]], "tags": [[1]]}, r"column 'tags' is .*cast_column\('tags', Sequence\(ClassLabel"),
        ({"tokens": [["a", "b"]], "tags": [["O"]]}, "row 0: 2 tokens but 1 tags"),
        ({"tokens": [["a"], [" "]], "tags": [["O"], ["O"]]}, "row 1, token 0: the token is empty or blank"),
        ({"tokens": [["a"], ["b", None]], "tags": [["O"], ["O", "O"]]}, "row 1: column 'tokens' holds None"),
        ({"tokens": [["a"], None], "tags": [["O"], ["O"]]}, "row 1: column 'tokens' holds None"),
        ({"tokens": [["a", "b"]], "tags": [["B-X", "0"]]}, "row 0, token 1: Some tags are in a scheme"),
    ],
)
def test_errors_name_the_row_or_column_and_the_remedy(columns, message):
    with pytest.raises(ValueError, match=message):
        from_dataset(datasets.Dataset.from_dict(columns), source="corpus")


def test_missing_class_labels_are_errors():
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "tags": datasets.Sequence(datasets.ClassLabel(names=NAMES)),
        }
    )
    dataset = datasets.Dataset.from_dict({"tokens": [["a"]], "tags": [[-1]]}, features=features)
    with pytest.raises(ValueError, match="row 0: column 'tags' holds -1"):
        from_dataset(dataset)


def test_a_data_set_of_no_sentence_is_an_error():
    empty = strings([["a"]], [["O"]]).select([])
    with pytest.raises(ValueError, match="corpus holds no sentence: 0 rows"):
        from_dataset(empty, source="corpus")


def test_a_saved_data_set_and_a_saved_dictionary(tmp_path):
    columns = {"token_column": "words", "tag_column": "ner_tags"}
    numbered().save_to_disk(tmp_path / "one")
    assert load_tagged_dataset(tmp_path / "one", split="train", **columns)["tags"][:] == EXPECTED
    both = datasets.DatasetDict(train=numbered(), validation=numbered().select([1]))
    both.save_to_disk(tmp_path / "both")
    assert load_tagged_dataset(str(tmp_path / "both"), split="validation", **columns)["tags"][:] == EXPECTED[1:]
    with pytest.raises(ValueError, match="both has no split 'test'; it has 'train', 'validation'"):
        load_tagged_dataset(tmp_path / "both", split="test", **columns)
    named = load_tagged_dataset(tmp_path / "both", split="train", **columns)
    with pytest.raises(ValueError, match=r"both \(train\) has no column 'tokens'; it has 'words', 'ner_tags'"):
        load_tagged_dataset(tmp_path / "both", split="train")
    assert len(named) == 2


def test_a_folder_of_data_files(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for split in ("train", "test"):
        shutil.copy(FILES / "tagged.jsonl", folder / f"{split}.jsonl")
    dataset = load_tagged_dataset(folder, split="test", tag_column="ner_tags")
    assert dataset["tags"][:] == EXPECTED
    sliced = load_tagged_dataset(folder, split="train[:1]+test[:1]", tag_column="ner_tags")
    assert sliced["tags"][:] == [EXPECTED[0]] * 2
    with pytest.raises(ValueError, match="folder has no split 'validation'; it has 'train', 'test'"):
        load_tagged_dataset(folder, split="validation", tag_column="ner_tags")
    with pytest.raises(ValueError, match=r"folder has no split 'dev\[:1\]'; it has 'train', 'test'"):
        load_tagged_dataset(folder, split="dev[:1]", tag_column="ner_tags")
