"""Vectors of words from their characters, by convolution or by two recurrent cells that read the word.

Letters in shape comments: N words, C characters of the longest, E size of a character's vector, F features, D size of
a word's vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .recurrence import BiRecurrent

_UNKNOWN_ID, _FIRST_ID = 1, 2  # 0 is padding


@dataclass(frozen=True)
class CharacterCnn:
    """Windows over a word's characters, each through a linear layer, and the maximum over the word.

    dos Santos and Zadrozny (2014); Ma and Hovy (2016), arXiv:1603.01354.

    Args:
        projections: Weight (F, size * E) and bias (F,) of each kind of windows.
    """

    projections: list[tuple[np.ndarray, np.ndarray]]

    def forward(self, embedded: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Encode words.

        Args:
            embedded: (N, C, E), 0 at padding.
            lengths: (N,) characters of each word.

        Returns:
            (N, D).
        """
        num_characters, size_of_one = embedded.shape[1:]
        padding = np.arange(num_characters) >= lengths[:, None]  # (N, C)
        maxima = []
        for weight, bias in self.projections:
            size = weight.shape[1] // size_of_one
            before = (size - 1) // 2
            padded = np.pad(embedded, ((0, 0), (before, size - 1 - before), (0, 0)))
            windows = np.concatenate([padded[:, shift : shift + num_characters] for shift in range(size)], axis=2)
            features = windows @ weight.T + bias  # (N, C, F)
            features[padding] = -np.inf
            maxima.append(features.max(axis=1))
        return np.maximum(np.concatenate(maxima, axis=1), 0)


@dataclass(frozen=True)
class CharacterBiLstm:
    """What each direction of a BiLSTM over a word's characters says at its end (Lample et al. 2016, arXiv:1603.01360).

    Args:
        layer: The layer.
    """

    layer: BiRecurrent

    def forward(self, embedded: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Encode words (N, C, E) of (N,) characters: (N, D)."""
        order = np.argsort(-lengths, kind="stable")
        falling = lengths[order]
        forward, backward = self.layer.directions(embedded[order].swapaxes(0, 1), falling)  # (C, N, H) each
        ends = np.concatenate((forward[falling - 1, np.arange(len(order))], backward[0]), axis=1)
        vectors = np.empty_like(ends)
        vectors[order] = ends
        return vectors


class CharacterFeatures:
    """Vectors of words, computed once for each distinct word.

    Args:
        characters: The characters that have an id, in the order of their ids from 2 on; 1 is any other.
        width: Characters of a word that are looked at; a longer word keeps its head and its tail.
        table: (characters, E).
        encoder: Makes a word's vector of its characters' vectors.
    """

    def __init__(
        self, characters: str, width: int, table: np.ndarray, encoder: CharacterCnn | CharacterBiLstm
    ) -> None:
        self.ids = {character: number for number, character in enumerate(characters, start=_FIRST_ID)}
        self.width, self.table, self.encoder = width, table, encoder

    def forward(self, words: Sequence[str]) -> np.ndarray:
        """Encode the N words of a batch: (N, D)."""
        places: dict[str, int] = {}
        index = [places.setdefault(word, len(places)) for word in words]
        ids = [[self.ids.get(character, _UNKNOWN_ID) for character in self._cut(word)] for word in places]
        lengths = np.array([max(1, len(word)) for word in ids], dtype=np.int64)
        padded = np.zeros((len(ids), lengths.max(initial=1)), dtype=np.int64)
        for row, word in zip(padded, ids, strict=True):
            row[: len(word)] = word
        return self.encoder.forward(self.table[padded], lengths)[index]

    def _cut(self, word: str) -> str:
        tail = self.width // 2
        return word if len(word) <= self.width else word[: self.width - tail] + word[len(word) - tail :]
