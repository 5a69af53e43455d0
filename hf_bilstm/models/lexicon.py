"""Features of the words that a lexicon knows at each token (after SoftLexicon, Ma et al. 2020, arXiv:1908.05969).

Letters in shape comments: B rows, T tokens, K nodes of the lexicon's trie, N words found.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .trie import Matches, Trie, find_words

# Frequencies from which a word is in the second class, the third and the fourth.
_CLASS_BOUNDS = (2, 5, 20)
_NUM_CLASSES = len(_CLASS_BOUNDS) + 1


class LexiconFeatures(nn.Module):
    """Vectors that say of each token which words of a lexicon begin, end and go on there, by length and frequency.

    Every word of the training data is in a lexicon learned from that data, so that a tagger would trust it as it can
    trust no lexicon on new text. In training a word therefore counts as many times less as `held_out` says, as if its
    sentence had not been counted, and is overlooked where nothing is left.

    Args:
        num_nodes: Nodes of the lexicon's trie.
        embedding_size: Size of a vector.
        max_length: Length from which words count as equally long, at least 1.
        dropout: Rate at which training overlooks a word that it finds, 0 to 1.

    Attributes:
        keys: (K,) the trie's.
        frequencies: (K,) of the word that ends at each node, 0 where none does.
        held_out: (K,) what training takes off each frequency.
    """

    keys: Tensor
    frequencies: Tensor
    held_out: Tensor

    def __init__(self, num_nodes: int, embedding_size: int, max_length: int, dropout: float) -> None:
        super().__init__()
        for name in ("keys", "frequencies", "held_out"):
            self.register_buffer(name, torch.zeros(num_nodes, dtype=torch.long))
        self.max_length = max_length
        self.dropout = dropout
        self.projection = nn.Linear(3 * max_length * _NUM_CLASSES, embedding_size, bias=False)

    def fill(self, trie: Trie, frequencies: Tensor, held_out: Tensor) -> None:
        """Take in the words.

        Args:
            trie: A trie of W words, of as many nodes as this lexicon was made for.
            frequencies: (W,) of each word, at least 1.
            held_out: (W,) what training takes off each: 1 for a word learned from the training data, 0 for one from
                elsewhere.
        """
        self.keys.copy_(trie.keys)
        for table, of_words in ((self.frequencies, frequencies), (self.held_out, held_out)):
            table.copy_(nn.functional.pad(of_words, (1, 0))[trie.values])

    def forward(self, input_ids: Tensor, lengths: Tensor) -> Tensor:
        """Look the words up.

        Args:
            input_ids: (B, T), right-padded.
            lengths: (B,) real tokens of each row.

        Returns:
            (B, T, `embedding_size`).
        """
        found = find_words(Trie(self.keys, self.frequencies), input_ids, lengths)
        frequencies = self.frequencies[found.nodes]
        if self.training:
            frequencies = frequencies - self.held_out[found.nodes]
            kept = (frequencies > 0) & (torch.rand(frequencies.shape, device=frequencies.device) >= self.dropout)
            found, frequencies = found.select(kept), frequencies[kept]
        indicators = self._indicate(found, frequencies, *input_ids.shape)
        return self.projection(indicators.to(self.projection.weight.dtype))

    def _indicate(self, found: Matches, frequencies: Tensor, num_rows: int, width: int) -> Tensor:
        """Mark words at the tokens where they begin, end and go on: (B, T, 3 * kinds) of 0 and 1."""
        device = frequencies.device
        classes = torch.bucketize(frequencies, torch.tensor(_CLASS_BOUNDS, device=device), right=True)
        kinds = (found.sizes.clamp(max=self.max_length) - 1) * _NUM_CLASSES + classes
        num_kinds = self.max_length * _NUM_CLASSES
        marked = torch.zeros(num_rows * (width + 1), 3 * num_kinds, device=device)
        one = torch.ones(1, device=device)
        firsts = found.rows * (width + 1) + found.starts
        lasts = firsts + found.sizes - 1
        marked.index_put_((firsts, kinds), one, accumulate=True)
        marked.index_put_((lasts, num_kinds + kinds), one, accumulate=True)
        # A longer word goes on from its second token up to the one before its last: one more there, one fewer here.
        longer = found.sizes > 1
        kinds = 2 * num_kinds + kinds[longer]
        marked.index_put_((firsts[longer] + 1, kinds), one, accumulate=True)
        marked.index_put_((lasts[longer], kinds), -one, accumulate=True)
        marked = marked.reshape(num_rows, width + 1, 3 * num_kinds)[:, :width]
        ends, changes = marked.split([2 * num_kinds, num_kinds], dim=2)
        return torch.cat((ends, changes.cumsum(dim=1)), dim=2).clamp(max=1.0)
