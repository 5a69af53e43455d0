"""Types of characters: what writing system, or what else, a token is of."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from .tokenizer_backend import WHITE_SPACE

# A token's type is its place here; tokens of several types, and those of the tokenizer's own, are of the first.
CHARACTER_TYPES = ("other", "white space", "digit", "punctuation", "latin", "han", "kana", "hangul")
_NAMES = {
    "LATIN": "latin",
    "CJK": "han",
    "IDEOGRAPHIC": "han",
    "HIRAGANA": "kana",
    "KATAKANA": "kana",
    "HALFWIDTH KATAKANA": "kana",
    "HANGUL": "hangul",
    "FULLWIDTH LATIN": "latin",
}


def character_type(character: str) -> str:
    """Name the type of a character, one of `CHARACTER_TYPES`."""
    category = unicodedata.category(character)
    if character in WHITE_SPACE:
        return "white space"
    if category == "Nd":
        return "digit"
    if category[0] in "PS":
        return "punctuation"
    name = unicodedata.name(character, "")
    return next((kind for start, kind in _NAMES.items() if name.startswith(start)), "other")


def token_types(vocab: Mapping[str, int], vocab_size: int) -> list[int]:
    """Give each token id the type that its characters share.

    Args:
        vocab: Ids of the tokens.
        vocab_size: Number of ids, at least as many as the vocabulary has.

    Returns:
        `vocab_size` places in `CHARACTER_TYPES`.
    """
    types = [0] * vocab_size
    for token, token_id in vocab.items():
        shared = {character_type(character) for character in token}
        types[token_id] = CHARACTER_TYPES.index(shared.pop()) if len(shared) == 1 else 0
    return types
