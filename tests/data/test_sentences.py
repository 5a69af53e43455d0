from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_bilstm.data import split_sentences
from hf_bilstm.data.sentences import cut_places
from hf_bilstm.models.tagging_schemes import Span


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("好", ["好"]),
        ("他来了。她走了！为什么？", ["他来了。", "她走了！", "为什么？"]),
        ("他说：“好。”我走了。", ["他说：“好。”", "我走了。"]),
        ("（见上。）『好！』」再说", ["（见上。）", "『好！』」", "再说"]),
        ("什么？！……不；好。。。", ["什么？！……", "不；", "好。。。"]),
        ('他说"好。"我说"走。', ['他说"好。"', '我说"走。']),
        ('走。"好', ["走。", '"好']),
        ("。好", ["。", "好"]),
        ("第一。 第二。", ["第一。", " 第二。"]),
        ("圆周率是3.14。", ["圆周率是3.14。"]),
    ],
)
def test_sentences_end_after_their_marks_and_closing_quotes(text, pieces):
    assert split_sentences(text) == pieces


TEXT = st.text("好。！？；…”」，、 \n\"'a")


@given(TEXT, st.none() | st.integers(1, 9))
def test_the_pieces_are_the_paragraph(text, max_length):
    pieces = split_sentences(text, max_length)
    assert "".join(pieces) == text
    assert all(pieces)
    assert max_length is None or all(len(piece) <= max_length for piece in pieces)


def test_a_long_sentence_is_parted_at_a_pause_if_it_can_be():
    assert split_sentences("一二，三四、五六七八九十", 6) == ["一二，三四、", "五六七八九十"]
    assert split_sentences("一二三四五六七，八", 5) == ["一二三四五", "六七，八"]
    with pytest.raises(ValueError, match="1 or more"):
        split_sentences("好", 0)


@given(st.lists(st.text("好。，”", min_size=1, max_size=4), max_size=12), st.integers(1, 6), st.data())
def test_words_and_spans_stay_whole(words, max_length, data):
    spans = []
    for start in range(len(words)):
        if data.draw(st.booleans()) and (not spans or spans[-1].end <= start):
            spans.append(Span("X", start, data.draw(st.integers(start + 1, len(words)))))
    places = cut_places(words, max_length=max_length, whole=spans)
    assert places == sorted(set(places))
    assert places[-1:] == [len(words)][: len(words)]
    assert not {place for span in spans for place in range(span.start + 1, span.end)} & set(places)
    for start, end in zip([0, *places], places, strict=False):
        inner = [p for p in range(start + 1, end) if not any(s.start < p < s.end for s in spans)]
        # A piece that is too long could not have been parted.
        assert len("".join(words[start:end])) <= max_length or not inner
