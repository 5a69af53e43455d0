"""The encoder: token ids in, a vector for every token out.

Letters in shape comments: N tokens of all sentences, T tokens of the longest, B sentences, D size of a vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding

from .characters import CharacterBiLstm, CharacterCnn, CharacterFeatures
from .checkpoint import Checkpoint
from .embeddings import BigramEmbeddings, CharacterTypeEmbeddings, LexiconEmbeddings, TokenEmbeddings
from .recurrence import BiRecurrent, merge, pad

# Most sentences of a batch, and most tokens, unless one sentence alone has more.
_BATCH_SIZE, _TOKEN_BUDGET = 128, 16_384


class Encoder:
    """Embeddings and bidirectional layers of a saved model.

    Args:
        checkpoint: The model. The encoder's weights are taken out of it.

    Attributes:
        embeddings: What is looked up of a token; the vectors stand side by side.
        layers: The layers, the first one first.
        merge_mode: How the two directions become one.
        vocab_size: Number of ids that have a vector.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.embeddings = _build_embeddings(checkpoint)
        self.layers = [_build_layer(checkpoint, number) for number in range(checkpoint.config["num_hidden_layers"])]
        self.merge_mode: str = checkpoint.config["merge_mode"]
        self.vocab_size: int = len(self.embeddings[0].table)

    def embed(self, ids: np.ndarray, lengths: np.ndarray, words: Sequence[str] | None = None) -> np.ndarray:
        """Look tokens up.

        Args:
            ids: (N,) tokens of the first sentence, then those of the second, ...
            lengths: (B,) tokens of each.
            words: The texts of the N tokens, for models that look into words.

        Returns:
            (N, D).

        Raises:
            ValueError: If an id is outside of the vocabulary, or the texts of words are needed and missing.
        """
        if len(ids) and not 0 <= ids.min() <= ids.max() < self.vocab_size:
            raise ValueError(f"Token ids must be 0 to {self.vocab_size - 1}, got {ids.min()} to {ids.max()}.")
        return np.concatenate([self._look_up(table, ids, lengths, words) for table in self.embeddings], axis=1)

    def _look_up(self, table: Any, ids: np.ndarray, lengths: np.ndarray, words: Sequence[str] | None) -> np.ndarray:
        if not isinstance(table, CharacterFeatures):
            return np.asarray(table.forward(ids, lengths))
        if words is None:
            raise ValueError("This model looks into words: give their texts beside the ids.")
        return table.forward(words)

    def forward(self, ids: np.ndarray, lengths: np.ndarray, words: Sequence[str] | None = None) -> np.ndarray:
        """Run embeddings and layers.

        Args:
            ids: (N,) tokens of the first sentence, then those of the second, ...
            lengths: (B,) tokens of each, falling.
            words: As for `embed`.

        Returns:
            (T, B, D) what the last layer says of each token, 0 at padding.

        Raises:
            ValueError: If an id is outside of the vocabulary.
        """
        return merge(*self.directions(ids, lengths, words), self.merge_mode)

    def directions(
        self, ids: np.ndarray, lengths: np.ndarray, words: Sequence[str] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run embeddings and layers, and leave the last one's directions apart.

        Args:
            ids: (N,), as for `forward`.
            lengths: (B,) falling.
            words: As for `embed`.

        Returns:
            What each direction of the last layer says of each token, (T, B, H) each, 0 at padding.

        Raises:
            ValueError: If an id is outside of the vocabulary.
        """
        *others, last = self.layers
        h = pad(self.embed(ids, lengths, words), lengths)
        for layer in others:
            h = layer.forward(h, lengths)
        return last.directions(h, lengths)


def _build_embeddings(checkpoint: Checkpoint) -> list[Any]:
    config, at = checkpoint.config, "bilstm.embeddings."
    tables: list[Any] = [TokenEmbeddings(*checkpoint.take(at + "token_embeddings.weight"))]
    if config.get("bigram_buckets"):
        (table,) = checkpoint.take(at + "bigram_embeddings.weight")
        tables.append(BigramEmbeddings(table, boundary_id=config["pad_token_id"] or 0))
    if config.get("character_type_embedding_size"):
        types, table = checkpoint.take(at + "character_types", at + "character_type_embeddings.weight")
        tables.append(CharacterTypeEmbeddings(types, table))
    if config.get("char_embedding_size"):
        tables.append(_build_characters(checkpoint, at + "characters."))
    if config.get("lexicon_embedding_size"):
        checkpoint.take(at + "lexicon.held_out")  # which training alone looks at
        keys, frequencies, projection = checkpoint.take(
            at + "lexicon.keys", at + "lexicon.frequencies", at + "lexicon.projection.weight"
        )
        tables.append(LexiconEmbeddings(keys, frequencies, projection, config["lexicon_max_length"]))
    return tables


def _build_characters(checkpoint: Checkpoint, at: str) -> CharacterFeatures:
    config = checkpoint.config
    (table,) = checkpoint.take(at + "embeddings.weight")
    encoder: CharacterCnn | CharacterBiLstm
    if config["char_encoder"] == "cnn":
        kinds = range(len(config["char_kernel_sizes"]))
        parts = ("weight", "bias")
        names = [[f"{at}encoder.projections.{kind}.{part}" for part in parts] for kind in kinds]
        encoder = CharacterCnn([(weight, bias) for weight, bias in (checkpoint.take(*pair) for pair in names)])
    else:
        encoder = CharacterBiLstm(_take_layer(checkpoint, at + "encoder.layer.", "lstm", "concat"))
    options = checkpoint.read_tokenizer_options()
    return CharacterFeatures(options["characters"], options["char_width"], table, encoder)


def _build_layer(checkpoint: Checkpoint, number: int) -> BiRecurrent:
    config = checkpoint.config
    return _take_layer(checkpoint, f"bilstm.encoder.layers.{number}.", config["rnn_type"], config["merge_mode"])


def _take_layer(checkpoint: Checkpoint, at: str, rnn_type: str, merge_mode: str) -> BiRecurrent:
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    forward, backward = (
        checkpoint.take(*(f"{at}{direction}_rnn.{name}" for name in names)) for direction in ("forward", "backward")
    )
    return BiRecurrent(forward, backward, rnn_type, merge_mode)


def join(sentences: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Put sentences one after the other.

    Args:
        sentences: Token ids of each.

    Returns:
        (N,) ids and (B,) lengths.
    """
    lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
    return np.array([token for sentence in sentences for token in sentence], dtype=np.int64), lengths


def words_of(encoding: Encoding, text: str) -> list[str]:
    """Give the texts of a text's tokens."""
    return [text[start:stop] for start, stop in encoding.offsets]


def group_by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Part sentences into batches of like length.

    Args:
        lengths: Tokens of each sentence.

    Yields:
        Places of the sentences of a batch, the longest first.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    while order:
        size = min(_BATCH_SIZE, max(1, _TOKEN_BUDGET // max(1, lengths[order[0]])))
        yield order[:size]
        order = order[size:]
