"""Configuration of the BiLSTM models."""

# No `from __future__ import annotations` here: `@strict` checks values against real types, not their names.
import math
from dataclasses import field
from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


class _RegisteredPipelines(dict[str, Any]):
    """A checkpoint's pipelines whose tasks are registered: their code is at hand, and none needs to be fetched.

    `transformers.pipeline` finds out the task of `pipeline(model=...)` by looking through what a configuration names,
    and asks for `trust_remote_code` where the task is in it.
    """

    def __contains__(self, task: object) -> bool:
        return False


@strict
class BiLstmConfig(PreTrainedConfig):
    """Everything that fixes the shape and the behaviour of a BiLSTM model.

    Fields follow the names of transformers; a size of 0 switches a feature off. `id2label` holds plain names with
    `tagging_scheme="none"`, and `O`, `B-X`, `I-X` otherwise.

    Args:
        vocab_size: Number of token ids.
        embedding_size: Size of a token's embedding.
        bigram_buckets: Number of hashed embeddings for pairs of neighbouring tokens, 0 for none.
        bigram_embedding_size: Size of a pair's embedding.
        character_type_embedding_size: Size of the embedding of a token's character type (Han, digit, Latin, ...), 0
            for none.
        lexicon_embedding_size: Size of the vector of the lexicon words that begin, end and go on at a token, 0 for
            none.
        lexicon_max_length: Number of tokens from which lexicon words count as equally long.
        lexicon_dropout: Rate at which training overlooks a lexicon word that it finds, 0 to 1.
        lexicon_size: Nodes of the lexicon's trie.
        char_vocab_size: Number of character ids.
        char_embedding_size: Size of the embedding of a word's characters, 0 for models that do not look into words.
        char_encoder: What makes a word's vector of its characters, "cnn" or "bilstm".
        char_kernel_sizes: Characters of a window, for each kind of windows of the "cnn".
        char_hidden_size: Features of each kind of windows; units of each direction of the "bilstm".
        char_dropout: Rate at which training replaces a character by the unknown one, 0 to 1.
        hidden_size: Units of each direction of each recurrent layer.
        num_hidden_layers: Recurrent layers, each of two directions.
        rnn_type: Recurrent cell, "lstm" or "gru".
        merge_mode: How the two directions' outputs become one: "concat", "sum", "mean" or "mul".
        token_dropout: Rate at which training replaces an input token by the unknown token, 0 to 1.
        embedding_dropout: Dropout rate on the embeddings, 0 to 1.
        hidden_dropout: Dropout rate on the output of every recurrent layer, 0 to 1.
        dropout_type: What one draw of embedding and hidden dropout decides: "element", one number of one token's
            vector, or "variational", one number of the vectors of all tokens of a sentence (Gal and Ghahramani 2016).
        classifier_pooling: How a classifier makes one vector of a text: "last", the state in which each direction
            ends, "mean" or "max" over the tokens, or "attention", a mean with learned weights.
        classifier_dropout: Dropout rate on that vector, 0 to 1.
        use_crf: Whether transition scores between states are learned (a linear-chain CRF). Decoding is over legal
            paths either way.
        tagging_scheme: Scheme the tagger reasons in: "none", "iob2", "bioes" or "bmes" (stored as "bioes").
        label_weights: Weight of each label in the training loss, at least 0, in the order of the ids; None for equal
            weights.
        white_space_token_id: Id of a token at which only `O` is legal, and nowhere else (word segmentation); None when
            there is no such token.
        softmax_samples: Tokens drawn for a training batch, among which pretraining looks for the right one; 0 for all
            tokens.
        dictionary_nodes: Nodes of the trie of the user dictionary that is saved with the model, 0 for none.
        dictionary_profiles: Different ways in which its words count.
        pad_token_id: Id of the padding token.
        unk_token_id: Id of the unknown token.
        tagset: Name of the tag set of the parts of speech, "pku", "863" or "upos"; None when it is not known.
        tag_meanings: Meaning of each tag, `{"n": {"zh": "名词", "en": "noun", "examples": ["人"]}}`.
        tag_mappings: For each other tag set, what stands there for a tag, `{"upos": {"n": "NOUN"}}`.

    Example:
        >>> from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification
        >>> config = BiLstmConfig(vocab_size=5000, tagging_scheme="bioes", id2label={0: "O", 1: "B-PER", 2: "I-PER"})
        >>> model = BiLstmForTokenClassification(config)
    """

    model_type = "bilstm"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["emissions", "hidden_states"]
    registered_pipelines = frozenset[str]()  # tasks, added to by whoever registers their pipelines

    vocab_size: int = 8000
    embedding_size: int = 128
    bigram_buckets: int = 0
    bigram_embedding_size: int = 64
    character_type_embedding_size: int = 0
    lexicon_embedding_size: int = 0
    lexicon_max_length: int = 5
    lexicon_dropout: float | int = 0.0
    lexicon_size: int = 0
    char_vocab_size: int = 0
    char_embedding_size: int = 0
    char_encoder: Literal["cnn", "bilstm"] = "cnn"
    char_kernel_sizes: list[int] = field(default_factory=lambda: [3])
    char_hidden_size: int = 50
    char_dropout: float | int = 0.0
    hidden_size: int = 256
    num_hidden_layers: int = 1
    rnn_type: Literal["lstm", "gru"] = "lstm"
    merge_mode: Literal["concat", "sum", "mean", "mul"] = "concat"
    token_dropout: float | int = 0.0
    embedding_dropout: float | int = 0.3
    hidden_dropout: float | int = 0.3
    dropout_type: Literal["element", "variational"] = "element"
    classifier_pooling: Literal["last", "mean", "max", "attention"] = "max"
    classifier_dropout: float | int = 0.0
    use_crf: bool = True
    tagging_scheme: Literal["none", "iob2", "bioes", "bmes"] = "none"
    label_weights: list[float | int] | None = None
    white_space_token_id: int | None = None
    softmax_samples: int = 0
    dictionary_nodes: int = 0
    dictionary_profiles: int = 0
    pad_token_id: int | None = 0
    unk_token_id: int | None = 1
    tagset: str | None = None
    tag_meanings: dict[str, dict[str, Any]] | None = None
    tag_mappings: dict[str, dict[str, str]] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Complete the label maps, which transformers does for default labels only, and drop what no one may save."""
        kwargs.pop("trust_remote_code", None)  # for each user to say
        super().__post_init__(**kwargs)
        if self.label2id is None and self.id2label is not None:
            self.label2id = {label: int(index) for index, label in self.id2label.items()}

    def __setattr__(self, name: str, value: Any) -> None:
        """Store "bmes" under its other name, and know registered pipelines, whichever way they come."""
        if name == "tagging_scheme" and value == "bmes":
            value = "bioes"
        elif name == "custom_pipelines" and value and self.registered_pipelines.issuperset(value):
            value = _RegisteredPipelines(value)
        super().__setattr__(name, value)

    @property
    def labels(self) -> list[str]:
        """Names of the labels in the order of their ids.

        Raises:
            ValueError: If `id2label` has not the keys 0, 1, 2 and so on.
        """
        names: dict[Any, str] = self.id2label or {}
        if not names or set(names) != set(range(len(names))):
            raise ValueError(f"id2label must have the keys 0, 1, 2, ... (integers), got {list(names)}.")
        return [names[index] for index in range(len(names))]

    def validate_sizes(self) -> None:
        """Check that sizes are positive, and those that switch a feature off not negative.

        Raises:
            ValueError: Naming the field, its value and its range.
        """
        for name in (
            "vocab_size",
            "embedding_size",
            "bigram_embedding_size",
            "lexicon_max_length",
            "char_hidden_size",
            "hidden_size",
            "num_hidden_layers",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name, what in (
            ("bigram_buckets", "bigrams"),
            ("character_type_embedding_size", "character types"),
            ("lexicon_embedding_size", "lexicon"),
            ("lexicon_size", "lexicon"),
            ("char_vocab_size", "characters"),
            ("char_embedding_size", "characters"),
            ("softmax_samples", "sampling"),
            ("dictionary_nodes", "dictionary"),
            ("dictionary_profiles", "dictionary"),
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 (no {what}) or more, got {getattr(self, name)}.")
        if not self.char_kernel_sizes or min(self.char_kernel_sizes) < 1:
            raise ValueError(f"char_kernel_sizes takes sizes from 1 on, at least one, got {self.char_kernel_sizes}.")
        if self.char_embedding_size and self.char_vocab_size < 2:
            raise ValueError(
                f"char_embedding_size={self.char_embedding_size} needs char_vocab_size, got {self.char_vocab_size}: "
                f"pass char_vocab_size=tokenizer.char_vocab_size of a BiLstmTokenizer made with char_width."
            )
        for name in ("bigram_buckets", "lexicon_embedding_size"):
            if getattr(self, name) and self.vocab_size > 2**22:
                raise ValueError(f"vocab_size must be at most {2**22} with {name}, got {self.vocab_size}.")

    def validate_rates(self) -> None:
        """Check that dropout rates lie in [0, 1).

        Raises:
            ValueError: Naming the field, its value and its range.
        """
        rates = ("token_dropout", "char_dropout", "embedding_dropout", "hidden_dropout", "classifier_dropout")
        for name in (*rates, "lexicon_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}.")
        if self.token_dropout and self.unk_token_id is None:
            raise ValueError(f"token_dropout={self.token_dropout} needs unk_token_id, got None.")

    def validate_special_ids(self) -> None:
        """Check that the ids of special tokens lie in the vocabulary.

        Raises:
            ValueError: Naming the field, its value and its range.
        """
        for name in ("pad_token_id", "unk_token_id", "white_space_token_id"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < self.vocab_size:
                raise ValueError(f"{name} must be None or 0 to {self.vocab_size - 1} (vocab_size - 1), got {value}.")

    def validate_label_weights(self) -> None:
        """Check that label weights are finite and not negative.

        Raises:
            ValueError: Naming the field, its value and its range.
        """
        if not all(0 <= weight < math.inf for weight in self.label_weights or []):
            raise ValueError(f"label_weights must be finite and at least 0, got {self.label_weights}.")


__all__ = ["BiLstmConfig"]
