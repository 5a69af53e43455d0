from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hf_bilstm.metrics import span_scores
from hf_bilstm.metrics.errors import KINDS, MISSED, SPURIOUS, WRONG_BOUNDARY, WRONG_TYPE, SpanError, pair_errors
from hf_bilstm.models.tagging_schemes import Span, tags_to_spans

TAGS = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), max_size=14)
PAIRS = TAGS.flatmap(lambda tags: st.tuples(st.just(tags), st.permutations(tags)))
# Nested and crossing spans too, as no tag sequence has them.
SPANS = st.lists(st.builds(lambda label, s, n: Span(label, s, s + n), st.sampled_from("AB"), *[st.integers(1, 5)] * 2))


def test_each_kind():
    gold = [Span("PER", 0, 2), Span("LOC", 3, 5), Span("ORG", 6, 9), Span("TIME", 10, 11), Span("PER", 15, 17)]
    predicted = [Span("PER", 0, 2), Span("ORG", 3, 5), Span("ORG", 7, 10), Span("PER", 12, 13), Span("LOC", 16, 18)]
    assert pair_errors(gold, predicted) == [
        SpanError(WRONG_TYPE, gold[1], predicted[1]),
        SpanError(WRONG_BOUNDARY, gold[2], predicted[2]),
        SpanError(MISSED, gold[3], None),
        SpanError(SPURIOUS, None, predicted[3]),
        SpanError(MISSED, gold[4], None),  # another type and other boundaries: no pair
        SpanError(SPURIOUS, None, predicted[4]),
    ]


def test_a_split_span_is_paired_once_with_the_part_that_shares_most():
    whole, small, large = Span("ORG", 0, 6), Span("ORG", 0, 2), Span("ORG", 2, 6)
    paired = SpanError(WRONG_BOUNDARY, whole, large)
    assert set(pair_errors([whole], [small, large])) == {paired, SpanError(SPURIOUS, None, small)}
    paired = SpanError(WRONG_BOUNDARY, large, whole)
    assert set(pair_errors([small, large], [whole])) == {paired, SpanError(MISSED, small, None)}


def test_spans_that_only_touch_are_no_pair():
    assert {error.kind for error in pair_errors([Span("A", 0, 2)], [Span("A", 2, 4)])} == {MISSED, SPURIOUS}


def test_the_same_boundaries_go_before_the_same_type():
    gold, other, longer = Span("A", 2, 4), Span("B", 2, 4), Span("A", 1, 4)
    assert SpanError(WRONG_TYPE, gold, other) in pair_errors([gold], [longer, other])


def test_the_focus_holds_both_spans():
    assert SpanError(WRONG_BOUNDARY, Span("A", 3, 6), Span("A", 1, 4)).focus == Span("A", 1, 6)
    assert SpanError(SPURIOUS, None, Span("B", 1, 4)).focus == Span("B", 1, 4)


def sound_errors(gold: list[Span], predicted: list[Span]) -> list[SpanError]:
    errors = pair_errors(gold, predicted)
    assert Counter(e.gold for e in errors if e.gold) == Counter(set(gold) - set(predicted))
    assert Counter(e.predicted for e in errors if e.predicted) == Counter(set(predicted) - set(gold))
    for kind, right, wrong in errors:
        assert kind in KINDS
        assert (right is None) == (kind == SPURIOUS)
        assert (wrong is None) == (kind == MISSED)
        if kind == WRONG_TYPE:
            assert right[1:] == wrong[1:]
        if kind == WRONG_BOUNDARY:
            assert right.label == wrong.label
            assert set(range(*right[1:])) & set(range(*wrong[1:]))
    # No pair is left apart.
    for missed in (e.gold for e in errors if e.kind == MISSED):
        for spurious in (e.predicted for e in errors if e.kind == SPURIOUS):
            assert missed[1:] != spurious[1:]
            assert missed.label != spurious.label or not set(range(*missed[1:])) & set(range(*spurious[1:]))
    assert errors == pair_errors(gold[::-1], predicted[::-1])
    return errors


@given(PAIRS)
def test_every_wrong_span_is_in_one_error(pair):
    gold, predicted = (tags_to_spans(tags, "iob2") for tags in pair)
    errors = sound_errors(gold, predicted)
    scores = span_scores([predicted], [gold])["per_type"]
    for label, row in scores.items():
        wrong = sum(error.gold is not None and error.gold.label == label for error in errors)
        assert round(row["recall"] * row["number"]) == row["number"] - wrong


@given(SPANS, SPANS)
def test_overlapping_spans_are_paired_too(gold, predicted):
    errors = sound_errors(gold, predicted)
    right = set(gold) & set(predicted)
    assert {error.gold for error in errors} - {None} | right == set(gold)
    assert {error.predicted for error in errors} - {None} | right == set(predicted)
