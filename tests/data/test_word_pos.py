from __future__ import annotations

from collections import Counter

import pytest

from hf_bilstm.data import read_word_pos, write_word_pos
from hf_bilstm.models.tagging_schemes import spans_to_words, tags_to_spans


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "news.txt"
    path.write_bytes(text.encode(encoding))
    return path


def tagged(dataset):
    """The sentences as `word/tag`, whether their tokens are words or characters."""
    rows = []
    for tokens, tags in zip(dataset["tokens"], dataset["tags"], strict=True):
        if any(tag.startswith("B-") for tag in tags):
            spans = tags_to_spans(tags, "iob2")
            rows.append(write_word_pos(zip(spans_to_words(spans, tokens), [s.label for s in spans], strict=True)))
        else:
            rows.append(write_word_pos(zip(tokens, tags, strict=True)))
    return rows


PARAGRAPH = "19980101-01-001-006/m  在/p  [中央/n  人民/n  广播/vn  电台/n]nt  ，/w  江/nr  泽民/nr  说/v  。/w  \r\n"


def test_a_paragraph_of_the_peoples_daily(tmp_path):
    path = write(tmp_path, PARAGRAPH, "gbk")
    words = "在/p 中央/n 人民/n 广播/vn 电台/n ，/w 江/nr 泽民/nr 说/v 。/w"
    assert tagged(read_word_pos(path, encoding="gb18030", task="pos")) == [words]
    assert tagged(read_word_pos(path, encoding="gb18030")) == [words]
    joined = words.replace("江/nr 泽民/nr", "江泽民/nr")
    assert tagged(read_word_pos(path, encoding="gb18030", join_names=True)) == [joined]
    assert tagged(read_word_pos(path, encoding="gb18030", join_names=True, task="pos")) == [joined]
    segmentation = read_word_pos(path, encoding="gb18030", task="segmentation")
    assert set(segmentation["tags"][0]) == {"B-WORD", "I-WORD"}


def test_brackets_and_names_become_entities(tmp_path):
    path = write(tmp_path, PARAGRAPH)
    assert tagged(read_word_pos(path, task="ner")) == ["中央人民广播电台/ORG 江泽民/PER"]
    by_word = read_word_pos(path, task="ner", granularity="word", join_names=True)
    assert by_word["tokens"][0][5:8] == ["，", "江泽民", "说"]
    assert " ".join(by_word["tags"][0]) == "O B-ORG I-ORG I-ORG I-ORG O B-PER O O"
    types = {"nt": "机构"}
    assert tagged(read_word_pos(path, task="ner", entity_types=types)) == ["中央人民广播电台/机构"]


@pytest.mark.parametrize(
    ("line", "entities"),
    [
        ("[[中国/ns 银行/n]nt 北京/ns 分行/n]nt 在/p 北京/ns", "中国银行北京分行/ORG 北京/LOC"),
        ("[中国/ns 银行/n]/nt 好/a", "中国银行/ORG"),
        ("[北京/ns]ns 好/a", "北京/LOC"),
        ("[邓/nr 小平/nr 理论/n]l 好/a", "邓小平/PER"),  # the label of the bracket is no entity type
        ("[刘/nr]nt 小平/nr", "刘/ORG 小平/PER"),  # no name across a bracket's edge
        ("国务院/nt 总理/n 李/nr 鹏/nr", "国务院/ORG 李鹏/PER"),
    ],
)
def test_the_outermost_name_counts(tmp_path, line, entities):
    assert tagged(read_word_pos(write(tmp_path, line), task="ner")) == [entities]


@pytest.mark.parametrize(
    ("line", "joined"),
    [
        ("江/nr 泽民/nr 李/nr 鹏/nr", "江泽民/nr 李鹏/nr"),
        ("欧阳/nr 山尊/nr", "欧阳山尊/nr"),
        ("马克思/nr 恩格斯/nr", "马克思/nr 恩格斯/nr"),
        ("雪村/nr 守仁/nr", "雪村/nr 守仁/nr"),
        ("韩/nr 钟（昆音）/nr", "韩钟（昆音）/nr"),
        ("焦/nr 秋生/nr 银春/nr", "焦秋生/nr 银春/nr"),
        ("陈/nr 方/nr 安生/nr", "陈/nr 方安生/nr"),
        ("江/nr 、/w 泽民/nr", "江/nr 、/w 泽民/nr"),
    ],
)
def test_a_surname_and_a_given_name_are_joined(tmp_path, line, joined):
    path = write(tmp_path, line)
    assert tagged(read_word_pos(path, task="pos", join_names=True)) == [joined]
    assert tagged(read_word_pos(path, task="pos")) == [line]


