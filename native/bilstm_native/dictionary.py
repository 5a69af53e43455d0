"""A user dictionary that was saved in a model: words that count beside the model's own scores, or are forced.

A word of weight w adds w to the score of every path that has exactly this word as a span. Emissions are scores of
single tokens' states, and no sum of such is w for a span of several tokens and 0 for all others. Nearest comes this:
w/2 at each end that a span shares with the word, -w/2 at each end of the word that it does not share.

Letters in shape comments: N tokens of all sentences, S states, K nodes of the trie, P profiles, Y types of spans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .crf import FORBIDDEN
from .states import States
from .words import Found, find_words


@dataclass(frozen=True)
class Dictionary:
    """The words of a dictionary and how they count.

    Args:
        states: The tagger's.
        keys: (K,) of the trie of the words.
        profiles: (K,) number of the profile of the word that ends at each node, from 1 on; 0 where none does.
        weights: (P, Y) what a word adds to a span of each type, in the order of the states; 0 where it is none.
        forced: (P,) bool, whether paths without the word are forbidden.
    """

    states: States
    keys: np.ndarray
    profiles: np.ndarray
    weights: np.ndarray
    forced: np.ndarray

    def apply(self, emissions: np.ndarray, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Let the words count.

        Args:
            emissions: (N, S).
            ids: (N,).
            lengths: (B,) tokens of each sentence.

        Returns:
            (N, S), a copy.
        """
        found = find_words(self.keys, self.profiles, ids, lengths)
        emissions = emissions.copy()
        profiles = self.profiles[found.nodes] - 1
        forced = self.forced[profiles] & self.weights[profiles].any(axis=1)
        hidden = _lie_inside_others(found, (self.weights[profiles] > 0).any(axis=1))
        for word in np.flatnonzero(~forced & ~hidden).tolist():
            self._add(emissions[found.firsts[word] :][: found.sizes[word]], self.weights[profiles[word]])
        for word in _without_overlaps(found, np.flatnonzero(forced).tolist()):
            self._force(emissions[found.firsts[word] :][: found.sizes[word]], self.weights[profiles[word]])
        return emissions

    def _by_state(self, of_types: np.ndarray, prefix: str) -> np.ndarray:
        """Bring (Y,) values of types to the (S,) states of one place in a span; 0 elsewhere."""
        pairs = list(zip(self.states.prefixes, self.states.types, strict=True))
        types = list(dict.fromkeys(kind for own, kind in pairs if own))
        return np.array([of_types[types.index(kind)] if own == prefix else 0 for own, kind in pairs])

    def _add(self, emissions: np.ndarray, weights: np.ndarray) -> None:
        """Add a word's weights to the scores of its tokens, in place."""
        if len(emissions) == 1:
            emissions += self._by_state(weights, "S")
            return
        first, inside, last = (self._by_state(weights / 2, prefix) for prefix in "BIE")
        emissions[0] += first - inside
        emissions[-1] += last - inside
        emissions[1:-1] -= first + last

    def _force(self, emissions: np.ndarray, weights: np.ndarray) -> None:
        """Leave only a word's own states at its tokens, in place."""
        prefixes = ["S"] if len(emissions) == 1 else ["B", *"I" * (len(emissions) - 2), "E"]
        legal = np.array([self._by_state(weights, prefix) != 0 for prefix in prefixes])
        allowed = np.where(emissions > FORBIDDEN / 2, emissions, 0)  # white space inside a word counts as any token
        emissions[:] = np.where(legal, allowed, FORBIDDEN)


def _lie_inside_others(found: Found, hides: np.ndarray) -> np.ndarray:
    """Tell which words lie inside a longer one that hides others, (W,) bool: they do not count."""
    hidden = np.zeros(len(found.firsts), dtype=bool)
    reached = 0  # by the words that start no later
    for word in np.lexsort((-found.sizes, found.firsts)):
        end = found.firsts[word] + found.sizes[word]
        hidden[word] = reached >= end
        reached = max(reached, end if hides[word] else 0)
    return hidden


def _without_overlaps(found: Found, words: list[int]) -> list[int]:
    """Choose words that do not overlap, the longest first, then the leftmost."""
    chosen: list[int] = []
    taken: set[int] = set()
    for word in sorted(words, key=lambda word: (-found.sizes[word], found.firsts[word])):
        tokens = range(found.firsts[word], found.firsts[word] + found.sizes[word])
        if taken.isdisjoint(tokens):
            chosen.append(word)
            taken.update(tokens)
    return chosen
