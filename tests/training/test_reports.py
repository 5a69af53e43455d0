from __future__ import annotations

import math
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from matplotlib.image import imread
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedTokenizerFast

from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification, TaggingPipeline
from hf_bilstm.cli import main
from hf_bilstm.data import encode_dataset, load_sample
from hf_bilstm.metrics.errors import pair_errors
from hf_bilstm.models.tagging_schemes import Span, tags_to_spans
from hf_bilstm.training.building import build
from hf_bilstm.training.confidence import span_posteriors
from hf_bilstm.training.error_page import Sentence
from hf_bilstm.training.recipes import read_recipe
from hf_bilstm.training.reports import confusion_counts, length_bins, length_panels, report_tagger, write_report
from hf_bilstm.training.run import train
from hf_bilstm.training.scoring import evaluate_tagger, score_tags

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
VOID = {"meta", "br", "link", "img", "input", "hr"}
TOKENS = ["Ada", "Lovelace", "met", "Babbage", "in", "New", "York", "and", "<script>alert(1)</script>", "&amp;"]
GOLD = ["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "I-LOC", "O", "B-LOC", "O"]
PREDICTED = ["B-LOC", "I-LOC", "O", "O", "O", "O", "B-LOC", "O", "B-LOC", "B-PER"]
SPANS = [tags_to_spans(tags, "iob2") for tags in (GOLD, PREDICTED)]
SENTENCE = Sentence(TOKENS, *SPANS, pair_errors(*SPANS))


class Page(HTMLParser):
    """Reads a page: elements with their attributes, texts, and whether every tag that opens closes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {"sentence": [], "text": [], "quiet": []}
        self.rows: list[list[str]] = []
        self.reading: list[str | None] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in VOID:
            return
        self.open.append(tag)
        kind = dict(attrs).get("class")
        self.reading.append(kind if kind in self.texts else None)
        if self.reading[-1]:
            self.texts[kind].append("")
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.reading.pop()

    def handle_data(self, data):
        for kind in filter(None, self.reading):
            self.texts[kind][-1] += data
        if "tr" in self.open and self.open[-1] != "tr":
            self.rows[-1][-1] += data

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def table(self) -> dict[str, dict[str, int]]:
        head, *rows = self.rows
        return {row[0]: dict(zip(head[1:], map(int, row[1:]), strict=True)) for row in rows}


def report(folder, tokens, gold, predicted, *more, task="ner", **options) -> Page:
    write_report(folder, tokens, gold, predicted, task, score_tags(task, predicted, gold), *more, **options)
    return Page(folder / "errors.html")


def count_colors(path: Path) -> int:
    pixels = (255 * imread(path)[:, :, :3]).round().astype(np.int64)
    return len(np.unique(pixels @ [1, 256, 65536]))


def is_picture(path: Path) -> bool:
    return min(imread(path).shape[:2]) > 200 and count_colors(path) > 20


@pytest.fixture
def page(tmp_path):
    return report(tmp_path, [TOKENS], [GOLD], [PREDICTED])


def test_each_error_is_listed_under_its_kind(page):
    kinds = ["missed", "spurious", "wrong_type", "wrong_boundary"]
    assert [name for name in page.ids if name in kinds] == kinds
    assert [name for name in page.ids if "-" in name] == [f"{kind}-1" for kind in kinds]
    # Gold before the model's, where both are there; what is missed or spurious overlaps nothing here.
    assert page.texts["text"] == ["Babbage", "&amp;", "Ada Lovelace", "Ada Lovelace", "New York", "York"]


def test_links_lead_somewhere_and_nothing_comes_from_elsewhere(page):
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert len(links) > 8
    assert {link.removeprefix("#") for link in links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert not {"src", "srcset", "onclick", "onload"} & {
        name for _, attributes in page.elements for name in attributes
    }
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.elements}


def test_text_from_the_data_is_escaped(tmp_path):
    kind = '"><script>x</script>'
    page = report(tmp_path, [TOKENS], [GOLD], [[tag.replace("PER", kind) for tag in PREDICTED]])
    assert "script" not in {tag for tag, _ in page.elements}
    assert any(attributes.get("data-predicted") == kind for _, attributes in page.elements)
    assert kind in page.table()
    assert all("<script>alert(1)</script> &amp;" in text for text in page.texts["sentence"][1:])


def test_characters_that_a_page_cannot_show_are_named(tmp_path):
    page = report(tmp_path, [["a\nb", "\u202e", "\ud800", "👨\u200d👩"]], [["B-A", "O", "O", "O"]], [["O"] * 4])
    assert page.texts["sentence"][1:] == ["a␊b [U+202E] ? 👨\u200d👩"]


def test_bars_and_labels_stand_where_the_spans_do(page):
    sentence = page.texts["sentence"].index(" ".join(TOKENS))  # the text stays whole, so that it can be searched
    assert sentence >= 1
    labels = Counter(
        (name, attributes[name])
        for _, attributes in page.elements
        for name in ("data-gold", "data-predicted")
        if attributes.get(name) in ("PER", "LOC")
    )
    each = len(page.texts["sentence"]) - 1  # the legend has none of these
    assert labels == {
        ("data-gold", "PER"): 2 * each,
        ("data-gold", "LOC"): 2 * each,
        ("data-predicted", "LOC"): 3 * each,
        ("data-predicted", "PER"): each,
    }


def test_labels_that_would_run_into_each_other_get_room(tmp_path):
    def rooms(tags: list[str]) -> list[str]:
        page = report(tmp_path, [list("甲乙丙丁")], [tags], [["O"] * 4])
        return [element["style"] for _, element in page.elements if "padding" in element.get("style", "")]

    assert len(rooms(["B-EVENT", "B-TIME", "O", "O"])) == 2  # in each of the two errors
    assert rooms(["B-EVENT", "O", "O", "B-TIME"]) == []
    assert rooms(["O", "O", "B-A", "B-TIME"]) == []


def test_counts_are_those_of_the_scores(page):
    scores = score_tags("ner", [PREDICTED], [GOLD])["per_type"]
    table = page.table()
    assert set(table) == {*scores, "all"}
    for kind, row in table.items():
        wrong = row["wrong type"] + row["wrong boundary"]
        assert row["gold"] == row["correct"] + row["missed"] + wrong
        assert row["predicted"] == row["correct"] + row["spurious"] + row["taken for it"] + row["wrong boundary"]
        if kind != "all":
            assert row["gold"] == scores[kind]["number"]
            assert row["correct"] == round(scores[kind]["recall"] * row["gold"])


def test_the_surest_errors_come_first_and_those_left_out_are_counted(tmp_path):
    tokens, gold = [list("abcdef")] * 2, [["O"] * 6] * 2
    predicted = [["B-X", "O", "B-X", "O", "B-X", "O"], ["O", "B-X", "O", "B-X", "O", "O"]]
    posteriors = [
        {Span("X", 0, 1): 0.5, Span("X", 2, 3): 0.9, Span("X", 4, 5): 0.6},
        {Span("X", 1, 2): 0.9999, Span("X", 3, 4): 0.7},
    ]
    page = report(tmp_path, tokens, gold, predicted, posteriors, errors_per_kind=3)
    assert page.texts["text"] == ["b", "c", "d"]
    assert any("Shown are 3 of 5" in text and "2 are left out" in text for text in page.texts["quiet"])
    assert page.table()["X"]["spurious"] == 5
    # What was missed is sorted by the probability of no such span.
    page = report(tmp_path, tokens, predicted, gold, posteriors)
    assert page.texts["text"] == ["a", "e", "d", "c", "b"]
    # Without probabilities in the data's order.
    assert report(tmp_path, tokens, predicted, gold).texts["text"] == ["a", "c", "e", "b", "d"]


def test_a_long_sentence_says_what_is_cut(tmp_path):
    tokens = [f"w{number}" for number in range(1000)]
    tags = ["O"] * 1000
    page = report(tmp_path, [tokens], [[*tags[:500], "B-X", *tags[501:]]], [tags])
    text = page.texts["sentence"][1]
    assert text.startswith("(440 tokens before) … w440 ")
    assert text.endswith(" w560 … (439 tokens after)")


def test_plain_tags(tmp_path):
    gold, predicted = [["n", "v", "n", "p"]], [["n", "n", "n", "v"]]
    page = report(tmp_path, [["dogs", "bark", "cats", "at"]], gold, predicted, task="pos")
    assert [name for name in page.ids if "-" in name] == ["wrong_type-1", "wrong_type-2"]
    assert page.table()["n"] == {"gold": 2, "correct": 2, "wrong tag": 0, "taken for it": 1, "predicted": 3}
    assert page.texts["text"] == ["bark", "bark", "at", "at"]
    assert all(is_picture(file) for file in tmp_path.glob("*.png"))


@pytest.mark.parametrize(("tokens", "gold"), [([], []), ([["a"]], [["O"]]), ([[]], [[]])])
def test_nothing_to_report(tmp_path, tokens, gold):
    page = report(tmp_path, tokens, gold, gold)
    assert set(page.table()["all"].values()) == {0}
    assert page.texts["sentence"][1:] == []
    assert {file.name for file in tmp_path.iterdir()} == {"confusion_matrix.png", "errors.html", "length_curve.png"}


def test_many_types_with_odd_names(tmp_path):
    tags = [["$a$", "$", "{x", "_^", "\\", *(f"t{number}" for number in range(60))]]
    page = report(tmp_path, [["a"] * 65], tags, [tags[0][::-1]], task="pos")
    assert len(page.table()) == 66
    assert is_picture(tmp_path / "confusion_matrix.png")


def test_sentences_that_do_not_fit_together_are_refused(tmp_path):
    scores = {"f1": 0.0}
    with pytest.raises(ValueError, match="1 sentences of tokens, 2 of gold"):
        write_report(tmp_path, [["a"]], [["O"]] * 2, [["O"]] * 2, "ner", scores)
    with pytest.raises(ValueError, match="Sentence 0: 2 tokens but 1 tags"):
        write_report(tmp_path, [["a", "b"]], [["O"]], [["O"]], "ner", scores)


def test_rows_and_columns_of_the_confusion_matrix_add_up():
    counts, rows, columns = confusion_counts([SENTENCE], plain=False)
    assert rows == columns == ["LOC", "PER", "(wrong boundary)", "(none)"]
    assert counts == [[1, 0, 1, 0], [1, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]
    # Where there are too many types the rarest share a row, and nothing is lost.
    spans = [Span(f"t{number:02}", place, place + 1) for number in range(50) for place in range(number, 50)]
    wrong = [Span("t00", span.start, span.end) for span in spans]
    merged, names, _ = confusion_counts([Sentence(["a"] * 50, spans, wrong, pair_errors(spans, wrong))], plain=False)
    assert names[38:] == ["t38", "(11 rarer ones)", "(wrong boundary)", "(none)"]
    assert sum(merged[39]) == sum(range(1, 12))


def test_scores_by_length():
    sentences, spans = length_panels([SENTENCE], plain=False)
    assert sentences[2] == [("10", 1, pytest.approx(2 / 8))]
    assert spans[2] == [("1", 2, pytest.approx(2 / 5)), ("2", 2, 0.0)]
    tagged = Sentence(["a", "bcd"], [Span("n", 0, 1), Span("v", 1, 2)], [Span("n", 0, 1), Span("n", 1, 2)], [])
    _, tokens = length_panels([tagged], plain=True)
    assert tokens[2] == [("1", 1, 1.0), ("3", 1, 0.0)]


def test_bins_hold_every_length_once():
    lengths = [*range(1, 40), *[7] * 30, 1000]
    bins = length_bins(lengths)
    assert bins[0][0] == 1
    assert bins[-1][1] == 1000
    assert all(a[1] < b[0] for a, b in pairwise(bins))
    assert sum(first <= length <= last for length in lengths for first, last in bins) == len(lengths)
    assert 4 <= len(bins) <= 8
    assert any(last == 7 for _, last in bins)
    assert length_bins([]) == []


def test_confidences_are_the_pipelines_scores(trained):
    model, tokenizer = AutoModelForTokenClassification.from_pretrained(trained), AutoTokenizer.from_pretrained(trained)
    data = load_sample("test").select(range(30))
    texts = ["".join(tokens) for tokens in data["tokens"]]
    found = [
        {Span(item["entity_group"], item["start"], item["end"]): item["score"] for item in items}
        for items in TaggingPipeline(model=model, tokenizer=tokenizer)(texts)
    ]
    assert sum(map(len, found)) > 20
    encoded = encode_dataset(data, tokenizer, model.config.label2id)
    for budget in (1, 5000):
        got = span_posteriors(model, tokenizer, encoded, [list(row) for row in found], budget)
        assert [list(row) for row in got] == [list(row) for row in found]
        for row, expected in zip(got, found, strict=True):
            assert list(row.values()) == pytest.approx(list(expected.values()), abs=1e-5)


def test_confidences_of_all_spans_at_a_place_add_up(recipe_file, tmp_path):
    recipe = read_recipe(str(recipe_file), ["--task", "segmentation", "--white_space", "token", "--output_dir", "x"])
    data = load_sample("test", "segmentation").select(range(2))
    tokenizer, model = build(recipe, data)
    encoded = encode_dataset(data, tokenizer, model.config.label2id)
    size = len(data["tokens"][0])
    wanted = [Span("WORD", 4, end) for end in range(5, size + 1)], [Span("WORD", start, 9) for start in range(9)]
    first, second = span_posteriors(model.eval(), tokenizer, encoded, wanted)
    # A word starts before a character with the probability of B there; one ends with that of a start after it.
    ids = tokenizer(data["tokens"][:2], is_split_into_words=True, padding=True, return_tensors="pt")
    begins = model.posteriors(ids["input_ids"], ids["attention_mask"])[:, :, model.config.label2id["B-WORD"]]
    assert math.fsum(first.values()) == pytest.approx(float(begins[0, 4]), abs=1e-5)
    assert 0.05 < math.fsum(second.values()) < 1


def test_no_word_holds_white_space(recipe_file):
    recipe = read_recipe(str(recipe_file), ["--task", "segmentation", "--white_space", "token", "--output_dir", "x"])
    data = Dataset.from_dict({"tokens": [["我", " ", "去"]], "tags": [["B-WORD", "O", "B-WORD"]]})
    tokenizer, model = build(recipe, data)
    encoded = encode_dataset(data, tokenizer, model.config.label2id)
    wanted = [[Span("WORD", 0, 1), Span("WORD", 0, 2), Span("WORD", 0, 3), Span("WORD", 2, 3)]]
    (found,) = span_posteriors(model.eval(), tokenizer, encoded, wanted)
    assert list(found.values()) == pytest.approx([1, 0, 0, 1])


def test_a_tagger_of_words(recipe_file, tmp_path):
    options = ["--task", "pos", "--granularity", "word", "--lexicon_embedding_size", "0"]
    recipe = read_recipe(str(recipe_file), [*options, "--output_dir", str(tmp_path)])
    data = load_sample("test", "pos").select(range(20))
    tokenizer, model = build(recipe, data)
    encoded = encode_dataset(data, tokenizer, model.config.label2id)
    scores = evaluate_tagger(model.eval(), tokenizer, encoded, "pos")
    report_tagger(tmp_path, model, tokenizer, data, encoded, "pos", scores)
    total = Page(tmp_path / "errors.html").table()["all"]
    assert total["gold"] == sum(map(len, data["tokens"])) == total["predicted"]
    assert total["correct"] == round(scores["accuracy"] * total["gold"])


def test_a_tokenizer_that_cuts_words(tmp_path):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "new", "##er", "york", "in"]
    backend = Tokenizer(WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")
    labels = ["O", "B-LOC", "I-LOC"]
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    model = BiLstmForTokenClassification(BiLstmConfig(vocab_size=8, tagging_scheme="bioes", **names)).eval()
    with torch.no_grad():
        model.classifier.bias += torch.tensor([9.0 * (state == "O") for state in model.crf.space.states])
    data = Dataset.from_dict({"tokens": [["in", "newer", "york"]], "tags": [["O", "B-LOC", "I-LOC"]]})
    encoded = encode_dataset(data, tokenizer, model.config.label2id)
    scores = evaluate_tagger(model, tokenizer, encoded, "ner")
    report_tagger(tmp_path, model, tokenizer, data, encoded, "ner", scores)
    page = Page(tmp_path / "errors.html")
    assert page.texts["text"] == ["new er york"]
    assert page.table()["LOC"]["missed"] == 1


def test_without_test_data_the_report_is_of_the_validation_data(recipe_file, tmp_path):
    text = "张 B-PER\n三 I-PER\n来 O\n\n"
    for name, times in (("train", 8), ("dev", 3)):
        (tmp_path / name).write_text(text * times, encoding="utf-8")
    files = ["--dataset", "", "--data_dir", str(tmp_path), "--train_file", "train", "--validation_file", "dev"]
    train(read_recipe(str(recipe_file), [*files, "--num_train_epochs", "1", "--output_dir", str(tmp_path)]))
    assert Page(tmp_path / "errors.html").table()["all"]["gold"] == 3


def test_training_and_evaluating_write_the_same_report(trained, tmp_path, capsys):
    main(["evaluate", str(trained), "--report", str(tmp_path / "report")])
    assert "errors.html" in capsys.readouterr().out
    again, first = (Page(folder / "errors.html").table() for folder in (tmp_path / "report", trained))
    assert again == first
    gold = [tags_to_spans(tags, "iob2") for tags in load_sample("test")["tags"]]
    assert again["all"]["gold"] == sum(map(len, gold))
    assert again["all"]["missed"] <= len([error for spans in gold for error in pair_errors(spans, [])])
    for name in ("confusion_matrix.png", "length_curve.png"):
        assert is_picture(trained / name)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_browser_shows_the_page(tmp_path):
    posteriors = [{Span("PER", 3, 4): 0.25}]
    tokens = [[*TOKENS[:8], "<script>document.body.id='ran'</script>", "<b>"]]
    report(tmp_path, tokens, [GOLD], [PREDICTED], posteriors)
    command = [
        *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--window-size=900,1600"),
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    url = (tmp_path / "errors.html").as_uri()
    dom = subprocess.run([*command, "--dump-dom", url], capture_output=True, timeout=120, check=True).stdout.decode()
    (tmp_path / "dom.html").write_text(dom, encoding="utf-8")
    page = Page(tmp_path / "dom.html")
    assert "script" not in {tag for tag, _ in page.elements}
    assert "ran" not in page.ids
    assert page.texts["sentence"][1:] == [" ".join(tokens[0])] * 4
    assert "confidence 75.0 %" in dom
    picture = tmp_path / "page.png"
    subprocess.run([*command, f"--screenshot={picture}", url], capture_output=True, timeout=120, check=True)
    assert imread(picture).shape[:2] == (1600, 900)
    assert count_colors(picture) > 50  # bars, labels, tint
