"""The vectors of tokens: a learned table, and beside it what else a checkpoint looks up from token ids.

Letters in shape comments: N tokens of all sentences, B sentences, D size of a vector, W words found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .words import find_words

# Universal hashing of a pair of ids (Carter and Wegman 1979): ((x * A + y * B) mod P) mod buckets, P prime.
_HASH_A = 739_982_445
_HASH_B = 421_019_953
_HASH_PRIME = 1_073_741_789
# Frequencies from which a word is in the second class, the third and the fourth.
_CLASS_BOUNDS = (2, 5, 20)
_NUM_CLASSES = len(_CLASS_BOUNDS) + 1


@dataclass(frozen=True)
class TokenEmbeddings:
    """A vector for each token id; (V, D)."""

    table: np.ndarray

    def forward(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Look up (N,) ids of sentences of (B,) lengths: (N, D)."""
        return self.table[ids]


@dataclass(frozen=True)
class BigramEmbeddings:
    """A vector for each token and its successor, which share one with other pairs of the same hash.

    Args:
        table: (buckets, D).
        boundary_id: Id that stands for the successor of a sentence's last token.
    """

    table: np.ndarray
    boundary_id: int

    def forward(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Look up (N,) ids of sentences of (B,) lengths: (N, D)."""
        following = np.append(ids[1:], self.boundary_id)[: len(ids)]
        following[lengths.cumsum()[lengths > 0] - 1] = self.boundary_id
        return self.table[(ids * _HASH_A + following * _HASH_B) % _HASH_PRIME % len(self.table)]


@dataclass(frozen=True)
class CharacterTypeEmbeddings:
    """A vector for each type of character (Han, digit, Latin, ...).

    Args:
        types: (V,) type of each token id.
        table: (types, D).
    """

    types: np.ndarray
    table: np.ndarray

    def forward(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Look up (N,) ids of sentences of (B,) lengths: (N, D)."""
        return self.table[self.types[ids]]


@dataclass(frozen=True)
class LexiconEmbeddings:
    """A vector of the lexicon words that begin, end and go on at a token (after Ma et al. 2020, arXiv:1908.05969).

    A word is of one of M * 4 kinds, by its length (M and more are one) and its frequency.

    Args:
        keys: Of the trie of the words.
        frequencies: Of the word that ends at each of its nodes, 0 where none does.
        projection: (D, 3 * kinds), what each kind of word that begins, ends or goes on adds to the vector.
        max_length: M.
    """

    keys: np.ndarray
    frequencies: np.ndarray
    projection: np.ndarray
    max_length: int

    def forward(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Look up (N,) ids of sentences of (B,) lengths: (N, D)."""
        firsts, sizes, nodes = find_words(self.keys, self.frequencies, ids, lengths)
        classes = np.digitize(self.frequencies[nodes], _CLASS_BOUNDS)
        kinds = (np.minimum(sizes, self.max_length) - 1) * _NUM_CLASSES + classes
        lasts = firsts + sizes - 1
        begins, ends, changes = np.zeros((3, len(ids), self.max_length * _NUM_CLASSES), dtype=self.projection.dtype)
        begins[firsts, kinds] = 1
        ends[lasts, kinds] = 1
        # A word goes on from its second token up to the one before its last: one more there, one fewer here.
        longer = sizes > 1
        np.add.at(changes, (firsts[longer] + 1, kinds[longer]), 1)
        np.add.at(changes, (lasts[longer], kinds[longer]), -1)
        goes_on = np.minimum(changes.cumsum(axis=0), 1)
        return np.concatenate((begins, ends, goes_on), axis=1) @ self.projection.T
