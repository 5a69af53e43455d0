"""The tokenizer: characters, words, foldings, white space, saving, and life inside the stock pipeline."""

import copy
import os
import pickle
import random
import subprocess
import time
import unicodedata
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForTokenClassification,
    DataCollatorForTokenClassification,
    PreTrainedTokenizerFast,
    pipeline,
)
from warm_python import warm_python

import hf_bilstm  # noqa: F401 (registers the Auto classes)
from hf_bilstm.models.tokenization_bilstm import BiLstmTokenizer
from hf_bilstm.models.tokenizer_backend import FOLDS, WHITE_SPACE

CORPUS = ["北京大学在北京。", "他说：“OK，No.1！”", "1998年 abc", "don't panic: [x] #1"]
WORDS = [["New York", "is", "n't", "far", "."], ["don't", "a##b", "##b", "a", "is"]]
SCALARS = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
# Texts around everything that has a meaning to the tokenizer, among arbitrary ones.
LOOKALIKES = ["[PAD]", "[UNK]", "PAD", "##", "北京", "ＡＢ", "İ", "ß", "don't", "１２", "٣", "Σ", "a##b", "##b"]
ODDITIES = ["e\u0301", "👩\u200d👩\u200d👧", "\u200b", "\ufeff", "\x1c", "\x00", "Ａ\u0301"]
SPACES = [" ", "  ", "\r\n", "\t\u3000\n", "\u0085", "\u2028 "]
PIECES = st.sampled_from([*LOOKALIKES, *ODDITIES, *SPACES])
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join)


def char_tokenizer(**options):
    return BiLstmTokenizer.from_corpus(CORPUS, **options)


def word_tokenizer(**options):
    return BiLstmTokenizer.from_corpus([*WORDS, *CORPUS], granularity="word", **options)


TOKENIZERS = {
    "char": char_tokenizer(),
    "char-space": char_tokenizer(white_space="token"),
    "char-space-fold": char_tokenizer(white_space="token", fold=FOLDS),
    "char-fold": char_tokenizer(fold=("width", "lower")),
    "word": word_tokenizer(),
    "word-fold": word_tokenizer(fold=("lower", "digits")),
    "word-punctuation": word_tokenizer(splitting="punctuation"),
}


