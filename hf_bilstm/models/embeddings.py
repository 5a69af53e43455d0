"""Embeddings of tokens and of hashed pairs of neighbouring tokens, both looked up from ids alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .configuration_bilstm import BiLstmConfig
from .recurrence import Dropout

# Universal hashing of a pair of ids (Carter and Wegman 1979): ((x * A + y * B) mod P) mod buckets, P prime. For ids
# below 2^22 every number on the way stays below 2^53, so that NumPy, ONNX and JavaScript's doubles compute the same.
_HASH_A = 739_982_445
_HASH_B = 421_019_953
_HASH_PRIME = 1_073_741_789


def bigram_ids(input_ids: Tensor, lengths: Tensor, num_buckets: int, boundary_id: int) -> Tensor:
    """Hash each token and its successor into a bucket.

    Args:
        input_ids: (B, T) ids below 2^22, right-padded.
        lengths: (B,) real tokens of each row.
        num_buckets: Number of buckets.
        boundary_id: Id that stands for the successor of a row's last token.

    Returns:
        (B, T) buckets; what stands at padding is arbitrary.
    """
    following = torch.full_like(input_ids, boundary_id)
    following[:, :-1] = input_ids[:, 1:]
    positions = torch.arange(input_ids.shape[1], device=input_ids.device)
    following = following.masked_fill(positions >= lengths[:, None] - 1, boundary_id)
    return (input_ids * _HASH_A + following * _HASH_B) % _HASH_PRIME % num_buckets


class BiLstmEmbeddings(nn.Module):
    """Vectors of tokens, and of pairs of tokens where `config.bigram_buckets` asks for them, side by side.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__()
        self.token_embeddings: nn.Module = nn.Embedding(config.vocab_size, config.embedding_size, config.pad_token_id)
        self.output_size = config.embedding_size
        self.bigram_buckets = config.bigram_buckets
        if config.bigram_buckets:
            self.bigram_embeddings = nn.Embedding(config.bigram_buckets, config.bigram_embedding_size)
            self.output_size += config.bigram_embedding_size
        self.boundary_id = config.pad_token_id or 0
        self.unk_token_id = config.unk_token_id
        self.token_dropout = config.token_dropout
        self.dropout = Dropout(config.embedding_dropout, config.dropout_type == "variational")

    @property
    def vocab_size(self) -> int:
        """Number of ids that have a vector."""
        return self.token_embeddings.num_embeddings  # type: ignore[return-value]

    def forward(self, input_ids: Tensor, lengths: Tensor) -> Tensor:
        """Look the vectors up.

        Args:
            input_ids: (B, T), right-padded.
            lengths: (B,) real tokens of each row.

        Returns:
            (B, T, `output_size`).
        """
        if self.training and self.token_dropout and self.unk_token_id is not None:
            # Words the training data knows play the unknown word, so that its vector and its contexts are learned.
            dropped = torch.rand(input_ids.shape, device=input_ids.device) < self.token_dropout
            input_ids = input_ids.masked_fill(dropped, self.unk_token_id)
        vectors = self.token_embeddings(input_ids)  # (B, T, D)
        if self.bigram_buckets:
            pairs = bigram_ids(input_ids, lengths, self.bigram_buckets, self.boundary_id)
            vectors = torch.cat((vectors, self.bigram_embeddings(pairs)), dim=-1)
        return self.dropout(vectors)
