"""Lexicon features against a plain count, in training and out of it; character types."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_bilstm.models.character_types import CHARACTER_TYPES, character_type, token_types
from hf_bilstm.models.lexicon import LexiconFeatures
from hf_bilstm.models.trie import build_trie

CLASSES = 4
MAX_LENGTH = 3


def make_lexicon(words, dropout=0.0):
    """A lexicon of `{word: (frequency, held_out)}` whose vectors are its indicators themselves."""
    trie = build_trie(list(words))
    size = 3 * MAX_LENGTH * CLASSES
    lexicon = LexiconFeatures(len(trie.keys), size, MAX_LENGTH, dropout)
    lexicon.fill(trie, *torch.tensor([*words.values()], dtype=torch.long).reshape(-1, 2).T)
    with torch.no_grad():
        lexicon.projection.weight.copy_(torch.eye(size))
    return lexicon


def reference(words, text, training):
    """Indicators of one text: kind by kind, begins, ends, goes on."""
    indicators = torch.zeros(len(text), 3, MAX_LENGTH, CLASSES)
    for start in range(len(text)):
        for word, (frequency, held_out) in words.items():
            if tuple(text[start : start + len(word)]) != word:
                continue
            count = frequency - held_out if training else frequency
            if count < 1:
                continue
            kind = min(len(word), MAX_LENGTH) - 1, sum(count >= bound for bound in (2, 5, 20))
            indicators[(start, 0, *kind)] = 1
            indicators[(start + len(word) - 1, 1, *kind)] = 1
            for place in range(start + 1, start + len(word) - 1):
                indicators[(place, 2, *kind)] = 1
    return indicators.reshape(len(text), 3 * MAX_LENGTH * CLASSES)


ids = st.integers(0, 2)
lexicons = st.dictionaries(
    st.lists(ids, min_size=1, max_size=5).map(tuple),
    st.tuples(st.sampled_from([1, 2, 3, 4, 5, 6, 20, 21, 100]), st.integers(0, 1)),
    max_size=8,
)


@settings(deadline=None, max_examples=200)
@given(words=lexicons, rows=st.lists(st.lists(ids, max_size=8), min_size=1, max_size=3), training=st.booleans())
def test_indicators_equal_a_plain_count(words, rows, training):
    width = max(map(len, rows)) + 1
    batch = torch.tensor([row + [0] * (width - len(row)) for row in rows], dtype=torch.long)
    found = make_lexicon(words).train(training)(batch, torch.tensor([len(row) for row in rows]))
    for vectors, row in zip(found, rows, strict=True):
        assert torch.equal(vectors[: len(row)], reference(words, row, training))


def test_dropout_overlooks_words_in_training_only():
    lexicon = make_lexicon({(1, 2): (9, 0)}, dropout=0.25)
    batch, lengths = torch.tensor([[1, 2]]).repeat(4000, 1), torch.full((4000,), 2)
    begins, ends = lexicon.train()(batch, lengths).detach().sum(dim=2).T
    assert torch.equal(begins, ends)  # a word is overlooked whole
    assert float(begins.mean()) == pytest.approx(0.75, abs=0.03)
    assert (lexicon.eval()(batch, lengths).sum(dim=2) == 1).all()


@pytest.mark.parametrize(
    ("characters", "kind"),
    [
        (" \t\u3000\u2028", "white space"),
        ("09４٣", "digit"),
        ("，。!「～$+＝", "punctuation"),
        ("aZéÄＡ", "latin"),
        ("京龘〇\U00020000", "han"),
        ("のアｱー", "kana"),
        ("한ㄱ", "hangul"),
        ("яא\u0301\U0001f600"[:3], "other"),
        ("½①", "other"),
    ],
)
def test_character_types(characters, kind):
    assert {character_type(character) for character in characters} == {kind}


def test_tokens_have_the_type_that_their_characters_share():
    vocab = {"[PAD]": 0, "[UNK]": 1, "京": 2, "北京": 3, "a1": 4, "12": 5}
    names = [CHARACTER_TYPES[place] for place in token_types(vocab, 7)]
    assert names == ["other", "other", "han", "han", "other", "digit", "other"]
