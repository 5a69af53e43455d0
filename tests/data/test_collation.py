"""Batches beside those of transformers' own collator."""

from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DataCollatorForTokenClassification

from hf_bilstm import BiLstmTokenizer
from hf_bilstm.data import encode_dataset, label_list, load_sample, make_collator

WORDS = BiLstmTokenizer.from_corpus(["the cat sat on a mat"], granularity="word", char_width=4)
CHARACTERS = BiLstmTokenizer.from_corpus(["the cat sat on a mat"])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("tokenizer", [WORDS, CHARACTERS], ids=["words", "characters"])
@given(st.lists(st.lists(st.sampled_from(["the", "cat", "dog", "a", "mat"]), max_size=7), min_size=1, max_size=5))
@settings(deadline=None, max_examples=40)
def test_batches_are_those_of_transformers(tokenizer, side, sentences):
    tokenizer.padding_side = side
    rows = []
    for number, tokens in enumerate([*sentences, ["cat"]]):  # transformers' own fails where no row has a token
        encoded = dict(tokenizer(tokens, is_split_into_words=True))
        rows.append({**encoded, "labels": [number + place for place in range(len(encoded["input_ids"]))]})
    expected = DataCollatorForTokenClassification(tokenizer)([dict(row) for row in rows])
    found = pickle.loads(pickle.dumps(make_collator(tokenizer)))(rows)  # as worker processes get it
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values)


def test_rows_without_a_token_make_a_batch():
    empty = {"input_ids": [], "attention_mask": [], "labels": []}
    batch = make_collator(CHARACTERS)([empty, empty])
    assert {name: tuple(values.shape) for name, values in batch.items()} == dict.fromkeys(batch, (2, 0))


def test_rows_of_a_data_set_are_taken_as_they_are():
    data = load_sample("validation")
    labels = {label: number for number, label in enumerate(label_list([data]))}
    encoded = encode_dataset(data, CHARACTERS, labels)
    CHARACTERS.padding_side = "right"
    batch = make_collator(CHARACTERS)([encoded[place] for place in range(8)])
    for place in range(8):
        length = len(data[place]["tokens"])
        assert batch["labels"][place, :length].tolist() == encoded[place]["labels"]
        assert batch["attention_mask"][place].sum() == length
        assert (batch["labels"][place, length:] == -100).all()
