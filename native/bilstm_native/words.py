"""Where the words of a list stand in sentences, found from token ids alone.

A checkpoint holds a list of words as a trie, in two tables. Nodes are numbered level by level, the root being 0. Node
n is reached from its parent by a token, and `keys[n - 1]` is `parent * STRIDE + token`; keys rise, so that the child
of a node is found by binary search. The second table says of each node what ends there, 0 where no word does.

Letters in shape comments: N tokens of all sentences, K nodes without the root, W words found.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ID_LIMIT = 2**22  # ids are below it, and it stands for none
STRIDE = ID_LIMIT + 1


class Found(NamedTuple):
    """Words found, overlapping or not, (W,) each: first token among the N, number of tokens, row of the tables."""

    firsts: np.ndarray
    sizes: np.ndarray
    nodes: np.ndarray


def find_words(keys: np.ndarray, values: np.ndarray, ids: np.ndarray, lengths: np.ndarray) -> Found:
    """Find every word in every sentence.

    Args:
        keys: (K,) rising.
        values: (K,) above 0 where a word ends.
        ids: (N,) tokens of the first sentence, then those of the second, ...
        lengths: (B,) tokens of each sentence.

    Returns:
        The words, shorter ones first.
    """
    places = np.arange(len(ids)) + np.repeat(np.arange(len(lengths)), lengths)
    tokens = np.full(len(ids) + len(lengths) + 1, ID_LIMIT)  # every sentence ends in an id that continues no word
    tokens[places] = ids
    firsts = np.arange(len(ids))  # of the words that may still become whole ...
    nodes = np.zeros(len(ids), dtype=np.int64)  # ... and where in the trie their tokens have led
    found = [Found(*(np.zeros(0, dtype=np.int64) for _ in Found._fields))]
    size = 0
    while len(keys) and len(firsts):  # as often as the longest beginning of a word has tokens
        wanted = nodes * STRIDE + tokens[places[firsts] + size]
        children = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        exists = keys[children] == wanted
        firsts, children, size = firsts[exists], children[exists], size + 1
        whole = values[children] > 0
        found.append(Found(firsts[whole], np.full(whole.sum(), size), children[whole]))
        nodes = children + 1
    return Found(*(np.concatenate(column) for column in zip(*found, strict=True)))
