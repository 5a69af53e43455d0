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
REAL = Path(sample_module.__file__).parent
SPLITS = ("train", "validation", "test")
TOPICS = ("news", "daily", "science", "sport", "business", "literature")
PKU_TAGS = {*ascii_lowercase, "ad", "an", "nr", "ns", "nt", "nx", "nz", "vd", "vn"} - {"g"}
PKU_TAGS |= {"Ag", "Bg", "Dg", "Mg", "Ng", "Rg", "Tg", "Vg", "Yg"}
UNIVERSAL_TAGS = {"ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN"}
UNIVERSAL_TAGS |= {"PUNCT", "SCONJ", "SYM", "VERB", "X"}
TAGS = {"zh": PKU_TAGS, "en": UNIVERSAL_TAGS}
NAMES = {"zh": "Chinese", "en": "English"}
TASKS = {
    "zh": ["ner", "segmentation", "segmentation_pos", "pos", "classification"],
    "en": ["ner", "pos", "classification"],
}
each_language = pytest.mark.parametrize("language", NAMES)


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


def test_words_of_a_spaced_language_keep_the_spaces_between_them(tmp_path):
    line = "daily\t“/PUNCT+ Do/AUX+ n't/PART go/VERB+ ,/PUNCT [Ann/PROPN Lee/PROPN]PER+ 's/PART C++/PROPN+ +/SYM 1/NUM"
    (sentence,) = read_sample_file(write(tmp_path, line), "en")
    assert sentence.text == "“Don't go, Ann Lee's C+++ 1"
    assert [sentence.text[start:end] for _, start, end in sentence.word_spans(sentence.tags)] == list(sentence.words)
    (entity,) = sentence.over_characters(sentence.entities)
    assert (entity.label, sentence.text[entity.start : entity.end]) == ("PER", "Ann Lee")
    ner = for_task([sentence], "ner", "en")
    assert ner["tokens"][0] == list(sentence.words)
    assert " ".join(ner["tags"][0]) == "O O O O O B-PER I-PER O O O O"
    assert for_task([sentence], "pos", "en")["tags"][0] == list(sentence.tags)
    assert for_task([sentence], "classification", "en")[0] == {"text": sentence.text, "label": "daily"}


def test_unknown_splits_tasks_and_languages_are_refused():
    with pytest.raises(ValueError, match="no split 'dev'; it has 'train', 'validation', 'test'"):
        load_sample("dev")
    with pytest.raises(ValueError, match="no task 'slots'; it has 'ner', 'segmentation', 'segmentation_pos', 'pos'"):
        for_task([], "slots")
    with pytest.raises(ValueError, match=r"\(en\) has no task 'segmentation'; it has 'ner', 'pos', 'classification'"):
        load_sample("test", "segmentation", language="en")
    for call in (load_sample, read_sample_file):
        with pytest.raises(ValueError, match="no language 'de'; it has 'zh', 'en'"):
            call("test", language="de")


@each_language
def test_the_real_sentences_carry_known_tags_and_all_types_in_every_split(language):
    for split, sentences in real(language).items():
        tags = {tag for sentence in sentences for tag in sentence.tags}
        assert tags <= TAGS[language], f"{split}: {sorted(tags - TAGS[language])}"
        assert {span.label for s in sentences for span in s.entities} == {"PER", "LOC", "ORG", "TIME"}
        assert not any(character.isspace() for s in sentences for word in s.words for character in word)


@each_language
def test_no_real_sentence_occurs_twice(language):
    texts = Counter(sentence.text for sentence in chain.from_iterable(real(language).values()))
    assert [text for text, count in texts.items() if count > 1] == []


@pytest.mark.parametrize(("language", "task"), [(language, task) for language in TASKS for task in TASKS[language]])
def test_every_task_loads_from_the_real_files(language, task):
    for split, sentences in real(language).items():
        assert len(load_sample(split, task=task, language=language)) == len(sentences)


def grams(sentence, language):
    """Strings of four characters in Chinese, of three words in English."""
    units, size = (sentence.text, 4) if language == "zh" else ([word.lower() for word in sentence.words], 3)
    return {tuple(units[start : start + size]) for start in range(len(units) - size + 1)}


