"""The trie: every place of every word, against a search at every place."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_bilstm.models.trie import ID_LIMIT, Trie, build_trie, find_words

ids = st.one_of(st.integers(0, 2), st.just(ID_LIMIT - 1))
words = st.lists(st.lists(ids, min_size=1, max_size=5).map(tuple), max_size=12, unique=True)
rows = st.lists(st.lists(ids, max_size=9), min_size=1, max_size=4)


@settings(deadline=None, max_examples=300)
@given(words=words, rows=rows, padding=st.integers(0, 2), filler=ids)
def test_every_word_is_found_wherever_it_stands_and_nothing_else(words, rows, padding, filler):
    trie = build_trie(words)
    width = max(map(len, rows)) + padding
    batch = torch.tensor([row + [filler] * (width - len(row)) for row in rows], dtype=torch.long).reshape(
        len(rows), width
    )
    found = find_words(trie, batch, torch.tensor([len(row) for row in rows]))
    numbers = trie.values[found.nodes]
    expected = [
        (row, start, len(word), number)
        for row, text in enumerate(rows)
        for start in range(len(text))
        for number, word in enumerate(words, start=1)
        if tuple(text[start : start + len(word)]) == word
    ]
    assert sorted(zip(*(x.tolist() for x in (*found[:3], numbers)), strict=True)) == sorted(expected)


@given(words=words)
def test_the_order_of_words_changes_only_their_numbers(words):
    forwards, backwards = build_trie(words), build_trie(words[::-1])
    assert torch.equal(forwards.keys, backwards.keys)
    ends = forwards.values > 0
    assert torch.equal(ends, backwards.values > 0)
    assert torch.equal(forwards.values[ends] + backwards.values[ends], torch.full((len(words),), len(words) + 1))


@given(words=words)
def test_keys_rise_and_stay_exact_in_doubles(words):
    keys = build_trie(words).keys
    assert (keys.diff() > 0).all()
    assert (keys < 2**53).all()


def test_tables_not_yet_filled_hold_no_word():
    empty = torch.zeros(5, dtype=torch.long)
    assert find_words(Trie(empty, empty), torch.zeros(2, 6, dtype=torch.long), torch.tensor([6, 6])).rows.numel() == 0
