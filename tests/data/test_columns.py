"""CoNLL-style files, good and bad, and the real ones where they are at hand."""

import logging
from pathlib import Path

import pytest

from hf_bilstm.data import read_columns

FILES = Path(__file__).parent / "files"
CORPORA = Path(__file__).parents[3] / "shared" / "data"


def words(dataset):
    return [" ".join(tokens) for tokens in dataset["tokens"]]


def tags(dataset):
    return [" ".join(tags) for tags in dataset["tags"]]


def write(tmp_path, content, encoding="utf-8"):
    path = tmp_path / "file.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def test_bmes_comes_out_in_iob2():
    dataset = read_columns(FILES / "ner_bmes.txt")
    assert words(dataset) == ["林 小 雨 任 青 禾 经 理", "汉 族"]
    assert tags(dataset) == ["B-NAME I-NAME I-NAME O B-ORG I-ORG B-TITLE I-TITLE", "B-RACE O"]
    assert dataset.column_names == ["tokens", "tags"]


def test_tabs_keep_blanks_and_odd_white_space_inside_tokens_and_a_lone_tab_parts_sentences():
    dataset = read_columns(FILES / "ner_iob2_tabs.txt", separator="\t")
    assert dataset["tokens"][:] == [
        ["#", "1", "Nora", "Lind"],
        ["#lakeview", "in", "Vermeer"],
        ["New York", "\u00a0", "a\u2028b"],
    ]
    assert tags(dataset)[0] == "O O B-person I-person"


def test_iob1_with_four_columns_and_document_starts():
    dataset = read_columns(FILES / "ner_iob1_conll2003.txt")
    assert words(dataset) == ["Nora visits Oslo Bergen .", "Halden"]
    assert tags(dataset) == ["B-PER O B-LOC B-LOC O", "B-LOC"]
    chunks = read_columns(FILES / "ner_iob1_conll2003.txt", tag_column=2)
    assert tags(chunks) == ["B-NP B-VP B-NP B-NP O", "B-NP"]
    parts = read_columns(FILES / "ner_iob1_conll2003.txt", tag_column=-3)
    assert tags(parts) == ["NNP VBZ NNP NNP .", "NNP"]
    turned = read_columns(FILES / "ner_iob1_conll2003.txt", token_column=1, tag_column=0, file_scheme="none")
    assert words(turned)[0] == "NNP VBZ NNP NNP ."


def test_comments_are_dropped_and_number_signs_that_are_tokens_are_not():
    dataset = read_columns(FILES / "ner_bioes_comments.txt")
    assert words(dataset) == ["Nora Lind naps", "# #1 Oslo"]
    assert tags(dataset) == ["B-PER I-PER O", "O O B-LOC"]


def test_bilou_comes_out_in_iob2():
    assert tags(read_columns(FILES / "ner_bilou.txt")) == ["B-PER I-PER O", "B-LOC"]


def test_bare_segmentation_tags_become_words():
    dataset = read_columns(FILES / "segmentation_bmes.txt")
    assert tags(dataset) == ["B-WORD I-WORD B-WORD B-WORD I-WORD", "B-WORD B-WORD I-WORD I-WORD"]


def test_plain_tags_stay_as_they_are():
    assert tags(read_columns(FILES / "pos_plain.txt")) == ["t v n w", "r p n"]


def test_scheme_none_takes_any_tag_as_it_is():
    dataset = read_columns(FILES / "bad_illegal.txt", file_scheme="none")
    assert tags(dataset) == ["B-PER I-PER", "O I-LOC O"]