@each_language
def test_no_real_sentence_is_nearly_one_of_another_split(language):
    sentences = [(split, s.text, grams(s, language)) for split, found in real(language).items() for s in found]
    for (split, text, own), (other_split, other, others) in combinations(sentences, 2):
        if split != other_split:
            shared = len(own & others) / min(len(own), len(others))
            assert shared <= 0.25, f"{split}: {text}\n{other_split}: {other}"


def test_a_chinese_word_has_one_segmentation_in_most_places():
    """Strings that are a word here and two words there are rare, and never differ within frequent words."""
    words, pairs = Counter(), Counter()
    for sentence in chain.from_iterable(real("zh").values()):
        words.update(sentence.words)
        pairs.update(first + second for first, second in pairwise(sentence.words))
    in_doubt = {text: (count, pairs[text]) for text, count in words.items() if len(text) > 1 and pairs[text]}
    tokens = sum(min(both) for both in in_doubt.values())
    assert tokens < 0.01 * words.total(), sorted(in_doubt.items(), key=lambda item: -min(item[1]))[:20]


def test_english_text_has_the_spaces_of_print():
    """The spaces between the words are those that the rules of English typography give."""
    for sentence in chain.from_iterable(real("en").values()):
        quotes = 0
        for word, tag, space, after in zip(
            sentence.words[:-1], sentence.tags[:-1], sentence.spaces[:-1], sentence.words[1:], strict=True
        ):
            quotes += word == '"'
            opens = word in "“($€£" or (word == '"' and quotes % 2)
            closes = after in {*",.?!:;)”%—–-"} or (after == '"' and quotes % 2)
            clitic = re.fullmatch(r"n['’]t|['’](s|re|m|ll|ve|d)?", after) or (word, after) == ("can", "not")
            joined = bool(opens or closes or clitic or word in {"-", "–", "—"})
            assert space != joined, f"{sentence.text!r}: between {word!r} ({tag}) and {after!r}"


def test_english_words_are_those_of_universal_dependencies():
    """No clitic, hyphen or punctuation stays within a word, other than in those that the README names."""
    for sentence in chain.from_iterable(real("en").values()):
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            whole = r"(O['’])?\w+|\w+\.?|[ap]\.m\.|o'clock|X-rays|n['’]t|['’]\w*|\d[\d.,:]*"
            assert tag in {"PUNCT", "SYM", "X"} or word == "&" or re.fullmatch(whole, word), (word, sentence.text)
            assert (tag == "PUNCT") == bool(re.fullmatch(r"[-,.?!:;()\"“”—]", word)), (word, sentence.text)


def test_closed_classes_of_english_have_their_tags():
    """Words with one tag, or a few, have no other."""
    allowed = {
        "DET": "the a an every",
        "CCONJ": "and nor or",
        "PART": "n't not '",
        "PRON": "he she it they their who whom whose",
        "AUX": "be been will could would should",
        "ADV": "when how why never always",
        "SCONJ": "if although unless whether",
        "ADP PART": "to",
        "ADP SCONJ": "of than because",
        "AUX VERB": "is are was were has had does",
        "ADP ADV SCONJ": "as",
        "SCONJ PRON DET": "that",
        "PART AUX VERB PRON": "'s",
    }
    found = {}
    for sentence in chain.from_iterable(real("en").values()):
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            found.setdefault(word.lower(), set()).add(tag)
    odd = [
        (word, found[word])
        for tags, words in allowed.items()
        for word in words.split()
        if found[word] - {*tags.split()}
    ]
    assert odd == []


@each_language
def test_the_counts_in_the_readme_are_those_of_the_files(language):
    text = (REAL / "README.md").read_text(encoding="utf-8")
    section = text.split(f"## {NAMES[language]}: counts\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| ")
    ]
    assert rows[0] == ["", "train", "validation", "test", "all"]
    stated = [(name, cells) for name, *cells in rows[1:]]
    assert stated == [(name, cells) for name, cells in counts(real(language))]
    assert f"{sum(map(len, real(language).values())):,} original {NAMES[language]} sentences" in text
    unseen = dict(stated)["Entity mentions unseen in training"][2]
    assert float(re.search(r"([\d.]+) %", unseen)[1]) >= 50


@cache
def real(language):
    return {split: read_sample_file(REAL / language / f"{split}.txt", language) for split in SPLITS}


def mentions(sentences):
    return [(s.text[e.start : e.end], e.label) for s in sentences for e in s.over_characters(s.entities)]


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