class TestVocabulary:
    def test_order_is_frequency_then_code_point(self):
        assert BiLstmTokenizer.from_corpus(["bba", "ac d"]).get_vocab() == {
            **{"[PAD]": 0, "[UNK]": 1},
            **{"a": 2, "b": 3, "c": 4, "d": 5},
        }
        with_space = BiLstmTokenizer.from_corpus(["b  b", "a"], white_space="token")
        assert with_space.get_vocab() == {"[PAD]": 0, "[UNK]": 1, " ": 2, "b": 3, "a": 4}
        assert (with_space.pad_token_id, with_space.unk_token_id, with_space.white_space_token_id) == (0, 1, 2)

    @pytest.mark.parametrize("options", [{"white_space": "token", "fold": FOLDS}, {"granularity": "word"}])
    def test_order_of_the_corpus_does_not_matter(self, options):
        corpus = [*WORDS, *CORPUS] * 2
        vocab = BiLstmTokenizer.from_corpus(corpus, **options).get_vocab()
        for seed in range(5):
            random.Random(seed).shuffle(corpus)
            assert BiLstmTokenizer.from_corpus(iter(corpus), **options).get_vocab() == vocab

    def test_texts_and_their_characters_count_alike(self):
        assert BiLstmTokenizer.from_corpus(map(list, CORPUS)).get_vocab() == char_tokenizer().get_vocab()

    def test_limits(self):
        assert len(BiLstmTokenizer.from_corpus(["aab"], min_frequency=2)) == 3
        assert BiLstmTokenizer.from_corpus(["aabbc"], max_vocab_size=4).get_vocab().keys() >= {"a", "b"}
        assert len(BiLstmTokenizer.from_corpus(["aabbc"], max_vocab_size=4)) == 4
        extra = BiLstmTokenizer.from_corpus(["aab"], min_frequency=2, extra_tokens="BZ", fold=["lower"])
        assert extra.get_vocab() == {"[PAD]": 0, "[UNK]": 1, "a": 2, "b": 3, "z": 4}

    def test_folding_comes_before_counting(self):
        vocab = BiLstmTokenizer.from_corpus(["aＡA９٣b"], fold=FOLDS).get_vocab()
        assert vocab == {"[PAD]": 0, "[UNK]": 1, "a": 2, "0": 3, "b": 4}
        words = BiLstmTokenizer.from_corpus([["Ab", "aB", "c"]], granularity="word", fold=("lower",))
        assert words.get_vocab() == {"[PAD]": 0, "[UNK]": 1, "ab": 2, "c": 3}

    @pytest.mark.parametrize(
        ("sentences", "options", "named"),
        [
            ([], {}, "sentences"),
            ([" \n", ""], {}, "sentences"),
            ("北京", {}, "sentences"),
            ([["a"], 3], {}, r"sentences\[1\]"),
            ([["a"], ["b", 3]], {}, r"sentences\[1\]"),
            ([["a"], ["b", " "]], {"granularity": "word"}, r"sentences\[1\]\[1\]"),
            (["a"], {"granularity": "bpe"}, "granularity='bpe'.*'char', 'word'"),
            (["a"], {"granularity": None}, "granularity=None"),
            (["a"], {"white_space": "keep"}, "white_space='keep'.*'drop', 'token'"),
            (["a"], {"granularity": "word", "white_space": "token"}, "white_space.*granularity"),
            (["a"], {"splitting": "treebank"}, "splitting='treebank'.*granularity"),
            (["a"], {"granularity": "word", "splitting": "spaces"}, "splitting='spaces'.*'treebank', 'punctuation'"),
            (["a"], {"char_width": 8}, "granularity='word'"),
            (["a"], {"granularity": "word", "char_width": 1}, "char_width=1"),
            (["a"], {"fold": "lower"}, "fold='lower'.*'lower', 'width', 'digits'"),
            (["a"], {"fold": ("nfkc",)}, "fold.*nfkc"),
            (["a"], {"min_frequency": 0}, "min_frequency=0"),
            (["a"], {"min_frequency": 2}, "min_frequency=2"),
            (["a"], {"max_vocab_size": 2}, "max_vocab_size=2"),
            (["a"], {"max_vocab_size": 2.5}, "max_vocab_size=2.5"),
            (["a"], {"pad_token": "a"}, "'a' could stand in a text"),
            (["a"], {"granularity": "word", "pad_token": "PAD"}, "'PAD' could stand in a text"),
        ],
    )
    def test_wrong_values_are_named(self, sentences, options, named):
        with pytest.raises(ValueError, match=named):
            BiLstmTokenizer.from_corpus(sentences, **options)

    def test_from_a_vocabulary(self):
        tokenizer = BiLstmTokenizer(vocab={"<p>": 0, "<u>": 1, "北": 2}, pad_token="<p>", unk_token="<u>")
        assert tokenizer("北<p>").input_ids == [2, 1, 1, 1]
        assert (tokenizer.granularity, tokenizer.fold, tokenizer.white_space) == ("char", (), "drop")
        assert tokenizer.white_space_token is None
        assert tokenizer.white_space_token_id is None
        assert BiLstmTokenizer(tokenizer_object=char_tokenizer(fold=FOLDS).backend_tokenizer).fold == FOLDS

    @pytest.mark.parametrize(
        ("vocab", "named"),
        [
            ({"[PAD]": 0, "[UNK]": 1, "a": 3}, "ids 0 to 2"),
            ({"[PAD]": 1, "[UNK]": 0}, r"\[PAD\]"),
            ({"[PAD]": 0, "[UNK]": 1, "ab": 2}, "'ab'"),
            (None, "from_corpus"),
        ],
    )
    def test_wrong_vocabularies_are_refused(self, vocab, named):
        with pytest.raises(ValueError, match=named):
            BiLstmTokenizer(vocab=vocab)

    def test_training_names_the_call_to_write(self):
        with pytest.raises(NotImplementedError, match=r"from_corpus\(texts, granularity='char'"):
            TOKENIZERS["char"].train_new_from_iterator([["a"]], 10)


