"""A cache of words' vectors at inference, where a few words make up most of any text.

Letters in shape comments: N words, C characters of a word, D features, P places.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_PLACE_BITS = 15
# Threads that tag side by side share a model, and with it the cache.
_LOCK = threading.Lock()


class WordCache:
    """Vectors of words seen lately. Every word has one place, of 32,768, and the last one to come takes it.

    A word is found by all of its characters, so that no two are ever mixed up. The weights that vectors were computed
    with are remembered by their version, and others begin the cache anew.
    """

    def __init__(self) -> None:
        self._version: Any = None
        self._words = self._vectors = torch.empty(0)

    def __reduce__(self) -> Any:
        return WordCache, ()  # copies of a model fill their own

    def look_up(self, words: Tensor, codes: Tensor, compute: Callable[[Tensor], Tensor], version: Any) -> Tensor:
        """Give the vectors of distinct words.

        Args:
            words: (N, C) character ids, padded to one width on every call.
            codes: (N,) int64 hash of each word.
            compute: Gives the vectors (N', D) of words (N', C).
            version: What tells other weights from these.

        Returns:
            (N, D), up to rounding what `compute` gives for all of them.
        """
        places = (codes >> (64 - _PLACE_BITS)) & (2**_PLACE_BITS - 1)  # the upper bits of a product mix best
        with _LOCK:
            is_fresh = self._version != version
            if not is_fresh:
                known = (self._words[places] == words).all(dim=1)
                found = self._vectors[places]
        if is_fresh:
            found = compute(words)
            self._store(places, words, found, version)
            return found
        missing = known.logical_not().nonzero().squeeze(1)
        if len(missing):
            found[missing] = computed = compute(words[missing])
            self._store(places[missing], words[missing], computed, version)
        return found

    def _store(self, places: Tensor, words: Tensor, vectors: Tensor, version: Any) -> None:
        with _LOCK:
            if self._version != version:
                with torch.inference_mode(False):  # tables made in inference mode could not be written to outside it
                    self._words = torch.zeros(2**_PLACE_BITS, words.shape[1], dtype=words.dtype)
                    self._vectors = torch.zeros(2**_PLACE_BITS, vectors.shape[1], dtype=vectors.dtype)
                self._version = version
            numbers = torch.arange(len(places))
            owners = torch.empty(2**_PLACE_BITS, dtype=torch.long)
            owners[places] = numbers
            kept = owners[places] == numbers  # of words that share a place, the same one in both tables
            self._words[places[kept]] = words[kept]
            self._vectors[places[kept]] = vectors[kept]
