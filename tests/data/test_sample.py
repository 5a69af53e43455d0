"""The built-in corpus: its form, its tasks, and what its README promises of the real files."""

import re
from collections import Counter
from functools import cache
from itertools import chain, combinations, pairwise
from pathlib import Path
from statistics import fmean
from string import ascii_lowercase

import pytest

import hf_bilstm.data.sample as sample_module
from hf_bilstm.data import load_sample, read_sample_file
from hf_bilstm.data.sample import ENTITY_TYPES, for_task

FILES = Path(__file__).parent / "files"
REAL = Path(sample_module.__file__).parent / "zh"
SPLITS = ("train", "validation", "test")
TOPICS = ("news", "daily", "science", "sport", "business", "literature")
PKU_TAGS = {*ascii_lowercase, "ad", "an", "nr", "ns", "nt", "nx", "nz", "vd", "vn"} - {"g"}
PKU_TAGS |= {"Ag", "Bg", "Dg", "Mg", "Ng", "Rg", "Tg", "Vg", "Yg"}


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


def test_the_real_sentences_carry_pku_tags_and_all_types_in_every_split():
    for split in SPLITS:
        sentences = read_sample_file(REAL / f"{split}.txt")
        tags = {tag for sentence in sentences for tag in sentence.tags}
        assert tags <= PKU_TAGS, f"{split}: {sorted(tags - PKU_TAGS)}"
        assert {span.label for s in sentences for span in s.entities} == {"PER", "LOC", "ORG", "TIME"}
        assert not any(character.isspace() for sentence in sentences for character in sentence.text)


def test_no_real_sentence_occurs_twice():
    places = {}
    for split in SPLITS:
        for number, sentence in enumerate(read_sample_file(REAL / f"{split}.txt"), start=1):
            places.setdefault(sentence.text, []).append((split, number))
    assert not {text: found for text, found in places.items() if len(found) > 1}


@pytest.mark.parametrize("task", ["ner", "segmentation", "segmentation_pos", "pos", "classification"])
def test_every_task_loads_from_the_real_files(task):
    for split in SPLITS:
        dataset = load_sample(split, task=task)
        assert len(dataset) == len(read_sample_file(REAL / f"{split}.txt"))


def four_grams(text):
    return {text[start : start + 4] for start in range(len(text) - 3)}


def test_no_real_sentence_is_nearly_one_of_another_split():
    sentences = [(split, s.text, four_grams(s.text)) for split, found in real().items() for s in found]
    for (split, text, grams), (other_split, other, other_grams) in combinations(sentences, 2):
        if split != other_split:
            shared = len(grams & other_grams) / min(len(grams), len(other_grams))
            assert shared <= 0.25, f"{split}: {text}\n{other_split}: {other}"


def test_a_word_has_one_segmentation_in_most_places():
    """Strings that are a word here and two words there are rare, and never differ within frequent words."""
    words, pairs = Counter(), Counter()
    for sentence in chain.from_iterable(real().values()):
        words.update(sentence.words)
        pairs.update(first + second for first, second in pairwise(sentence.words))
    in_doubt = {text: (count, pairs[text]) for text, count in words.items() if len(text) > 1 and pairs[text]}
    tokens = sum(min(both) for both in in_doubt.values())
    assert tokens < 0.01 * words.total(), sorted(in_doubt.items(), key=lambda item: -min(item[1]))[:20]


def test_the_counts_in_the_readme_are_those_of_the_files():
    text = (REAL.parent / "README.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    header = rows.index(["", "train", "validation", "test", "all"])
    stated = [(name, cells) for name, *cells in rows[header + 1 :]]
    assert stated == [(name, cells) for name, cells in counts(real())]
    assert f"{sum(map(len, real().values())):,} original Chinese sentences" in text
    unseen = dict(stated)["Entity mentions unseen in training"][2]
    assert float(re.search(r"([\d.]+) %", unseen)[1]) >= 50


@cache
def real():
    return {split: read_sample_file(REAL / f"{split}.txt") for split in SPLITS}


def mentions(sentences):
    return [("".join(s.words[e.start : e.end]), e.label) for s in sentences for e in s.entities]


def counts(splits):
    """Rows of the README's table of counts."""
    columns = [*splits.values(), list(chain.from_iterable(splits.values()))]

    def row(name, of_column):
        return name, [of_column(sentences) for sentences in columns]

    def number(name, of_column):
        return row(name, lambda sentences: f"{of_column(sentences):,}")

    def unseen(name, items_of):
        seen = set(items_of(splits["train"]))
        cells = ["–"]
        for split in ("validation", "test"):
            items = items_of(splits[split])
            new = sum(item not in seen for item in items)
            cells.append(f"{new} of {len(items):,}, {100 * new / len(items):.1f} %")
        return name, [*cells, "–"]

    def words(sentences):
        return [word for s in sentences for word in s.words]

    def lengths(sentences):
        return [len(s.text) for s in sentences]

    yield number("Sentences", len)
    yield number("Sentences without an entity", lambda sentences: sum(not s.entities for s in sentences))
    yield number("Characters", lambda sentences: sum(lengths(sentences)))
    yield row("Characters a sentence, mean", lambda sentences: f"{fmean(lengths(sentences)):.1f}")
    yield row(
        "Characters a sentence, shortest to longest",
        lambda sentences: f"{min(lengths(sentences))} to {max(lengths(sentences))}",
    )
    yield number("Words", lambda sentences: len(words(sentences)))
    yield number("Distinct words", lambda sentences: len(set(words(sentences))))
    yield number("Part-of-speech tags used", lambda sentences: len({tag for s in sentences for tag in s.tags}))
    yield number("Entity mentions", lambda sentences: len(mentions(sentences)))
    for kind in ENTITY_TYPES:
        yield number(f"– {kind}", lambda sentences, kind=kind: sum(of == kind for _, of in mentions(sentences)))
    yield number("Distinct entities (string and type)", lambda sentences: len(set(mentions(sentences))))
    for topic in TOPICS:
        yield number(f"Sentences on {topic}", lambda sentences, topic=topic: sum(s.topic == topic for s in sentences))
    yield unseen("Entity mentions unseen in training", mentions)
    for kind in ENTITY_TYPES:
        yield unseen(f"– {kind}", lambda sentences, kind=kind: [m for m in mentions(sentences) if m[1] == kind])
    yield unseen("Words unseen in training", words)