class TestCharacters:
    @settings(deadline=None)
    @given(TEXTS)
    def test_one_token_a_character_and_none_for_white_space(self, text):
        tokenizer = TOKENIZERS["char"]
        encoded = tokenizer(text, return_offsets_mapping=True)
        kept = [i for i, char in enumerate(text) if char not in WHITE_SPACE]
        assert encoded["offset_mapping"] == [(i, i + 1) for i in kept]
        assert encoded["input_ids"] == [tokenizer.get_vocab().get(text[i], 1) for i in kept]
        assert encoded["attention_mask"] == [1] * len(kept)
        assert list(encoded) == ["input_ids", "attention_mask", "offset_mapping"]

    @settings(deadline=None)
    @given(TEXTS)
    def test_one_token_a_run_of_white_space(self, text):
        tokenizer = TOKENIZERS["char-space"]
        encoded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
        start, spans = 0, []
        while start < len(text):
            end = start + 1
            while text[start] in WHITE_SPACE and text[end : end + 1] in set(WHITE_SPACE):
                end += 1
            spans.append((start, end))
            start = end
        ids = [2 if text[a] in WHITE_SPACE else tokenizer.get_vocab().get(text[a], 1) for a, _ in spans]
        assert encoded["offset_mapping"] == spans
        assert encoded["input_ids"] == ids
        assert sum(encoded["special_tokens_mask"]) == 0
        assert tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)) == ids

    @pytest.mark.parametrize("fold", [(), *((name,) for name in FOLDS), FOLDS])
    def test_every_scalar_is_one_token_whatever_is_folded(self, fold):
        tokenizer = BiLstmTokenizer.from_corpus(["a"], fold=fold)
        for first in range(0, len(SCALARS), 1 << 16):
            text = SCALARS[first : first + (1 << 16)]
            expected = [(i, i + 1) for i, char in enumerate(text) if char not in WHITE_SPACE]
            assert tokenizer.backend_tokenizer.encode(text).offsets == expected

    def test_foldings_meet_their_targets(self):
        ascii_text = "".join(map(chr, range(0x21, 0x7F)))
        wide = "".join(chr(ord(char) + 0xFEE0) for char in ascii_text)
        width, lower, digits = (
            BiLstmTokenizer.from_corpus([SCALARS[: 1 << 16]], fold=(name,)) for name in ("width", "lower", "digits")
        )
        assert width(wide).input_ids == width(ascii_text).input_ids
        decimals = "".join(char for char in SCALARS if unicodedata.decimal(char, None) is not None)
        assert len(decimals) > 600
        assert set(digits(decimals).input_ids) == {digits.convert_tokens_to_ids("0")}
        assert digits("²½Ⅳ").tokens() == ["²", "½", "Ⅳ"]
        # Characters of the basic plane only: those are in the vocabulary. Versions of Unicode differ above.
        cased = "".join(char for char in SCALARS[: 1 << 15] if char.isupper() and len(char.lower()) == 1)
        assert len(cased) > 900
        assert lower(cased).tokens() == list(cased.lower().replace("ς", "σ"))
        assert lower("İI").tokens() == ["i", "i"]
        assert lower("ß\u0307").tokens() == ["ß", "\u0307"]

    def test_given_words_are_split_into_characters(self):
        for tokenizer in (TOKENIZERS["char"], TOKENIZERS["char-space"]):
            encoded = tokenizer([["北京", "[PAD]"], ["a b"]], is_split_into_words=True, return_offsets_mapping=True)
            assert encoded.word_ids(0) == [0, 0, 1, 1, 1, 1, 1]
            assert encoded["offset_mapping"][0][:3] == [(0, 1), (1, 2), (0, 1)]
            assert 0 not in encoded["input_ids"][0]
            assert len(encoded["input_ids"][1]) == (3 if tokenizer.white_space == "token" else 2)

    def test_decoding(self):
        tokenizer = TOKENIZERS["char-space"]
        assert tokenizer.convert_tokens_to_string(["北", "京"]) == "北京"
        assert tokenizer.decode(tokenizer("北京 \n 大学").input_ids) == "北京 大学"
        assert tokenizer.decode([0, 0, *tokenizer("北京").input_ids], skip_special_tokens=True) == "北京"

    def test_long_text_is_whole_and_fast(self):
        for name in ("char", "char-space-fold"):
            start = time.perf_counter()
            encoded = TOKENIZERS[name]("北京大学。" * 40_000, truncation=True, return_tensors="pt")
            assert encoded["input_ids"].shape == (1, 200_000)
            assert time.perf_counter() - start < 10


