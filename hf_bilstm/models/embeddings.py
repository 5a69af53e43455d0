"""Embeddings of tokens, their hashed pairs, character types, characters and the words of a lexicon, from ids alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .character_features import CharacterFeatures
from .character_types import CHARACTER_TYPES, token_types
from .configuration_bilstm import BiLstmConfig
from .dropout import Dropout
from .lexicon import LexiconFeatures

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
    """Vectors of tokens, and of their pairs, types, characters and lexicon words where asked for, side by side.

    Args:
        config: The model's configuration.

    Attributes:
        dropout: Dropout of the vectors, to be applied where they have been arranged in rows.
        character_types: (V,) place of each token's type in `CHARACTER_TYPES`, 0 until it is filled.
    """

    character_types: Tensor

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__()
        self.token_embeddings: nn.Module = nn.Embedding(config.vocab_size, config.embedding_size, config.pad_token_id)
        self.output_size = config.embedding_size
        self.bigram_buckets = config.bigram_buckets
        if config.bigram_buckets:
            self.bigram_embeddings = nn.Embedding(config.bigram_buckets, config.bigram_embedding_size)
            self.output_size += config.bigram_embedding_size
        self.character_type_embeddings: nn.Embedding | None = None
        self.characters: CharacterFeatures | None = None
        self.lexicon: LexiconFeatures | None = None
        if config.character_type_embedding_size:
            self.register_buffer("character_types", torch.zeros(config.vocab_size, dtype=torch.long))
            self.character_type_embeddings = nn.Embedding(len(CHARACTER_TYPES), config.character_type_embedding_size)
            self.output_size += config.character_type_embedding_size
        if config.char_embedding_size:
            self.characters = CharacterFeatures(config)
            self.output_size += self.characters.output_size
        if config.lexicon_embedding_size:
            self.lexicon = LexiconFeatures(
                config.lexicon_size, config.lexicon_embedding_size, config.lexicon_max_length, config.lexicon_dropout
            )
            self.output_size += config.lexicon_embedding_size
        self.boundary_id = config.pad_token_id or 0
        self.unk_token_id = config.unk_token_id
        self.token_dropout = config.token_dropout
        self.dropout = Dropout(config.embedding_dropout, config.dropout_type == "variational")

    @property
    def vocab_size(self) -> int:
        """Number of ids that have a vector."""
        return self.token_embeddings.num_embeddings  # type: ignore[return-value]

    @property
    def feature_sizes(self) -> dict[str, int]:
        """Numbers that each feature adds to a token's vector, in the order in which they stand in it."""
        sizes: dict[str, Any] = {"tokens": self.token_embeddings.embedding_dim}
        if self.bigram_buckets:
            sizes["bigrams"] = self.bigram_embeddings.embedding_dim
        if self.character_type_embeddings is not None:
            sizes["character_types"] = self.character_type_embeddings.embedding_dim
        if self.characters is not None:
            sizes["characters"] = self.characters.output_size
        if self.lexicon is not None:
            sizes["lexicon"] = self.output_size - sum(sizes.values())
        return sizes

    def fill_character_types(self, vocab: Mapping[str, int]) -> None:
        """Note the character types of a new model's tokens, if the model looks at them.

        Args:
            vocab: Ids of the tokens.
        """
        if self.character_type_embeddings is not None:
            self.character_types.copy_(torch.tensor(token_types(vocab, len(self.character_types))))

    def replace_token_embeddings(self, value: nn.Module) -> None:
        """Put another table in the place of the token embeddings; tokens that are new have no character type.

        Args:
            value: The table.
        """
        self.token_embeddings = value
        if self.character_type_embeddings is not None and isinstance(value, nn.Embedding):
            added = value.num_embeddings - len(self.character_types)
            self.character_types = nn.functional.pad(self.character_types, (0, added))

    def forward(self, input_ids: Tensor, lengths: Tensor, *features: Tensor) -> Tensor:
        """Look the vectors up, without dropout.

        Args:
            input_ids: (B, T), right-padded.
            lengths: (B,) real tokens of each row.
            *features: (B, T, D) vectors to put beside, such as those that `characters` makes.

        Returns:
            (B, T, `output_size`).
        """
        known_words = [] if self.lexicon is None else [self.lexicon(input_ids, lengths)]
        if self.training and self.token_dropout and self.unk_token_id is not None:
            # Words the training data knows play the unknown word, so that its vector and its contexts are learned.
            dropped = torch.rand(input_ids.shape, device=input_ids.device) < self.token_dropout
            input_ids = input_ids.masked_fill(dropped, self.unk_token_id)
        vectors = [self.token_embeddings(input_ids)]  # (B, T, D) each
        if self.bigram_buckets:
            pairs = bigram_ids(input_ids, lengths, self.bigram_buckets, self.boundary_id)
            vectors.append(self.bigram_embeddings(pairs))
        if self.character_type_embeddings is not None:
            vectors.append(self.character_type_embeddings(self.character_types[input_ids]))
        vectors += (*features, *known_words)
        return torch.cat(vectors, dim=-1) if len(vectors) > 1 else vectors[0]
