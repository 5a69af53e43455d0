from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_bilstm.data import read_segmented, words_of
from hf_bilstm.models.tagging_schemes import spans_to_words, tags_to_spans


def words_of_rows(dataset):
    """The words of every sentence, read back from its tags."""
    return [
        spans_to_words(tags_to_spans(tags, "iob2"), tokens)
        for tokens, tags in zip(dataset["tokens"], dataset["tags"], strict=True)
    ]


def write(tmp_path, data):
    path = tmp_path / "words.txt"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_words_become_characters_with_tags(tmp_path):
    dataset = read_segmented(write(tmp_path, "我们  去\n北京大学\n"))
    assert dataset["tokens"][:] == [["我", "们", "去"], ["北", "京", "大", "学"]]
    assert dataset["tags"][:] == [["B-WORD", "I-WORD", "B-WORD"], ["B-WORD", "I-WORD", "I-WORD", "I-WORD"]]
    assert words_of(dataset) == {"我们", "去", "北京大学"}


@pytest.mark.parametrize("gap", [" ", "  ", "\t", "\u3000", "\u00a0", " \u3000\t "])
def test_any_white_space_parts_words(tmp_path, gap):
    assert words_of_rows(read_segmented(write(tmp_path, f"{gap}我们{gap}去{gap}\n"))) == [["我们", "去"]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n", "\r", "\n\n\u3000\n"])
def test_any_line_end_parts_sentences(tmp_path, end):
    path = write(tmp_path, f"\ufeff我们 去{end}她 来{end}")
    assert words_of_rows(read_segmented(path)) == [["我们", "去"], ["她", "来"]]


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "utf-16", "utf-8"])
def test_encodings(tmp_path, encoding):
    path = write(tmp_path, "我们 去\n".encode(encoding))
    assert words_of_rows(read_segmented(path, encoding=encoding)) == [["我们", "去"]]


def test_big5(tmp_path):
    assert words_of_rows(read_segmented(write(tmp_path, "我們\u3000去".encode("big5")), encoding="big5")) == [
        ["我們", "去"]
    ]


@given(st.lists(st.lists(st.text("我们去1a/，。\u200b𠀀", min_size=1), min_size=1), min_size=1))
def test_nothing_is_lost(tmp_path_factory, sentences):
    path = write(tmp_path_factory.mktemp("words"), "".join(f"{'  '.join(words)}\n" for words in sentences))
    assert words_of_rows(read_segmented(path)) == sentences


def test_lines_are_selected_by_a_pattern(tmp_path):
    path = write(tmp_path, "a 一\nb 二\na 三\n")
    assert words_of_rows(read_segmented(path, select="^a")) == [["a", "一"], ["a", "三"]]
    with pytest.raises(ValueError, match=r"words\.txt: select='\^c' is found in none of its 4 lines"):
        read_segmented(path, select="^c")
    with pytest.raises(ValueError, match=r"select='\(' is no regular expression"):
        read_segmented(path, select="(")


def test_long_lines_are_parted(tmp_path):
    path = write(tmp_path, "他 说 ： “ 好 。 ” 我 走 了 ，再 见\n")
    rows = words_of_rows(read_segmented(path, split_sentences=True))
    assert rows == [["他", "说", "：", "“", "好", "。", "”"], ["我", "走", "了", "，再", "见"]]
    rows = words_of_rows(read_segmented(path, max_sentence_length=4))
    assert [" ".join(row) for row in rows] == ["他 说 ：", "“ 好 。 ”", "我 走 了", "，再 见"]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("\n \n", {}, r"words\.txt holds no word"),
        ("一 二\n三 四".encode("gbk"), {}, r"words\.txt, line 1: byte 3 .* is not valid utf-8.*gb18030"),
        ("一\n二 三", {"task": "pos"}, r"words\.txt, line 1: task 'pos' needs words with tags.*'word_pos'"),
        ("一", {"task": "ner"}, r"line 1: task 'ner' needs entities"),
        ("一", {"task": "parsing"}, "There is no task 'parsing'"),
        ("一", {"granularity": "word"}, "takes granularity 'char', not 'word'"),
        ("一", {"max_sentence_length": 0}, "max_sentence_length must be 1 or more"),
    ],
)
def test_errors_say_where_and_what_to_do(tmp_path, data, options, message):
    with pytest.raises(ValueError, match=message):
        read_segmented(write(tmp_path, data), **options)
