"""Characters of words as ids: what a tokenizer adds to its output for models that look into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .tokenizer_backend import WHITE_SPACE

PADDING_ID, UNKNOWN_ID = 0, 1
NUM_SPECIAL_IDS = 2
# Words that are kept as ids, over all; then the table of them is begun anew.
_MOST_WORDS = 200_000


class CharacterTable(dict[str, bytes]):
    """Ids of the characters of words, in a fixed width; words that were asked for before are looked up.

    Characters are taken as they are written, whatever the tokenizer folds. A word that is too long keeps its head and
    its tail, half of the width each.

    Args:
        characters: The characters that have an id of their own: 2 for the first, and so on. 0 is padding, and 1 any
            other character.
        width: Ids of a word, at least 2; a shorter word is padded on the right.

    Raises:
        ValueError: If the width is too small, or a character occurs twice.
    """

    def __init__(self, characters: str, width: int) -> None:
        super().__init__()
        if isinstance(width, bool) or not isinstance(width, int) or width < 2:
            raise ValueError(f"char_width={width!r}: it takes a whole number from 2 on.")
        if len(set(characters)) != len(characters):
            twice = next(char for char, count in Counter(characters).items() if count > 1)
            raise ValueError(f"characters holds {twice!r} twice: each has one id.")
        self.width = width
        self._ids = {char: index for index, char in enumerate(characters, start=NUM_SPECIAL_IDS)}

    def __reduce__(self) -> Any:
        return CharacterTable, ("".join(self._ids), self.width)  # copies fill their own

    def __missing__(self, word: str) -> bytes:
        if len(self) >= _MOST_WORDS:
            self.clear()
        head = self.width - self.width // 2
        kept = word if len(word) <= self.width else word[:head] + word[len(word) + head - self.width :]
        ids = np.zeros(self.width, dtype=np.int32)
        ids[: len(kept)] = [self._ids.get(char, UNKNOWN_ID) for char in kept]
        row = self[word] = ids.tobytes()
        return row

    def look_up(self, words: Iterable[str]) -> np.ndarray:
        """Give the ids of some words.

        Args:
            words: N words; the empty one is all padding.

        Returns:
            (N, width) int32.
        """
        return np.frombuffer(b"".join(map(self.__getitem__, words)), dtype=np.int32).reshape(-1, self.width)


def frequent_characters(sentences: Iterable[str | Sequence[str]], min_frequency: int) -> str:
    """List the characters of a corpus, white space left out, by frequency, ties by code point.

    Args:
        sentences: Raw texts or lists of tokens.
        min_frequency: Rarer characters are left out, at least 1.

    Returns:
        The characters.
    """
    counts: Counter[str] = Counter()
    for sentence in sentences:
        counts.update("".join(sentence))
    kept = sorted((-n, char) for char, n in counts.items() if n >= min_frequency and char not in WHITE_SPACE)
    return "".join(char for _, char in kept)
