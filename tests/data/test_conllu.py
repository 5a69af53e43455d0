from __future__ import annotations

import pytest

from hf_bilstm.data import read_conllu
from hf_bilstm.models.tagging_schemes import spans_to_words, tags_to_spans

FRENCH = """\
# newdoc id = a
# sent_id = a-1
# text = Il parle du chat, don't.
1	Il	il	PRON	P	_	2	nsubj	_	_
2	parle	parler	VERB	V	_	0	root	_	_
3-4	du	_	_	_	_	_	_	_	_
3	de	de	ADP	A	_	5	case	_	_
4	le	le	DET	D	_	5	det	_	_
5	chat	chat	NOUN	N	_	2	obl	_	SpaceAfter=No
6	,	,	PUNCT	Z	_	7	punct	_	_
7-8	don't	_	_	_	_	_	_	_	SpaceAfter=No
7	do	do	AUX	M	_	2	x	_	_
8	n't	not	PART	R	_	7	x	_	_
8.1	chat	chat	NOUN	N	_	_	_	2:x	_
9	.	.	PUNCT	Z	_	2	punct	_	_

# sent_id = b-2
# text = 10 000 ok
1	10 000	10000	NUM	M	_	0	root	_	_
2	ok	ok	INTJ	I	_	1	x	_	SpacesAfter=\\n

"""
CHINESE = "1\t我們\t_\tPRON\tPRP\t_\t2\tx\t_\t_\n2\t去\t_\tVERB\tVV\t_\t0\troot\t_\t_\n"


def write(tmp_path, text):
    path = tmp_path / "tree.conllu"
    path.write_bytes(text.encode())
    return path


def pieces(dataset, row):
    """Words of a sentence, with their labels."""
    spans = tags_to_spans(dataset["tags"][row], "iob2")
    return list(zip(spans_to_words(spans, dataset["tokens"][row]), [span.label for span in spans], strict=True))


def test_syntactic_words_have_plain_tags(tmp_path):
    dataset = read_conllu(write(tmp_path, FRENCH))
    assert dataset["tokens"][0] == ["Il", "parle", "de", "le", "chat", ",", "do", "n't", "."]
    assert dataset["tags"][0] == ["PRON", "VERB", "ADP", "DET", "NOUN", "PUNCT", "AUX", "PART", "PUNCT"]
    assert dataset[1] == {"tokens": ["10 000", "ok"], "tags": ["NUM", "INTJ"]}
    assert read_conllu(write(tmp_path, FRENCH), tag_column="xpos")["tags"][0][:3] == ["P", "V", "A"]


def test_characters_are_those_of_the_text(tmp_path, caplog):
    path = write(tmp_path, FRENCH)
    dataset = read_conllu(path, task="segmentation_pos", white_space="token")
    assert ["".join(tokens) for tokens in dataset["tokens"]] == ["Il parle du chat, don't.", "10 000 ok"]
    assert {tag for t, tag in zip(dataset["tokens"][0], dataset["tags"][0], strict=True) if t == " "} == {"O"}
    assert pieces(dataset, 0)[2:] == [
        ("du", "ADP+DET"),
        ("chat", "NOUN"),
        (",", "PUNCT"),
        ("do", "AUX"),
        ("n't", "PART"),
        (".", "PUNCT"),
    ]
    # White space is a boundary, in a word too.
    assert pieces(dataset, 1) == [("10", "NUM"), ("000", "NUM"), ("ok", "INTJ")]
    assert "parted 1 words at the white space in them" in caplog.text
    dropped = read_conllu(path, task="segmentation")
    assert "".join(dropped["tokens"][0]) == "Ilparleduchat,don't."
    assert pieces(dropped, 0)[:3] == [("Il", "WORD"), ("parle", "WORD"), ("du", "WORD")]


def test_a_file_that_never_says_so_has_no_spaces(tmp_path):
    dataset = read_conllu(write(tmp_path, CHINESE), task="segmentation_pos", white_space="token")
    assert dataset[0] == {"tokens": ["我", "們", "去"], "tags": ["B-PRON", "I-PRON", "B-VERB"]}


@pytest.mark.parametrize(
    "text", [CHINESE, CHINESE.replace("\n", "\r\n"), "\ufeff" + CHINESE, "\n\n" + CHINESE + "\n \n"]
)
def test_line_ends_and_blank_lines(tmp_path, text):
    assert read_conllu(write(tmp_path, text))[:]["tokens"] == [["我們", "去"]]


def test_sentences_are_selected_by_their_ids(tmp_path):
    assert len(read_conllu(write(tmp_path, FRENCH), select="^b")) == 1
    with pytest.raises(ValueError, match=r"holds no sentence whose sent_id has '\^c'"):
        read_conllu(write(tmp_path, FRENCH), select="^c")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (CHINESE.replace("\tVERB", "\t_"), {}, r"tree\.conllu, line 2: the word '去' has no tag in column UPOS.*xpos"),
        (CHINESE.replace("\tVERB", ""), {}, r"line 2: 9 columns .*where CoNLL-U has 10 parted by tabs"),
        (CHINESE.replace("2\t去", "two\t去"), {}, r"sentence in lines 1 to 2: .*'two' is not a valid ID"),
        ("我們 O\n", {}, r"line 1: 1 columns .*data_format 'columns'"),
        ("# only = this\n", {}, "holds no sentence"),
        (CHINESE, {"tag_column": "feats"}, "tag_column 'feats': CoNLL-U has"),
        (CHINESE, {"task": "ner"}, "task 'ner' needs entities"),
        (
            "1-3\tab\t_\t_\t_\t_\t_\t_\t_\t_\n1\ta\ta\tX\tX\t_\t_\t_\t_\t_\n",
            {"task": "segmentation"},
            "ends before word 3",
        ),
    ],
)
def test_errors_name_the_line(tmp_path, text, options, message):
    with pytest.raises(ValueError, match=message):
        read_conllu(write(tmp_path, text), **options)


def test_untagged_words_are_no_hindrance_to_segmentation(tmp_path):
    dataset = read_conllu(write(tmp_path, CHINESE.replace("\tVERB", "\t_")), task="segmentation")
    assert pieces(dataset, 0) == [("我們", "WORD"), ("去", "WORD")]


@pytest.mark.parametrize(
    ("file", "sentences", "words"),
    [("ud_chinese_v1/zh-ud-dev.conllu", 500, 12_663), ("ud_english_ewt/en_ewt-ud-dev.conllu", 2_001, None)],
)
def test_treebanks(shared_data, file, sentences, words):
    import conllu

    path = shared_data / file
    parsed = conllu.parse(path.read_text(encoding="utf-8"))
    expected = [[token["form"] for token in s if isinstance(token["id"], int)] for s in parsed]
    dataset = read_conllu(path)
    assert dataset["tokens"][:] == expected
    assert len(dataset) == sentences
    assert words in (None, sum(map(len, expected)))
    if "text" in parsed[0].metadata:
        characters = read_conllu(path, task="segmentation", white_space="token")
        for sentence, tokens in zip(parsed, characters["tokens"], strict=True):
            assert "".join(tokens) == " ".join(sentence.metadata["text"].split())
