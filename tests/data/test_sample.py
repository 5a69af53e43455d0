"""The built-in corpus: its form, its tasks and, once they are written, its real files."""

from pathlib import Path
from string import ascii_lowercase

import pytest

import hf_bilstm.data.sample as sample_module
from hf_bilstm.data import load_sample, read_sample_file
from hf_bilstm.data.sample import for_task

FILES = Path(__file__).parent / "files"
REAL = Path(sample_module.__file__).parent / "zh"
SPLITS = ("train", "validation", "test")
PKU_TAGS = {*ascii_lowercase, "ad", "an", "nr", "ns", "nt", "nx", "nz", "vd", "vn"} - {"g"}
PKU_TAGS |= {"Ag", "Bg", "Dg", "Mg", "Ng", "Rg", "Tg", "Vg", "Yg"}

needs_real_files = pytest.mark.skipif(
    not all((REAL / f"{split}.txt").is_file() for split in SPLITS), reason="the built-in corpus is not written yet"
)


def write(tmp_path, *lines):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_file_is_read_into_words_tags_entities_and_topic():
    first, second, third = read_sample_file(FILES / "sample_good.txt")
    assert first.topic == "sport"
    assert first.text == "昨晚，临江青禾队在河湾体育场以三比一获胜。"
    assert first.words[:5] == ("昨晚", "，", "临江", "青禾", "队")
    assert first.tags[:5] == ("t", "w", "ns", "nz", "n")
    assert first.entities == (("TIME", 0, 1), ("ORG", 2, 5), ("LOC", 6, 8))
    assert second.entities == (("PER", 0, 2),)
    assert third.words == ("[", "注", "]", "一", "/", "二")
    assert third.entities == (("TIME", 0, 3),)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sport 昨晚/t", "expected a topic, a tab and words"),
        ("\t昨晚/t", "expected a topic, a tab and words"),
        ("sport\t", "expected a topic, a tab and words"),
        ("sport\t昨晚", "'昨晚' is not characters/TAG"),
        ("sport\t昨晚/t  我/r", "'' is not characters/TAG"),
        ("sport\t昨晚/", "is not characters/TAG"),
        ("sport\t/t", "is not characters/TAG"),
        ("sport\t昨晚/t ", "'' is not characters/TAG"),
        ("sport\t[昨晚/t 我/r", "'昨晚' is not closed"),
        ("sport\t昨晚/t]TIME", "closes an entity that is not open"),
        ("sport\t[昨晚/t [我/r]PER 们/k]ORG", "opens an entity inside another"),
        ("sport\t[昨晚/t]DATE", "'DATE'; write one of PER, LOC, ORG, TIME"),
        ("sport\t[昨晚/t]", "entity type ''"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    with pytest.raises(ValueError, match=message) as error:
        read_sample_file(write(tmp_path, "daily\t早安/l", line))
    assert "lines.txt, line 2: " in str(error.value)


def test_a_file_of_no_sentence_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="holds no sentence"):
        read_sample_file(write(tmp_path, ""))


def test_every_task_has_its_tokens_and_tags():
    sentences = read_sample_file(FILES / "sample_good.txt")
    ner = for_task(sentences, "ner")
    assert ner["tokens"][1] == list("林小雨说：早安。")
    assert " ".join(ner["tags"][1]) == "B-PER I-PER I-PER O O O O O"
    assert " ".join(ner["tags"][0][:6]) == "B-TIME I-TIME O B-ORG I-ORG I-ORG"
    segmentation = for_task(sentences, "segmentation")
    assert segmentation["tokens"][:] == ner["tokens"][:]
    assert segmentation["tags"][1] == [f"{prefix}-WORD" for prefix in "BBIBBBIB"]
    both = for_task(sentences, "segmentation_pos")
    assert " ".join(both["tags"][1]) == "B-nr B-nr I-nr B-v B-w B-l I-l B-w"
    words = for_task(sentences, "pos")
    assert " ".join(words["tokens"][1]) == "林 小雨 说 ： 早安 。"
    assert " ".join(words["tags"][1]) == "nr nr v w l w"
    assert for_task(sentences, "classification")[1] == {"text": "林小雨说：早安。", "label": "daily"}


def test_unknown_splits_and_tasks_are_refused():
    with pytest.raises(ValueError, match="no split 'dev'; it has 'train', 'validation', 'test'"):
        load_sample("dev")
    with pytest.raises(ValueError, match="no task 'slots'; it has 'ner', 'segmentation', 'segmentation_pos', 'pos'"):
        for_task([], "slots")


@needs_real_files
def test_the_real_sentences_carry_pku_tags_and_all_types_in_every_split():
    for split in SPLITS:
        sentences = read_sample_file(REAL / f"{split}.txt")
        tags = {tag for sentence in sentences for tag in sentence.tags}
        assert tags <= PKU_TAGS, f"{split}: {sorted(tags - PKU_TAGS)}"
        assert {span.label for s in sentences for span in s.entities} == {"PER", "LOC", "ORG", "TIME"}
        assert not any(character.isspace() for sentence in sentences for character in sentence.text)


@needs_real_files
def test_no_real_sentence_occurs_twice():
    places = {}
    for split in SPLITS:
        for number, sentence in enumerate(read_sample_file(REAL / f"{split}.txt"), start=1):
            places.setdefault(sentence.text, []).append((split, number))
    assert not {text: found for text, found in places.items() if len(found) > 1}


@needs_real_files
@pytest.mark.parametrize("task", ["ner", "segmentation", "segmentation_pos", "pos", "classification"])
def test_every_task_loads_from_the_real_files(task):
    for split in SPLITS:
        dataset = load_sample(split, task=task)
        assert len(dataset) == len(read_sample_file(REAL / f"{split}.txt"))
