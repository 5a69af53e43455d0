"""Encoding with tokenizers of several kinds, and decoding."""

import numpy as np
import pytest
from datasets import Dataset
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hf_bilstm import BiLstmTokenizer
from hf_bilstm.data import decode_labels, encode_dataset, label_list

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def ids(labels):
    return {label: number for number, label in enumerate(labels)}


def fast(tokenizer):
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        model_input_names=["input_ids", "attention_mask"],
    )


def word_tokenizer():
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "Nora": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return fast(tokenizer)


def character_tokenizer():
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "北": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return fast(tokenizer)


def piece_tokenizer():
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "No", "##ra", "Os", "##lo", "nap", "##s"]
    tokenizer = Tokenizer(models.WordPiece(ids(vocabulary), unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return fast(tokenizer)


def sentences(*pairs):
    return Dataset.from_dict({"tokens": [p[0].split() for p in pairs], "tags": [p[1].split() for p in pairs]})


def test_one_piece_a_token_keeps_the_tags():
    dataset = sentences(("Nora Lind naps", "B-PER I-PER O"), ("Oslo", "B-LOC"))
    encoded = encode_dataset(dataset, word_tokenizer(), ids(LABELS))
    assert sorted(encoded.column_names) == ["attention_mask", "input_ids", "labels"]
    assert encoded["labels"][:] == [[1, 2, 0], [3]]
    assert encoded["input_ids"][:] == [[2, 1, 1], [1]]
    assert encoded["attention_mask"][:] == [[1, 1, 1], [1]]


def test_further_pieces_continue_the_span_and_special_tokens_are_unobserved():
    dataset = sentences(("Nora Oslo naps", "B-PER I-PER O"), ("Oslo", "B-LOC"))
    encoded = encode_dataset(dataset, piece_tokenizer(), ids(LABELS))
    assert encoded["labels"][:] == [[-100, 1, 2, 2, 2, 0, 0, -100], [-100, 3, 4, -100]]


def test_characters_of_words_continue_their_word():
    dataset = sentences(("北京 在", "B-LOC O"))
    assert encode_dataset(dataset, character_tokenizer(), ids(LABELS))["labels"][:] == [[3, 4, 0]]


@pytest.mark.parametrize(
    ("granularity", "labels"), [("char", [[1, 2, 2, 2, 2, 0], [3, 4]]), ("word", [[1, 2, 0], [3]])]
)
def test_the_package_tokenizer_at_both_granularities(granularity, labels):
    dataset = sentences(("No Ra. 在", "B-PER I-PER O"), ("北京", "B-LOC"))
    tokenizer = BiLstmTokenizer.from_corpus(dataset["tokens"][:], granularity=granularity)
    encoded = encode_dataset(dataset, tokenizer, ids(LABELS))
    assert encoded["labels"][:] == labels
    assert [len(row) for row in encoded["input_ids"]] == [len(row) for row in labels]


def test_further_pieces_are_unobserved_where_no_label_continues_the_span():
    dataset = sentences(("Oslo naps", "B-LOC O"))
    assert encode_dataset(dataset, piece_tokenizer(), ids(["O", "B-LOC"]))["labels"][:] == [
        [-100, 1, -100, 0, 0, -100]
    ]


def test_further_pieces_of_plain_tags_are_unobserved():
    dataset = sentences(("Nora naps", "NN O"))
    assert encode_dataset(dataset, piece_tokenizer(), ids(["NN", "O"]))["labels"][:] == [
        [-100, 0, -100, 1, -100, -100]
    ]


def test_two_tokens_in_a_row_with_one_tag_start_anew():
    dataset = sentences(("Nora Nora", "B-PER B-PER"))
    assert encode_dataset(dataset, piece_tokenizer(), ids(LABELS))["labels"][:] == [[-100, 1, 2, 1, 2, -100]]


def test_nothing_is_cut_even_if_the_tokenizer_was_told_to():
    tokenizer = word_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.model_max_length = 4
    dataset = sentences((" ".join(["Nora"] * 3000), " ".join(["B-PER"] * 3000)))
    assert len(encode_dataset(dataset, tokenizer, ids(LABELS))["labels"][0]) == 3000


def test_an_unknown_tag_is_named_with_its_sentence_the_labels_and_the_remedy():
    dataset = sentences(("Nora", "B-PER"), ("in Oslo", "O B-GPE"))
    with pytest.raises(
        ValueError, match=r"Sentence 1, token 1: tag 'B-GPE' .*'O', 'B-PER'.*Train a model.*map the tag"
    ):
        encode_dataset(dataset, word_tokenizer(), ids(LABELS))


def test_the_sentence_of_an_error_is_counted_over_all_batches():
    dataset = sentences(*[("Nora", "B-PER")] * 1500, ("Nora", "B-GPE"))
    with pytest.raises(ValueError, match="Sentence 1500, token 0"):
        encode_dataset(dataset, word_tokenizer(), ids(LABELS))


def test_a_token_that_the_tokenizer_drops_is_named():
    dataset = Dataset.from_dict({"tokens": [["Nora"], ["Nora", "\u00a0", "naps"]], "tags": [["O"], ["O", "O", "O"]]})
    with pytest.raises(ValueError, match=r"Sentence 1, token 1: the tokenizer makes nothing of '\\xa0'"):
        encode_dataset(dataset, word_tokenizer(), ids(LABELS))


def test_labels_of_spans_are_closed_and_ordered_whatever_the_data():
    first = sentences(("a b c", "B-PER O B-LOC"))
    second = sentences(("a b", "B-PER I-PER"))
    assert label_list([first, second]) == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert label_list([second, first]) == label_list([first, second])
    assert label_list([sentences(("a", "O"))]) == ["O"]


def test_plain_labels_are_sorted():
    assert label_list([sentences(("a b c", "v n O")), sentences(("a", "Ng"))]) == ["Ng", "O", "n", "v"]
    assert label_list([sentences(("a b", "B-X NN"))]) == ["B-X", "NN"]


def test_labels_of_a_selection_are_those_of_its_rows():
    dataset = sentences(("a", "n"), ("b", "v")).select([1])
    assert label_list([dataset]) == ["v"]


def test_decoding_undoes_encoding_and_drops_what_is_unobserved():
    id2label = dict(enumerate(LABELS))
    assert decode_labels([[-100, 1, 2, 0, -100], [], [3]], id2label) == [["B-PER", "I-PER", "O"], [], ["B-LOC"]]
    array = np.array([[1, 2, 0], [3, -100, -100]])
    assert decode_labels(array, id2label) == [["B-PER", "I-PER", "O"], ["B-LOC"]]
    dataset = sentences(("Nora Lind naps", "B-PER I-PER O"))
    encoded = encode_dataset(dataset, word_tokenizer(), ids(LABELS))
    assert decode_labels(encoded["labels"][:], id2label) == dataset["tags"][:]


def test_decoding_an_unknown_number_names_it():
    with pytest.raises(ValueError, match="Label number 7 is not one of id2label"):
        decode_labels([[7]], {0: "O"})
