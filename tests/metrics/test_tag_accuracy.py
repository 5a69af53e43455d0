"""Scores of plain tags, by hand and against their definition."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_bilstm.metrics import TagAccuracy


def test_scores_by_hand():
    scores = TagAccuracy().compute(
        predictions=[["n", "v", "n"], ["x", "n"]],
        references=[["n", "v", "v"], ["n", "n"]],
    )
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert scores["per_tag"]["n"] == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "number": 3})
    assert scores["per_tag"]["v"] == pytest.approx({"precision": 1.0, "recall": 1 / 2, "f1": 2 / 3, "number": 2})
    assert scores["per_tag"]["x"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 0}
    assert scores["macro_f1"] == pytest.approx(2 / 3)


pairs = st.lists(
    st.lists(st.tuples(st.sampled_from(["n", "v", "O"]), st.sampled_from(["n", "v", "O"])), max_size=6), max_size=4
)


def test_scores_are_what_their_names_say():
    metric = TagAccuracy()

    @settings(deadline=None)
    @given(corpus=pairs)
    def check(corpus):
        flat = [pair for sentence in corpus for pair in sentence]
        scores = metric.compute(
            predictions=[[predicted for predicted, _ in sentence] for sentence in corpus],
            references=[[right for _, right in sentence] for sentence in corpus],
        )
        assert scores["accuracy"] == pytest.approx(sum(a == b for a, b in flat) / max(len(flat), 1))
        for tag, row in scores["per_tag"].items():
            both = flat.count((tag, tag))
            assert row["number"] == sum(right == tag for _, right in flat)
            assert row["precision"] * sum(predicted == tag for predicted, _ in flat) == pytest.approx(both)
            assert row["recall"] * row["number"] == pytest.approx(both)

    check()


def test_lengths_that_differ_are_an_error_that_names_the_sentence():
    with pytest.raises(ValueError, match="Sentence 1: 2 predicted tags but 1 references"):
        TagAccuracy().compute(predictions=[["n"], ["n", "v"]], references=[["n"], ["n"]])
