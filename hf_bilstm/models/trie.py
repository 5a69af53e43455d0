"""A trie over token ids: where the words of a list stand in a batch, found in a few tensor operations.

A trie is two tables, which is all that a checkpoint holds of it. Nodes are numbered level by level, the root being 0.
Node n is reached from its parent by a token, and `keys[n - 1]` is `parent * STRIDE + token`. As children are numbered
in the order of their parents and tokens, the keys rise, and the child of a node is found by binary search.

Letters in shape comments: B rows, T tokens, W words, K nodes without the root, N places where a word stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

# Ids are below it, and it stands for none. With fewer than 2^30 nodes every key is below 2^53, exact in the doubles of
# other languages.
ID_LIMIT = 2**22
STRIDE = ID_LIMIT + 1


class Trie(NamedTuple):
    """A trie's tables.

    Args:
        keys: (K,) int64, rising.
        values: (K,) int64: above 0 where a word ends.
    """

    keys: Tensor
    values: Tensor


class Matches(NamedTuple):
    """Where words stand, overlapping or not; (N,) int64 each.

    Args:
        rows: Row of the batch.
        starts: First token.
        sizes: Number of tokens.
        nodes: Place of the word's end in the trie's tables.
    """

    rows: Tensor
    starts: Tensor
    sizes: Tensor
    nodes: Tensor

    def select(self, wanted: Tensor) -> Matches:
        """Keep some of them.

        Args:
            wanted: (N,) bool.
        """
        return Matches(self.rows[wanted], self.starts[wanted], self.sizes[wanted], self.nodes[wanted])


def build_trie(words: Sequence[tuple[int, ...]]) -> Trie:
    """Lay words out as a trie.

    Args:
        words: W distinct words of at least one id each, from 0 to `ID_LIMIT` - 1.

    Returns:
        The trie, in which the values are the words' numbers, from 1 on in the order given.
    """
    sizes = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    ids = np.fromiter(chain.from_iterable(words), dtype=np.int64, count=sizes.sum())
    firsts = np.cumsum(sizes) - sizes
    nodes = np.zeros(len(words), dtype=np.int64)  # of each word, as far as it has been laid
    num_nodes = 0
    keys, values = [nodes[:0]], [nodes[:0]]
    for level in range(sizes.max(initial=0)):
        longer = np.flatnonzero(sizes > level)
        new, places = np.unique(nodes[longer] * STRIDE + ids[firsts[longer] + level], return_inverse=True)
        nodes[longer] = num_nodes + 1 + places
        num_nodes += len(new)
        ends_here = sizes[longer] == level + 1
        numbers = np.zeros(len(new), dtype=np.int64)
        numbers[places[ends_here]] = longer[ends_here] + 1
        keys.append(new)
        values.append(numbers)
    return Trie(torch.from_numpy(np.concatenate(keys)), torch.from_numpy(np.concatenate(values)))


def find_words(trie: Trie, input_ids: Tensor, lengths: Tensor) -> Matches:
    """Find every word of a trie in every row.

    Args:
        trie: The words.
        input_ids: (B, T), right-padded.
        lengths: (B,) real tokens of each row.

    Returns:
        The places, by size, then row, then start.
    """
    num_nodes, (_, width) = trie.keys.shape[0], input_ids.shape
    positions = torch.arange(width, device=input_ids.device)
    ids = nn.functional.pad(input_ids.masked_fill(positions >= lengths[:, None], ID_LIMIT), (0, 1), value=ID_LIMIT)
    ids = ids.flatten()  # every row ends in an id that continues no word
    starts = torch.arange(len(ids), device=ids.device)
    nodes = torch.zeros_like(starts)
    found = [(starts[:0], starts[:0], starts[:0])]
    size = 0
    while num_nodes and starts.numel():  # as often as the longest beginning of a word has tokens
        wanted = nodes * STRIDE + ids[starts + size]
        places = torch.searchsorted(trie.keys, wanted).clamp_(max=num_nodes - 1)
        exists = (trie.keys[places] == wanted).nonzero().squeeze(1)
        starts, places, size = starts[exists], places[exists], size + 1
        ends = trie.values[places].nonzero().squeeze(1)
        found.append((starts[ends], torch.full_like(ends, size), places[ends]))
        nodes = places + 1
    starts, sizes, places = (torch.cat(column) for column in zip(*found, strict=True))
    return Matches(starts // (width + 1), starts % (width + 1), sizes, places)
