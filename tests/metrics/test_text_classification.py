"""Scores of labelled texts, against counts by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_bilstm.metrics import TextClassification


@given(pairs=st.lists(st.tuples(*[st.sampled_from("abcd")] * 2), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_scores_are_those_counted_by_hand(pairs):
    predictions, references = zip(*pairs, strict=True)
    scores = TextClassification().compute(predictions=list(predictions), references=list(references))
    assert scores["accuracy"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    f1_of_gold = []
    for label, row in scores["per_label"].items():
        right = sum(a == b == label for a, b in pairs)
        predicted, gold = predictions.count(label), references.count(label)
        assert row["number"] == gold
        assert row["precision"] == pytest.approx(right / predicted if predicted else 0)
        assert row["recall"] == pytest.approx(right / gold if gold else 0)
        assert row["f1"] == pytest.approx(2 * right / (predicted + gold))
        if gold:
            f1_of_gold.append(row["f1"])
    assert set(scores["per_label"]) == {*predictions, *references}
    assert scores["macro_f1"] == pytest.approx(sum(f1_of_gold) / len(f1_of_gold))