@pytest.mark.parametrize(
    "content",
    [
        "a B-X\nb I-X\n\nc O\n",
        "a B-X\nb I-X\n\nc O",
        "a B-X\r\nb I-X\r\n\r\nc O\r\n",
        "\ufeffa B-X\nb I-X\n\nc O\n",
        "\n\n \na \t B-X \nb  I-X\t\n \t \n\n\u3000\nc O\n\n\n",
        "# id = 1\na B-X\nb I-X\n# a remark of more columns\n-DOCSTART-\nc O\n",
    ],
    ids=["plain", "no last newline", "CRLF", "byte order mark", "blanks", "comments"],
)
def test_one_text_in_many_dresses(tmp_path, content):
    dataset = read_columns(write(tmp_path, content))
    assert dataset["tokens"][:] == [["a", "b"], ["c"]]
    assert dataset["tags"][:] == [["B-X", "I-X"], ["O"]]


@pytest.mark.parametrize("encoding", ["gb18030", "GBK", "utf-16", "utf-8-sig", "big5"])
def test_stated_encodings(tmp_path, encoding):
    path = write(tmp_path, "北 B-LOC\n京 I-LOC\n", encoding)
    assert read_columns(path, encoding=encoding)["tokens"][:] == [["北", "京"]]


@pytest.mark.parametrize("odd", ["\u00a0", "\u3000", "\u2028", "\x85", "\x0b", "\x0c", "\x1c", "\u200b", "\ufeff"])
def test_only_line_feeds_end_lines_and_only_blanks_and_tabs_part_columns(tmp_path, odd):
    path = write(tmp_path, f"a O\n{odd} O\nb{odd}c B-X\n")
    assert read_columns(path)["tokens"][:] == [["a", odd, f"b{odd}c"]]


@pytest.mark.parametrize("separator", ["\t", " ", "|", " ||| "])
def test_explicit_separators(tmp_path, separator):
    path = write(tmp_path, f"a{separator}B-X\nb{separator}O\n")
    assert read_columns(path, separator=separator)["tags"][:] == [["B-X", "O"]]


def test_illegal_tags_are_refused_with_line_tag_neighbours_scheme_and_remedy():
    with pytest.raises(ValueError) as error:
        read_columns(FILES / "bad_illegal.txt")
    for part in ("bad_illegal.txt, line 5:", "'I-LOC'", "between 'O' and 'O'", "'iob2'", "'B-LOC'", "repair: true"):
        assert part in str(error.value)
    assert "--repair true" in str(error.value)