class TestWords:
    @pytest.mark.parametrize(("name", "dont"), [("word", ["do", "n't"]), ("word-punctuation", ["don", "'", "t"])])
    def test_raw_text(self, name, dont):
        tokenizer = TOKENIZERS[name]
        encoded = tokenizer("I  don't…[x]\n「北京」$1", return_offsets_mapping=True)
        text = ["I", *dont, "…", "[", "x", "]", "「", "北京", "」", "$", "1"]
        assert ["I  don't…[x]\n「北京」$1"[a:b] for a, b in encoded["offset_mapping"]] == text
        assert encoded["input_ids"] == [tokenizer.get_vocab().get(word, 1) for word in text]

    def test_words_are_never_cut(self):
        # With both "a" and "##b" in the vocabulary a word piece model would read "a##b" out of an unknown "ab".
        assert TOKENIZERS["word"]("ab aab").input_ids == [1, 1]

    @settings(deadline=None)
    @given(st.lists(st.lists(PIECES | st.text(max_size=9), max_size=6), min_size=1, max_size=3), st.booleans())
    def test_one_token_a_given_word(self, batch, fold):
        tokenizer = TOKENIZERS["word-fold" if fold else "word"]
        normalizer = tokenizer.backend_tokenizer.normalizer
        batch = [[word for word in words if word.strip(WHITE_SPACE)] for words in batch]
        encoded = tokenizer(batch, is_split_into_words=True, return_offsets_mapping=True)
        vocab = {**tokenizer.get_vocab(), "[PAD]": 1}
        for i, words in enumerate(batch):
            folded = [normalizer.normalize_str(word) if fold else word for word in words]
            assert encoded["input_ids"][i] == [vocab.get(word, 1) for word in folded]
            assert encoded["offset_mapping"][i] == [(0, len(word)) for word in words]
            assert encoded.word_ids(i) == list(range(len(words)))

    def test_given_words_that_look_special(self):
        tokenizer = BiLstmTokenizer.from_corpus([["[PAD]", "[UNK]", "[PAD]", "a"]], granularity="word")
        assert tokenizer.get_vocab() == {"[PAD]": 0, "[UNK]": 1, "a": 2}
        assert tokenizer(["a", "[PAD]", "[UNK]"], is_split_into_words=True).input_ids == [2, 1, 1]
        assert tokenizer("a [PAD]").input_ids == [2, 1, 1, 1]
        padded = tokenizer([["[PAD]", "a"], ["a"]], is_split_into_words=True, padding=True)
        assert padded["input_ids"] == [[1, 2], [2, 0]]
        assert padded["attention_mask"] == [[1, 1], [1, 0]]

    @pytest.mark.parametrize(
        ("words", "named"),
        [(["a", ""], r"text\[1\] is ''"), ([["a"], ["b", "\u3000 "]], r"text\[1\]\[1\] is '\\u3000 '")],
    )
    def test_blank_given_words_are_refused(self, words, named):
        with pytest.raises(ValueError, match=named):
            TOKENIZERS["word"](words, is_split_into_words=True)

    def test_added_words(self):
        tokenizer = word_tokenizer()
        assert tokenizer(["Kyoto"], is_split_into_words=True).input_ids == [1]
        tokenizer.add_tokens(["Kyoto"])
        new_id = len(tokenizer) - 1
        assert tokenizer(["Kyoto"], is_split_into_words=True).input_ids == [new_id]
        assert tokenizer("in Kyoto").input_ids[-1] == new_id

    def test_decoding(self):
        assert TOKENIZERS["word"].convert_tokens_to_string(["New York", "is"]) == "New York is"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("tokenizers")
    for name, tokenizer in TOKENIZERS.items():
        tokenizer.save_pretrained(root / name)
    return root


