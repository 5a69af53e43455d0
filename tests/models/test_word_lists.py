"""Word lists: every form of a line, and words as tokens like those of raw text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from hf_bilstm import BiLstmTokenizer
from hf_bilstm.models.word_lists import read_word_list, split_words


def write(folder, text):
    path = folder / "words.txt"
    path.write_bytes(text.encode())
    return path


def test_every_form_of_a_line(tmp_path):
    lines = [
        "北京",
        "上海 3",
        "广州 2.5 LOC",
        "深圳 LOC",
        "",
        "  ",
        "New York\t\t",
        "San Jose\t4\tLOC",
        "C++ -1\r",
        "a  b",
    ]
    entries = read_word_list(write(tmp_path, "\ufeff" + "\n".join(lines)))
    assert [tuple(entry) for entry in entries] == [
        (1, "北京", None, None),
        (2, "上海", 3.0, None),
        (3, "广州", 2.5, "LOC"),
        (4, "深圳", None, "LOC"),
        (7, "New York", None, None),
        (8, "San Jose", 4.0, "LOC"),
        (9, "C++", -1.0, None),
        (10, "a", None, "b"),
    ]


@pytest.mark.parametrize("line", ["New York City", "上海 3 LOC x", "\t3", "上海 nan", "上海 3 4 5", "x\tinf"])
def test_a_wrong_line_is_named(tmp_path, line):
    path = write(tmp_path, f"北京\n\n{line}\n")
    with pytest.raises(ValueError, match=r"words.txt, line 3: .* is not `word \[number\] \[tag\]`.*by tabs"):
        list(read_word_list(path))


def test_a_file_that_is_not_utf8(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("北京\n上海".encode("gb18030"))
    with pytest.raises(ValueError, match=r"words.txt is not UTF-8 at byte 0; convert the file"):
        list(read_word_list(path))


characters = st.sampled_from("京北aAＡ!！３3 \t\u3000İ😀龘")


@settings(deadline=None, max_examples=200)
@given(
    word=st.text(characters, min_size=1, max_size=6),
    options=st.sampled_from(
        [
            {},
            {"white_space": "token"},
            {"fold": ("lower", "width", "digits"), "white_space": "token"},
            {"fold": ("lower", "width", "digits")},
            {"granularity": "word", "fold": ("lower", "width", "digits")},
        ]
    ),
)
def test_words_are_split_as_raw_text_is(word, options):
    tokenizer = BiLstmTokenizer.from_corpus(["北京 aAＡ!！３3İ😀"], **options)
    vocab = tokenizer.get_vocab()
    for reader in (tokenizer, PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)):
        (tokens,) = split_words([word], reader)
        assert [vocab.get(token, tokenizer.unk_token_id) for token in tokens] == tokenizer(word)["input_ids"]
