"""Span scores against seqeval's strict mode, and by hand."""

import json
from pathlib import Path

import evaluate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import accuracy_score
from seqeval.metrics.v1 import classification_report, precision_recall_fscore_support
from seqeval.scheme import BILOU, IOB2, IOBES

from hf_bilstm.metrics import SpanF1, span_scores
from hf_bilstm.models.tagging_schemes import SCHEMES, Span, spans_to_tags

PREFIXES = {"iob2": "BI", "bioes": "BIES", "bilou": "BILU"}
SEQEVAL = {"iob2": IOB2, "bioes": IOBES, "bilou": BILOU}


@st.composite
def corpora(draw, scheme):
    """Predictions and references, legal or not, of the same lengths."""
    tags = ["O", *(f"{prefix}-{label}" for prefix in PREFIXES[scheme] for label in ("X", "Y", "Z"))]
    lengths = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    return [
        [draw(st.lists(st.sampled_from(tags), min_size=n, max_size=n)) for n in lengths] for _ in ("predicted", "gold")
    ]


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")  # seqeval's, without any span
@pytest.mark.parametrize("scheme", SEQEVAL)
def test_scores_are_those_of_seqeval_in_strict_mode(scheme):
    metric = SpanF1()

    @settings(deadline=None)
    @given(corpus=corpora(scheme))
    def check(corpus):
        predictions, references = corpus
        scores = metric.compute(predictions=predictions, references=references, scheme=scheme)
        options = {"scheme": SEQEVAL[scheme], "zero_division": 0}
        micro = precision_recall_fscore_support(references, predictions, average="micro", **options)
        assert [scores[name] for name in ("precision", "recall", "f1")] == pytest.approx(micro[:3])
        assert scores["accuracy"] == pytest.approx(accuracy_score(references, predictions))
        report = classification_report(references, predictions, output_dict=True, **options)
        per_type = {
            kind: {
                "precision": row["precision"],
                "recall": row["recall"],
                "f1": row["f1-score"],
                "number": row["support"],
            }
            for kind, row in report.items()
            if not kind.endswith(" avg")
        }
        assert set(scores["per_type"]) == set(per_type)
        for kind, row in per_type.items():
            assert scores["per_type"][kind] == pytest.approx(row)
        # seqeval's mean is over all types, ours over those of the references.
        gold = [row for row in per_type.values() if row["number"]]
        for name in ("precision", "recall", "f1"):
            assert scores[f"macro_{name}"] == pytest.approx(sum(row[name] for row in gold) / max(len(gold), 1))
        if gold and len(gold) == len(per_type):
            macro = report["macro avg"]
            ours = [scores["macro_precision"], scores["macro_recall"], scores["macro_f1"]]
            assert ours == pytest.approx([macro["precision"], macro["recall"], macro["f1-score"]])

    check()


def test_scores_by_hand():
    gold = [[Span("X", 0, 2), Span("Y", 3, 4)], [Span("X", 0, 1)]]
    predicted = [[Span("X", 0, 2), Span("X", 3, 4)], [Span("Z", 0, 1)]]
    scores = span_scores(predicted, gold)
    assert scores["precision"] == scores["recall"] == scores["f1"] == pytest.approx(1 / 3)
    assert scores["per_type"] == {
        "X": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "number": 2},
        "Y": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 1},
        "Z": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 0},
    }
    assert scores["macro_f1"] == 0.25


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scores_of_spans_do_not_depend_on_the_scheme(scheme):
    gold = [[("X", 0, 2), ("X", 2, 3), ("Y", 4, 7)], []]
    predicted = [[("X", 0, 3), ("Y", 4, 7)], [("X", 0, 1)]]
    scores = SpanF1().compute(
        predictions=[spans_to_tags(spans, 7, scheme) for spans in predicted],
        references=[spans_to_tags(spans, 7, scheme) for spans in gold],
        scheme=scheme,
    )
    scores.pop("accuracy")
    assert scores == span_scores([[Span(*span) for span in spans] for spans in predicted], gold)
    assert (scores["precision"], scores["recall"]) == (1 / 3, 1 / 3)


def test_a_span_with_an_illegal_tag_is_none():
    scores = SpanF1().compute(predictions=[["I-X", "I-X", "O"]], references=[["B-X", "I-X", "O"]])
    assert scores["per_type"] == {"X": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 1}}
    assert scores["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("sentences", [[], [[]], [["O", "O"]]])
def test_a_ratio_to_nothing_is_zero(sentences):
    scores = SpanF1().compute(predictions=sentences, references=sentences)
    assert scores["f1"] == scores["macro_f1"] == scores["precision"] == scores["recall"] == 0.0
    assert scores["per_type"] == {}
    assert scores["accuracy"] == (1.0 if sentences == [["O", "O"]] else 0.0)


def test_errors_name_the_sentence():
    metric = SpanF1()
    with pytest.raises(ValueError, match="Sentence 1: 1 predicted tags but 2 references"):
        metric.compute(predictions=[["O"], ["O"]], references=[["O"], ["O", "O"]])
    with pytest.raises(ValueError, match=r"Sentence 1 of the predictions: Tag 'M-X' at position 0 .*scheme="):
        metric.compute(predictions=[["O"], ["M-X"]], references=[["O"], ["O"]])
    with pytest.raises(ValueError, match="1 sentences of predicted spans but 2 of gold"):
        span_scores([[]], [[], []])
    with pytest.raises(ValueError, match="'iobes'; choose one of"):
        metric.compute(predictions=[["O"]], references=[["O"]], scheme="iobes")
    assert metric.compute(predictions=[["B-X"]], references=[["B-X"]])["f1"] == 1.0


def test_batches_add_up_to_the_whole():
    metric = SpanF1()
    predictions, references = [["B-X", "O"], ["O"], ["B-Y"]], [["B-X", "I-X"], ["O"], ["B-Y"]]
    whole = metric.compute(predictions=predictions, references=references)
    metric.add_batch(predictions=predictions[:2], references=references[:2])
    metric.add(prediction=predictions[2], reference=references[2])
    assert metric.compute() == whole


def test_it_is_a_metric_of_evaluate_that_leaves_no_files(tmp_path):
    metric = SpanF1(cache_dir=str(tmp_path / "cache"))
    assert isinstance(metric, evaluate.Metric)
    scores = metric.compute(predictions=[["B-X"]], references=[["B-X"]])
    assert json.loads(json.dumps(scores)) == scores
    assert list(Path(tmp_path).iterdir()) == []