@pytest.fixture(scope="module")
def generic(folders):
    """What reads a saved folder without the class: transformers, and the library below it."""
    return {
        name: (
            PreTrainedTokenizerFast.from_pretrained(folders / name),
            Tokenizer.from_file(str(folders / name / "tokenizer.json")),
        )
        for name in TOKENIZERS
    }


class TestSaving:
    @pytest.mark.parametrize("name", TOKENIZERS)
    def test_round_trip(self, name, folders):
        tokenizer = TOKENIZERS[name]
        for other in (
            BiLstmTokenizer.from_pretrained(folders / name),
            AutoTokenizer.from_pretrained(folders / name),
            BiLstmTokenizer(tokenizer_file=str(folders / name / "tokenizer.json")),
            pickle.loads(pickle.dumps(tokenizer)),
            copy.deepcopy(tokenizer),
        ):
            assert isinstance(other, BiLstmTokenizer)
            assert other.get_vocab() == tokenizer.get_vocab()
            for attribute in ("granularity", "fold", "white_space", "white_space_token", "white_space_token_id"):
                assert getattr(other, attribute) == getattr(tokenizer, attribute)
            text = "Ａ北京 [PAD]  No.٣ don't"
            assert other(text, return_offsets_mapping=True) == tokenizer(text, return_offsets_mapping=True)
            words = ["[PAD]", "don't", "New York"]
            assert other(words, is_split_into_words=True) == tokenizer(words, is_split_into_words=True)

    def test_saving_again_gives_the_same_file(self, folders, tmp_path):
        BiLstmTokenizer.from_pretrained(folders / "char-space-fold").save_pretrained(tmp_path)
        saved = (folders / "char-space-fold" / "tokenizer.json").read_bytes()
        assert (tmp_path / "tokenizer.json").read_bytes() == saved

    def test_what_was_added_is_saved(self, tmp_path):
        tokenizer = char_tokenizer(padding_side="left", model_max_length=7)
        tokenizer.add_special_tokens({"mask_token": "[MASK]"})
        tokenizer.save_pretrained(tmp_path)
        loaded = BiLstmTokenizer.from_pretrained(tmp_path)
        assert (loaded.padding_side, loaded.model_max_length) == ("left", 7)
        assert loaded.mask_token_id == len(char_tokenizer()) == len(loaded) - 1
        assert loaded.mask_token_id not in loaded("[MASK]").input_ids

    def test_options_that_disagree_with_the_file_are_refused(self, folders):
        with pytest.raises(ValueError, match=r"fold=\('lower',\).*\('lower', 'width', 'digits'\)"):
            BiLstmTokenizer.from_pretrained(folders / "char-space-fold", fold=("lower",))
        with pytest.raises(ValueError, match="granularity='word'"):
            AutoTokenizer.from_pretrained(folders / "char", granularity="word")

    @settings(deadline=None)
    @given(st.sampled_from(sorted(TOKENIZERS)), TEXTS)
    def test_raw_text_needs_no_class(self, generic, name, text):
        encoded = TOKENIZERS[name](text, return_offsets_mapping=True)
        backend, bare = generic[name]
        assert not isinstance(backend, BiLstmTokenizer)
        assert dict(backend(text, return_offsets_mapping=True)) == dict(encoded)
        assert (bare.encode(text).ids, bare.encode(text).offsets) == (encoded["input_ids"], encoded["offset_mapping"])

    def test_remote_code(self, folders, tmp_path):
        script = (
            "import sys\n"
            "sys.modules['hf_bilstm'] = None\n"
            "from transformers import AutoTokenizer\n"
            "t = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=True)\n"
            "assert type(t).__module__.startswith('transformers_modules'), type(t)\n"
            "t.save_pretrained(sys.argv[2])\n"
            "t = AutoTokenizer.from_pretrained(sys.argv[2], trust_remote_code=True)\n"
            "assert t([], return_tensors='pt')['input_ids'].shape == (0, 0)\n"
            "sys.stdout.write(repr(t(['New York', '[PAD]', 'is'], is_split_into_words=True)['input_ids']))\n"
        )
        run = subprocess.run(
            [warm_python(), "-c", script, str(folders / "word"), str(tmp_path / "again")],
            env={**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        expected = TOKENIZERS["word"](["New York", "[PAD]", "is"], is_split_into_words=True)["input_ids"]
        assert run.stdout == repr(expected)


class TestBatches:
    @pytest.mark.parametrize("tensors", ["pt", "np"])
    @pytest.mark.parametrize(("text", "size"), [("", 1), (" \n", 1), (["", " "], 2), ([], 0)])
    def test_no_token_at_all(self, tensors, text, size):
        for name in ("char", "word"):
            encoded = TOKENIZERS[name](
                text,
                return_tensors=tensors,
                return_offsets_mapping=True,
                return_special_tokens_mask=True,
                padding=True,
                truncation=True,
            )
            shapes = {key: tuple(value.shape) for key, value in encoded.items()}
            assert shapes.pop("offset_mapping") == (size, 0, 2)
            assert set(shapes.values()) == {(size, 0)}
            assert {value.dtype for value in encoded.values()} == {torch.int64 if tensors == "pt" else np.dtype("i8")}

    def test_no_texts_as_lists(self):
        assert dict(TOKENIZERS["char"]([])) == {"input_ids": [], "attention_mask": []}
        empty_words = TOKENIZERS["word"]([[], ["is"]], is_split_into_words=True, padding=True, return_tensors="pt")
        assert empty_words["attention_mask"].tolist() == [[0], [1]]
        assert dict(TOKENIZERS["word"]([], is_split_into_words=True)) == {"input_ids": [], "attention_mask": []}

    @pytest.mark.parametrize("side", ["right", "left"])
    def test_padding(self, side):
        tokenizer = char_tokenizer(padding_side=side)
        encoded = tokenizer(["北京", "", "京"], padding=True, return_tensors="pt", return_offsets_mapping=True)
        assert encoded["attention_mask"].sum(1).tolist() == [2, 0, 1]
        assert encoded["attention_mask"][2].tolist() == ([1, 0] if side == "right" else [0, 1])
        assert encoded["input_ids"].ne(0).equal(encoded["attention_mask"].bool())

    def test_collator(self):
        collator = DataCollatorForTokenClassification(TOKENIZERS["char"])
        rows = [{**TOKENIZERS["char"](text), "labels": [0] * len(text)} for text in ("", "北京", "京")]
        assert collator(rows)["labels"].tolist() == [[-100, -100], [0, 0], [0, -100]]
        assert collator(rows[:1])["input_ids"].dtype == torch.int64

    def test_no_maximum_length_unless_asked_for(self, caplog):
        assert len(TOKENIZERS["char"]("北" * 5000, truncation=True)["input_ids"]) == 5000
        assert not caplog.records

    @pytest.mark.parametrize("options", [{}, {"stride": 2}, {"padding": True}, {"return_tensors": "pt"}])
    def test_truncation_is_counted_and_logged_once(self, options, caplog):
        for _ in range(2):
            caplog.clear()
            encoded = TOKENIZERS["char"](["北" * 9, "京" * 4, "大" * 6], max_length=4, truncation=True, **options)
            assert list(map(len, encoded["input_ids"])) == [4, 4, 4]
            (record,) = caplog.records
            assert record.levelname == "WARNING"
            assert "max_length=4 cut 7 tokens from 2 of 3 texts" in record.getMessage()
        caplog.clear()
        TOKENIZERS["char"](["北" * 4], max_length=4, truncation=True)
        TOKENIZERS["char"](["北" * 9], max_length=4, truncation=True, return_overflowing_tokens=True)
        assert not caplog.records

    def test_truncation_of_given_words(self, caplog):
        tokenizer = word_tokenizer(model_max_length=2, truncation_side="left")
        encoded = tokenizer([["is", "far", "."]], truncation=True, is_split_into_words=True)
        assert encoded["input_ids"] == [tokenizer.convert_tokens_to_ids(["far", "."])]
        assert "cut 1 tokens from 1 of 1 texts" in caplog.text


class TestPipeline:
    @pytest.fixture(scope="class")
    def tagger(self):
        """Give a stock model that tags by the character alone: `make(tokenizer, tags)`, `O` where none is given."""

        def make(tokenizer, tags):
            labels = ["O", "B-LOC", "I-LOC"]
            config = BertConfig(
                vocab_size=len(tokenizer), hidden_size=4, num_hidden_layers=0, num_attention_heads=1,
                id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)},
            )  # fmt: skip
            model = BertForTokenClassification(config).eval()
            with torch.no_grad():
                for parameter in model.bert.embeddings.parameters():
                    parameter.zero_()
                model.bert.embeddings.LayerNorm.weight.fill_(1)
                model.bert.embeddings.word_embeddings.weight[:, 0] = 1
                for token, tag in tags.items():
                    weight = model.bert.embeddings.word_embeddings.weight[tokenizer.convert_tokens_to_ids(token)]
                    weight.zero_()
                    weight[labels.index(tag)] = 1
                model.classifier.weight.copy_(torch.eye(3, 4))
                model.classifier.bias.zero_()
            return pipeline("token-classification", model=model, tokenizer=tokenizer, device="cpu")

        return make

    @pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
    def test_characters(self, tagger, strategy):
        tokenizer = BiLstmTokenizer.from_corpus(["北京大学 在"], white_space="token")
        tag = tagger(tokenizer, {"北": "B-LOC", "京": "I-LOC"})
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            found = tag("在北京 大学北京在", aggregation_strategy=strategy)
        assert [(entity["word"], entity["start"], entity["end"]) for entity in found] == [
            ("北京", 1, 3),
            ("北京", 6, 8),
        ]

    def test_words_and_punctuation(self, tagger):
        tokenizer = BiLstmTokenizer.from_corpus(["in New York ."], granularity="word")
        tag = tagger(tokenizer, {"New": "B-LOC", "York": "I-LOC"})
        for strategy in ("simple", "average"):
            (entity,) = tag("(in New York.)", aggregation_strategy=strategy)
            assert (entity["word"], entity["start"], entity["end"]) == ("New York", 4, 12)
        (entity,) = tag(["in", "New", "York", "."], is_split_into_words=True, aggregation_strategy="simple")[0]
        assert (entity["start"], entity["end"]) == (3, 11)

    @pytest.mark.parametrize("place", [0, 1, 2])
    @pytest.mark.parametrize("empty", ["", " \n"])
    def test_empty_text_in_a_batch(self, tagger, place, empty):
        tag = tagger(TOKENIZERS["char"], {"北": "B-LOC", "京": "I-LOC"})
        texts = ["北京大学", "在北"]
        texts.insert(place, empty)
        found = [[entity["word"] for entity in row] for row in tag(texts, batch_size=3)]
        expected = [["北", "京"], ["北"]]
        expected.insert(place, [])
        assert found == expected

    def test_stride_reads_a_long_text_in_pieces(self, tagger, caplog):
        tokenizer = BiLstmTokenizer.from_corpus(["北京大学"], model_max_length=8)
        tag = tagger(tokenizer, {"北": "B-LOC", "京": "I-LOC"})
        found = tag("大学北京" * 10, aggregation_strategy="simple", stride=3)
        assert [entity["start"] for entity in found] == list(range(2, 40, 4))
        assert "cut" not in caplog.text
