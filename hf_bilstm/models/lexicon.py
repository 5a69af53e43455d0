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
# Words of so many tokens, and longer ones, have vectors of their own for the labels that they can have.
_LABELLED_LENGTHS = 3


class LexiconFeatures(nn.Module):
    """Vectors that say of each token which words of a lexicon begin, end and go on there, by length and frequency.

    Every word of the training data is in a lexicon learned from that data, so that a tagger would trust it as it can
    trust no lexicon on new text. In training a word therefore counts as many times less as `held_out` says, as if its
    sentence had not been counted, and is overlooked where nothing is left.

    Words can also be told apart by the labels that they are known to have. These are classes of ambiguity (Cutting et
    al. 1992, "A Practical Part-of-Speech Tagger"): a set of labels is a vector.

    Args:
        num_nodes: Nodes of the lexicon's trie.
        embedding_size: Size of a vector.
        max_length: Length from which words count as equally long, at least 1.
        dropout: Rate at which training overlooks a word that it finds, 0 to 1.
        num_label_sets: Sets of labels, 0 where words are not told apart by labels.

    Attributes:
        keys: (K,) the trie's.
        frequencies: (K,) of the word that ends at each node, 0 where none does.
        held_out: (K,) what training takes off each frequency.
        label_sets: (K,) set of the labels of the word that ends at each node, from 1 on, 0 where none does or the
            labels are not known. There if `num_label_sets`, as the next is.
        held_out_label_sets: (K,) the same as training sees it.
    """

    keys: Tensor
    frequencies: Tensor
    held_out: Tensor
    label_sets: Tensor
    held_out_label_sets: Tensor

    def __init__(
        self, num_nodes: int, embedding_size: int, max_length: int, dropout: float, num_label_sets: int = 0
    ) -> None:
        super().__init__()
        tables = ["keys", "frequencies", "held_out"]
        self.label_embeddings: nn.Embedding | None = None
        if num_label_sets:
            tables += ["label_sets", "held_out_label_sets"]
            self.label_embeddings = nn.Embedding(2 * _LABELLED_LENGTHS * num_label_sets, embedding_size)
        for name in tables:
            self.register_buffer(name, torch.zeros(num_nodes, dtype=torch.long))
        self.max_length = max_length
        self.dropout = dropout
        self.projection = nn.Linear(3 * max_length * _NUM_CLASSES, embedding_size, bias=False)

    def fill(
        self,
        trie: Trie,
        frequencies: Tensor,
        held_out: Tensor,
        label_sets: Tensor | None = None,
        held_out_label_sets: Tensor | None = None,
    ) -> None:
        """Take in the words.

        Args:
            trie: A trie of W words, of as many nodes as this lexicon was made for.
            frequencies: (W,) of each word, at least 1.
            held_out: (W,) what training takes off each: 1 for a word learned from the training data, 0 for one from
                elsewhere.
            label_sets: (W,) set of each word's labels, from 1 on, 0 where they are not known. Needed, as the next is,
                where words are told apart by labels, and not looked at elsewhere.
            held_out_label_sets: (W,) the set that training sees.
        """
        tables = [(self.frequencies, frequencies), (self.held_out, held_out)]
        if self.label_embeddings is not None and label_sets is not None and held_out_label_sets is not None:
            tables += [(self.label_sets, label_sets), (self.held_out_label_sets, held_out_label_sets)]
        self.keys.copy_(trie.keys)
        for table, of_words in tables:
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
        vectors = self.projection(indicators.to(self.projection.weight.dtype))
        return vectors if self.label_embeddings is None else vectors + self._look_up_labels(found, *input_ids.shape)

    def _look_up_labels(self, found: Matches, num_rows: int, width: int) -> Tensor:
        """Add up the vectors of the words that begin and end at each token, by length and labels: (B, T, D)."""
        embeddings: nn.Embedding = self.label_embeddings  # type: ignore[assignment]
        sets = (self.held_out_label_sets if self.training else self.label_sets)[found.nodes]
        found, sets = found.select(sets > 0), sets[sets > 0] - 1
        half = embeddings.num_embeddings // 2
        kinds = sets * _LABELLED_LENGTHS + found.sizes.clamp(max=_LABELLED_LENGTHS) - 1
        firsts = found.rows * width + found.starts
        vectors = embeddings(torch.cat((kinds, half + kinds)))
        places = torch.cat((firsts, firsts + found.sizes - 1))
        sums = vectors.new_zeros(num_rows * width, vectors.shape[1]).index_add(0, places, vectors)
        return sums.view(num_rows, width, sums.shape[1])

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