def test_repair_mends_and_logs_how_many(caplog):
    with caplog.at_level(logging.WARNING):
        dataset = read_columns(FILES / "ner_bmes_cut.txt", repair=True)
    assert tags(dataset) == ["O O B-ORG I-ORG", "B-ORG I-ORG O O"]
    assert "ner_bmes_cut.txt: mended 2 illegal tags (scheme 'bmes')" in caplog.text
    caplog.clear()
    read_columns(FILES / "ner_bmes.txt", repair=True)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("file", "options", "parts"),
    [
        ("bad_ragged.txt", {}, ["line 5: 3 columns", "line 1 has 2", "separator="]),
        ("ner_iob2_tabs.txt", {}, ["line 10: 3 columns", "'York'", "separator='\\t'"]),
        ("bad_mistyped.txt", {}, ["line 3:", "'0'", "'none'"]),
        ("bad_two_schemes.txt", {}, ["line 6:", "I, M", "file_scheme"]),
        (
            "bad_two_schemes.txt",
            {"file_scheme": "bmes"},
            ["line 6:", "'I-PER' is not of scheme 'bmes'", "file_scheme"],
        ),
        ("bad_no_sentence.txt", {}, ["holds no sentence"]),
        ("empty.txt", {}, ["holds no sentence"]),
        (
            "pos_plain.txt",
            {"tag_column": 2},
            ["line 1: no column 2", "['今天', 't']", "tag_column a number from 0 to 1"],
        ),
        ("pos_plain.txt", {"token_column": -3}, ["no column -3", "token_column"]),
        ("pos_plain.txt", {"tag_column": 0}, ["token and tag are both column 0"]),
        ("pos_plain.txt", {"separator": "\t"}, ["both column 0 of 1", "['今天 t']", "separator"]),
        ("pos_plain.txt", {"encoding": "utf-9"}, ["unknown encoding 'utf-9'", "gb18030"]),
        ("pos_plain.txt", {"encoding": "hex"}, ["unknown encoding 'hex'"]),
        ("pos_plain.txt", {"encoding": "ascii"}, ["line 1: byte 0 of the file, 0xe4, is not valid ascii"]),
    ],
)
def test_errors_name_file_line_and_remedy(file, options, parts):
    with pytest.raises(ValueError) as error:
        read_columns(FILES / file, **options)
    for part in (file, *parts):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file_scheme": "iobes"}, "'iobes'; choose one of 'auto', 'none', 'iob1', 'iob2', 'bioes', 'bmes', 'bilou'"),
        ({"separator": ""}, "separator='' parts nothing"),
    ],
)
def test_errors_name_what_an_option_takes(options, message):
    with pytest.raises(ValueError, match=message):
        read_columns(FILES / "ner_bmes.txt", **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tO\n\tO\n", r"line 2: the token is empty or blank \(''\)"),
        ("a\tO\n  \tO\n", r"line 2: the token is empty or blank \('  '\)"),
        ("a\tO\nb\t\n", r"line 2: token 'b' has no tag"),
        ("a\tO\nb\tO\t\n", r"line 2: 3 columns"),
        ("a\tO\nb\n", r"line 2: 1 columns \['b'\]"),
        ("a\tB-\n", r"line 1: tag 'B-'"),
    ],
)
def test_missing_tokens_and_tags_are_errors(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_columns(write(tmp_path, content), separator="\t")


def test_bytes_in_another_encoding_are_named_by_line_and_number(tmp_path):
    path = write(tmp_path, b"a O\n\n" + "北 O\n".encode("gbk"))
    with pytest.raises(
        ValueError, match=r"file\.txt, line 3: byte 5 of the file, 0xb1, is not valid utf-8.*encoding="
    ):
        read_columns(path)
    path = write(tmp_path, "北 O\n", "utf-16")
    with pytest.raises(ValueError, match="encoding='utf-16'"):
        read_columns(path)


def test_a_missing_file_error_lists_the_folder(tmp_path):
    write(tmp_path, "a O\n")
    with pytest.raises(FileNotFoundError, match=r"train\.txt.* holds file\.txt"):
        read_columns(tmp_path / "train.txt")
    with pytest.raises(FileNotFoundError, match=r"is a folder; .* holds file\.txt"):
        read_columns(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist"):
        read_columns(tmp_path / "nowhere" / "train.txt")


@pytest.mark.skipif(not (CORPORA / "resume_ner").is_dir(), reason="the Resume NER corpus is not at hand")
def test_the_resume_corpus(caplog):
    counts = {}
    with caplog.at_level(logging.WARNING):
        for split in ("train", "dev", "test"):
            dataset = read_columns(CORPORA / "resume_ner" / f"{split}.char.bmes", repair=split == "train")
            starts = sum(tag.startswith("B-") for tags in dataset["tags"] for tag in tags)
            counts[split] = (len(dataset), sum(map(len, dataset["tokens"])), starts)
    # Two spans are cut by an empty line, so there are two more than the published 13,438.
    assert counts == {"train": (3821, 124099, 13440), "dev": (463, 13890, 1497), "test": (477, 15100, 1630)}
    assert "mended 4 illegal tags" in caplog.text
    with pytest.raises(ValueError, match=r"train\.char\.bmes, line 62390: tag 'M-ORG'"):
        read_columns(CORPORA / "resume_ner" / "train.char.bmes")


@pytest.mark.skipif(not (CORPORA / "wnut17").is_dir(), reason="the WNUT-17 corpus is not at hand")
def test_the_wnut17_corpus():
    for file, expected in (("wnut17train.conll", (3394, 62730, 1975)), ("emerging.dev.conll", (1009, 15733, 836))):
        dataset = read_columns(CORPORA / "wnut17" / file)
        starts = sum(tag.startswith("B-") for tags in dataset["tags"] for tag in tags)
        assert (len(dataset), sum(map(len, dataset["tokens"])), starts) == expected
