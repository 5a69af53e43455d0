"""Vectors of words made from their characters, by convolution or by a BiLSTM over them.

Letters in shape comments: B batch, T tokens, N words, C characters of a word, E size of a character's embedding,
F features, D size of a word's vector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .characters import PADDING_ID, UNKNOWN_ID
from .configuration_bilstm import BiLstmConfig
from .recurrence import BidirectionalLayer
from .rows import Rows, like_lengths
from .weights_version import module_version
from .word_cache import WordCache

# Odd multipliers of a hash over characters (multiply and add modulo 2^64, as splitmix64 makes them).
_GOLDEN, _MIX_A, _MIX_B = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = 2**64
# What a group of words of like length costs beside its words, in words; measured on a CPU.
_GROUP_COST = 20


def _multipliers(count: int) -> list[int]:
    """Give the hash's multiplier of each character's place, as signed 64-bit numbers (Steele et al. 2014)."""
    numbers = []
    for place in range(1, count + 1):
        mixed = place * _GOLDEN % _WORD
        mixed = (mixed ^ (mixed >> 30)) * _MIX_A % _WORD
        mixed = (mixed ^ (mixed >> 27)) * _MIX_B % _WORD
        mixed = (mixed ^ (mixed >> 31)) | 1
        numbers.append(mixed - _WORD if mixed >= _WORD // 2 else mixed)
    return numbers


def distinct_words(words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the distinct rows of a table.

    Args:
        words: (N, C) int64 character ids.

    Returns:
        The distinct words (N', C), the hash of each (N',), and the place among them of every word (N,).
    """
    codes = (words * torch.tensor(_multipliers(words.shape[1]), device=words.device)).sum(dim=1)
    distinct, index = torch.unique(codes, return_inverse=True)  # many times faster than over rows
    first = torch.empty_like(distinct).scatter_(0, index, torch.arange(len(words), device=words.device))
    if not torch.equal(words[first][index], words):  # two words of one hash
        rows, index = torch.unique(words, dim=0, return_inverse=True)
        return rows, torch.zeros_like(rows[:, 0]), index
    return words[first], distinct, index


class CharacterCnn(nn.Module):
    """Windows over a word's characters, each through a linear layer, and the maximum over the word.

    A convolution (dos Santos and Zadrozny 2014; Ma and Hovy 2016, arXiv:1603.01354), as a matrix product.

    Args:
        embedding_size: E.
        kernel_sizes: Characters of a window, for each kind of windows.
        hidden_size: Features of each kind.
    """

    def __init__(self, embedding_size: int, kernel_sizes: list[int], hidden_size: int) -> None:
        super().__init__()
        self.kernel_sizes = list(kernel_sizes)
        self.projections = nn.ModuleList(nn.Linear(size * embedding_size, hidden_size) for size in kernel_sizes)
        self.output_size = hidden_size * len(self.kernel_sizes)

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Encode words.

        Args:
            embedded: (N, C, E), 0 at padding.
            lengths: (N,) characters of each word, at least 1.

        Returns:
            (N, `output_size`).
        """
        num_characters = embedded.shape[1]
        padding = torch.arange(num_characters, device=lengths.device) >= lengths[:, None]  # (N, C)
        maxima = []
        for size, projection in zip(self.kernel_sizes, self.projections, strict=True):
            before = (size - 1) // 2
            padded = nn.functional.pad(embedded, (0, 0, before, size - 1 - before))
            windows = torch.cat([padded[:, shift : shift + num_characters] for shift in range(size)], dim=2)
            features = projection(windows).masked_fill(padding[:, :, None], -torch.inf)  # (N, C, F)
            maxima.append(features.amax(dim=1))
        return torch.cat(maxima, dim=1).relu()


class CharacterBiLstm(nn.Module):
    """A BiLSTM over a word's characters; both directions' last states (Lample et al. 2016, arXiv:1603.01360).

    Args:
        embedding_size: E.
        hidden_size: Units of each direction.
    """

    def __init__(self, embedding_size: int, hidden_size: int) -> None:
        super().__init__()
        self.layer = BidirectionalLayer(embedding_size, hidden_size, "lstm", "concat")
        self.output_size = 2 * hidden_size

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Encode words; as `CharacterCnn.forward`."""
        forward, backward = self.layer(embedded, Rows(lengths, embedded.shape[1]))
        return self.layer.ends(forward, backward, lengths)[:, 0]


class CharacterFeatures(nn.Module):
    """Vectors of words from their characters, computed once for each distinct word of a batch.

    At inference on a CPU, words seen before are taken from a cache. Whichever way, a word's vector is that of its
    characters alone.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(config.char_vocab_size, config.char_embedding_size, PADDING_ID)
        self.encoder: CharacterCnn | CharacterBiLstm
        if config.char_encoder == "cnn":
            self.encoder = CharacterCnn(config.char_embedding_size, config.char_kernel_sizes, config.char_hidden_size)
        else:
            self.encoder = CharacterBiLstm(config.char_embedding_size, config.char_hidden_size)
        self.output_size = self.encoder.output_size
        self.dropout = config.char_dropout
        self._cache = WordCache()

    @property
    def vocab_size(self) -> int:
        """Number of character ids that have a vector."""
        return self.embeddings.num_embeddings

    def forward(self, char_input_ids: Tensor) -> Tensor:
        """Look into words.

        Args:
            char_input_ids: (B, T, C) character ids, 0 after a word's last.

        Returns:
            (B, T, `output_size`); what stands at padding is arbitrary.
        """
        batch_size, num_tokens, width = char_input_ids.shape
        words = char_input_ids.reshape(-1, width)
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            vectors = self.encode(words)
        elif words.numel() == 0:
            vectors = self.embeddings.weight.new_zeros(len(words), self.output_size)
        else:
            distinct, codes, index = distinct_words(words)
            vectors = self._encode_distinct(distinct, codes)[index]
        return vectors.view(batch_size, num_tokens, self.output_size)

    def encode(self, words: Tensor) -> Tensor:
        """Compute the vectors of words.

        Args:
            words: (N, C) character ids.

        Returns:
            (N, `output_size`).
        """
        lengths = (words != PADDING_ID).sum(dim=1).clamp(min=1)
        if self.training and self.dropout:
            # Characters of the training data play the unknown one, so that its vector and its contexts are learned.
            dropped = torch.rand(words.shape, device=words.device) < self.dropout
            words = words.masked_fill(dropped & (words != PADDING_ID), UNKNOWN_ID)
        if words.device.type != "cpu" or torch.compiler.is_compiling() or torch.jit.is_tracing():
            return self.encoder(self.embeddings(words), lengths)
        # Most words are short: each group of like length is padded to its own longest.
        order = torch.argsort(lengths, descending=True)
        falling = lengths[order].tolist()
        vectors = [
            self.encoder(self.embeddings(words[order[first:end], : falling[first]]), lengths[order[first:end]])
            for first, end in like_lengths(falling, _GROUP_COST)
        ]
        return torch.cat(vectors).index_select(0, torch.argsort(order))

    def _encode_distinct(self, words: Tensor, codes: Tensor) -> Tensor:
        changes = self.training or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
        version = None if changes or words.device.type != "cpu" else module_version(self)
        if version is None:
            width = max(1, int((words != PADDING_ID).any(dim=0).sum()))
            return self.encode(words[:, :width])
        return self._cache.look_up(words, codes, self.encode, (version, words.shape[1]))