@pytest.mark.parametrize(
    "line", ["//w", "1/2/m 好/a", "[/w 一/m ]/w", "http://a.b/nx", "]/w", "ＣＤ—ＲＯＭ/nx", "a/NN-SHORT"]
)
def test_a_word_may_hold_what_marks_words(tmp_path, line):
    assert tagged(read_word_pos(write(tmp_path, line), task="pos")) == [line]


def test_other_delimiters(tmp_path):
    assert tagged(read_word_pos(write(tmp_path, "中国_NR a_b_NN"), delimiter="_", task="pos")) == ["中国/NR a_b/NN"]


def test_line_ends_blank_lines_and_ids(tmp_path):
    text = "19980101-01-001-001/m  一/m  \r\r\n\r\n\r\r\n19980101-01-001-001/m  二/m \r 三/m\n20030101-1-2/m\n四/m"
    assert tagged(read_word_pos(write(tmp_path, text), task="pos")) == ["一/m", "二/m", "三/m", "四/m"]


def test_a_split_by_date(tmp_path):
    text = "".join(f"199801{day:02}-01-001-001/m  {day}/m\n" for day in range(1, 32))
    path = write(tmp_path, text)
    days = [
        [int(row[0]) for row in read_word_pos(path, task="pos", select=select)["tokens"]]
        for select in ("^199801([01]|2[0-5])", "^1998012[678]", "^199801(29|3)")
    ]
    assert days == [list(range(1, 26)), [26, 27, 28], [29, 30, 31]]


def test_unknown_tags_are_reported_and_mended_on_request(tmp_path, caplog):
    path = write(tmp_path, "好/a\n面试/vvn 好/a\n试/vvn 寺/na\n")
    kept = read_word_pos(path, task="pos", tagset="pku")
    assert tagged(kept)[1] == "面试/vvn 好/a"
    assert "news.txt, line 2: tag 'vvn' (2 in all) is not in the tag set 'pku'" in caplog.text
    assert "line 3: tag 'na' (1 in all)" in caplog.text
    caplog.clear()
    mended = read_word_pos(path, tagset="pku", tag_map={"vvn": "vn", "na": "n"})
    assert tagged(mended)[1:] == ["面试/vn 好/a", "试/vn 寺/n"]
    assert "tag 'vvn' became 'vn' 2 times" in caplog.text
    assert "not in the tag set" not in caplog.text


def test_entities_stay_whole_when_paragraphs_are_parted(tmp_path):
    path = write(tmp_path, "好/a 。/w [雅虎/nz ！/w 公司/n]nt 好/a ！/w 走/v")
    rows = tagged(read_word_pos(path, task="ner", split_sentences=True))
    assert rows == ["好/O 。/O", "雅虎！公司/ORG", "走/O"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("好/a\n\n很 好/a", r"news\.txt, line 3: '很' is not word/tag\. .*tag_delimiter"),
        ("/w", r"line 1: '/w' is not word/tag"),
        ("好/", "'好/' is not word/tag"),
        ("[中国/ns 银行/n", r"line 1: the bracket before '中国' is not closed.*repair: true"),
        ("好/a\n银行/n]nt", r"line 2: '银行/n\]nt' closes a bracket that is not open"),
        ("\n", r"news\.txt holds no word"),
    ],
)
def test_errors_name_the_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_word_pos(write(tmp_path, text))


def test_odd_brackets_are_mended_on_request(tmp_path, caplog):
    path = write(tmp_path, "[中国/ns 银行/n\n银行/n]nt [北京/ns 站/n]ns")
    assert tagged(read_word_pos(path, task="pos", repair=True)) == ["[中国/ns 银行/n", "银行/n 北京/ns 站/n"]
    assert "mended 2 brackets" in caplog.text


def test_january_1998(shared_data, caplog):
    path = shared_data / "peoples_daily_199801" / "199801.txt"
    dataset = read_word_pos(path, encoding="gb18030", task="pos", tagset="pku")
    tags = Counter(tag for row in dataset["tags"] for tag in row)
    assert (len(dataset), tags.total()) == (19_484, 1_121_447)
    assert (tags["n"], tags["nr"], tags["Bg"], tags["vvn"], tags["na"]) == (236_810, 35_267, 8, 1, 1)
    assert sum(map(len, (word for row in dataset["tokens"] for word in row))) == 1_841_657
    assert caplog.text.count("not in the tag set 'pku'") == 2
