from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_bilstm.metrics import SpanF1, WordSegmentation
from hf_bilstm.models.tagging_schemes import Span, spans_to_tags, words_to_spans


def tags_of(words, labels=None):
    spans = words_to_spans(words)
    labels = labels or ["WORD"] * len(words)
    return spans_to_tags(
        [Span(label, *span[1:]) for label, span in zip(labels, spans, strict=True)], spans[-1].end, "iob2"
    )


def compute(predicted, gold, training_words=None, labels=(None, None)):
    return WordSegmentation().compute(
        predictions=[tags_of(*row) for row in zip(predicted, labels[0] or [None] * len(gold), strict=True)],
        references=[tags_of(*row) for row in zip(gold, labels[1] or [None] * len(gold), strict=True)],
        tokens=[list("".join(words)) for words in gold],
        training_words=training_words,
    )


def bakeoff(predicted, gold, training_words):
    """The counts of the bakeoff's `score`: true words, test words, words found, and those out of the word list.

    Like that script it walks both segmentations at once; unlike it, over the text instead of a `diff`.
    """
    true = test = found = new = new_found = 0
    for of_test, of_true in zip(predicted, gold, strict=True):
        true, test = true + len(of_true), test + len(of_test)
        i = j = at_test = at_true = 0  # words and characters read
        while j < len(of_true):
            end_test, end_true = at_test + len(of_test[i]), at_true + len(of_true[j])
            if end_true <= end_test:
                hit = (at_test, end_test) == (at_true, end_true)
                is_new = of_true[j] not in training_words
                found, new, new_found = found + hit, new + is_new, new_found + (hit and is_new)
                j, at_true = j + 1, end_true
            if end_test <= end_true:
                i, at_test = i + 1, end_test
    return {"true": true, "test": test, "found": found, "new": new, "new_found": new_found}


def assert_agrees(scores, counts):
    known, known_found = counts["true"] - counts["new"], counts["found"] - counts["new_found"]
    recall, precision = counts["found"] / counts["true"], counts["found"] / counts["test"]
    assert scores["word_recall"] == pytest.approx(recall)
    assert scores["word_precision"] == pytest.approx(precision)
    f1 = 2 * recall * precision / (recall + precision) if counts["found"] else 0
    assert scores["word_f1"] == pytest.approx(f1)
    assert scores["oov_rate"] == pytest.approx(counts["new"] / counts["true"])
    assert scores["oov_recall"] == pytest.approx(counts["new_found"] / counts["new"] if counts["new"] else 0)
    assert scores["iv_recall"] == pytest.approx(known_found / known if known else 0)
    assert scores["oov_number"] == counts["new"]


GOLD = ["扬帆", "远东", "做", "与", "中国", "合作", "的", "先行"]
TEST = ["扬帆远", "东", "做", "与", "中国", "合作", "的", "先行"]
TRAINING = {"远", "东", "做", "与", "中国", "的", "扬帆远"}


def test_a_case_by_hand():
    scores = compute([TEST], [GOLD], TRAINING)
    assert scores["word_precision"] == scores["word_recall"] == scores["word_f1"] == scores["f1"] == 6 / 8
    assert scores["oov_rate"] == 4 / 8  # 扬帆, 远东, 合作 and 先行; a predicted word that nobody knows is no matter
    assert scores["oov_recall"] == 2 / 4
    assert scores["iv_recall"] == 4 / 4
    assert scores["per_type"]["WORD"]["number"] == 8
    assert bakeoff([TEST], [GOLD], TRAINING) == {"true": 8, "test": 8, "found": 6, "new": 4, "new_found": 2}


@pytest.mark.parametrize(
    ("predicted", "gold"),
    [
        ([["一", "二"]], [["一二"]]),
        ([["一二"]], [["一", "二"]]),
        ([["一二", "三"]], [["一", "二三"]]),
        ([["一", "二三", "四"], ["五"]], [["一", "二三", "四"], ["五"]]),
    ],
)
@pytest.mark.parametrize(
    "training_words", [set(), {"一", "一二", "五"}, {"一", "二", "三", "四", "五", "一二", "二三"}]
)
def test_cases_against_the_counts_of_the_bakeoff(predicted, gold, training_words):
    assert_agrees(compute(predicted, gold, training_words), bakeoff(predicted, gold, training_words))


@st.composite
def segmentations(draw):
    """Two segmentations of the same sentences, and a word list."""
    both = ([], [])
    for _ in range(draw(st.integers(1, 4))):
        text = draw(st.text("一二三", min_size=1, max_size=10))
        for side in both:
            cuts = sorted({0, len(text), *draw(st.sets(st.integers(0, len(text))))})
            side.append([text[a:b] for a, b in pairwise(cuts)])
    return *both, draw(st.sets(st.text("一二三", min_size=1, max_size=3)))


@given(segmentations())
def test_any_segmentations_against_the_counts_of_the_bakeoff(case):
    assert_agrees(compute(*case), bakeoff(*case))


def test_joint_scores():
    labels = [["n", "v", "n"]], [["n", "n", "n"]]
    scores = compute([["我们", "去", "北京"]], [["我们", "去", "北京"]], labels=labels)
    assert scores["word_f1"] == 1
    assert scores["f1"] == scores["tag_accuracy"] == pytest.approx(2 / 3)
    assert scores["per_type"]["n"] == {"precision": 1, "recall": 2 / 3, "f1": 0.8, "number": 3}
    assert "oov_recall" not in scores
    scores = compute([["我们去", "北京"]], [["我们", "去", "北京"]], labels=([["n", "n"]], [["n", "v", "v"]]))
    assert (scores["word_recall"], scores["recall"], scores["tag_accuracy"]) == (1 / 3, 0, 0)


def test_it_gives_all_that_span_scores_do():
    tags = {"predictions": [tags_of(TEST)], "references": [tags_of(GOLD)]}
    spans = SpanF1().compute(**tags)
    assert spans.items() <= WordSegmentation().compute(**tags).items()


def test_other_schemes_and_tokens_of_several_characters():
    scores = WordSegmentation().compute(
        predictions=[["S-n", "B-n", "E-n"]],
        references=[["S-n", "B-n", "E-n"]],
        tokens=[["他", "New", "York"]],
        training_words=["NewYork"],
        scheme="bmes",
    )
    assert (scores["f1"], scores["oov_rate"], scores["iv_recall"]) == (1, 1 / 2, 1)


def test_what_is_missing_is_said():
    tags = {"predictions": [["B-WORD"]], "references": [["B-WORD"]], "training_words": {"好"}}
    with pytest.raises(ValueError, match="training_words needs the words of the text: give tokens too"):
        WordSegmentation().compute(**tags)
    with pytest.raises(ValueError, match="Sentence 0: 2 tokens but 1 tags"):
        WordSegmentation().compute(**tags, tokens=[["好", "的"]])
    with pytest.raises(ValueError, match="0 sentences of tokens but 1 of tags"):
        WordSegmentation().compute(**tags, tokens=[])
