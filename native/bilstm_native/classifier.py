"""A trained classifier of texts without any framework: one answer for a whole text, many to one.

Letters in shape comments: N tokens of all texts, T tokens of the longest, B texts, D size of a vector, H units of one
direction, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from .cells import sigmoid
from .checkpoint import Checkpoint, read_checkpoint
from .encoder import Encoder, group_by_length, join, words_of
from .pooling import attention_scores, pool_attention, pool_last, pool_max, pool_mean
from .recurrence import merge


class NativeClassifier:
    """A BiLSTM classifier: embeddings, bidirectional layers, pooling, and a score for each label.

        >>> classifier = NativeClassifier.from_pretrained("outputs/quickstart_topics")
        >>> classifier("她住在北京。")
        [{'label': 'travel', 'score': 0.9}, {'label': 'food', 'score': 0.1}]

    Args:
        checkpoint: The model as it was saved. Its weights are taken out of it.

    Attributes:
        config: What config.json holds.
        labels: The labels in the order of their ids.
        tokenizer: A `tokenizers.Tokenizer`.
        encoder: Embeddings and layers.
        pooling: "last", "mean", "max" or "attention".
        attention: Weight (D, D), bias (D,) and context (1, D) of attention pooling; empty for others.
        classifier: Weight (L, D) and bias (L,).

    Raises:
        ValueError: If the checkpoint lacks weights, or has a feature that is not known here.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        config = self.config = checkpoint.config
        self.tokenizer: Tokenizer = checkpoint.tokenizer
        self.labels: list[str] = [config["id2label"][str(number)] for number in range(len(config["id2label"]))]
        self.encoder = Encoder(checkpoint)
        self.pooling: str = config["classifier_pooling"]
        if self.pooling not in ("last", "mean", "max", "attention"):
            raise ValueError(f"classifier_pooling={self.pooling!r}: it takes 'last', 'mean', 'max' or 'attention'.")
        learned = ("pooling.projection.weight", "pooling.projection.bias", "pooling.context.weight")
        self.attention = checkpoint.take(*learned) if self.pooling == "attention" else []
        self.classifier = checkpoint.take("score.weight", "score.bias")
        checkpoint.check_nothing_is_left()

    @classmethod
    def from_pretrained(cls, name: str | Path, revision: str | None = None) -> NativeClassifier:
        """Load a classifier that hf_bilstm has saved.

        Args:
            name: Folder, or repository of the Hub.
            revision: Branch, tag or commit of the repository.

        Returns:
            The classifier.

        Raises:
            OSError: If a file is missing or damaged, or the Hub cannot be reached.
            ValueError: If it is no BiLSTM classifier, lacks weights, or has a feature that is not known here.
        """
        return cls(read_checkpoint(name, "BiLstmForSequenceClassification", revision))

    def __call__(self, texts: str | Sequence[str]) -> Any:
        """Score the labels of a text, or of several.

        Args:
            texts: A text of any length, or a list or tuple of texts.

        Returns:
            A list of `{"label", "score"}` for one text, the best first, a list of such for several. Scores are
            probabilities, 1 in sum over the labels, or each on its own where a text may have several labels, or the
            numbers themselves for regression, as in the stock pipeline.

        Raises:
            ValueError: If an input is no text.
        """
        if isinstance(texts, str):
            return self([texts])[0]
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"texts[{place}] is {text!r:.80}: it takes a string, or a list or tuple of strings.")
        encodings = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        words = [words_of(encoding, text) for encoding, text in zip(encodings, texts, strict=True)]
        return [
            [
                {"label": self.labels[label], "score": float(scores[label])}
                for label in np.argsort(-scores, kind="stable")
            ]
            for scores in self._normalize(self.logits([encoding.ids for encoding in encodings], words))
        ]

    def logits(self, sentences: Sequence[Sequence[int]], words: Sequence[Sequence[str]] | None = None) -> np.ndarray:
        """Score the labels of token ids.

        Args:
            sentences: Token ids of each of any number of texts.
            words: The tokens' texts, for models that look into words.

        Returns:
            (B, L).

        Raises:
            ValueError: If an id is outside of the vocabulary.
        """
        weight, bias = self.classifier
        logits = np.zeros((len(sentences), len(self.labels)), dtype=weight.dtype)
        for batch in group_by_length([len(sentence) for sentence in sentences]):
            ids, lengths = join([sentences[place] for place in batch])
            of_batch = None if words is None else [word for place in batch for word in words[place]]
            logits[batch] = self.pool(*self.encoder.directions(ids, lengths, of_batch), lengths) @ weight.T + bias
        return logits

    def pool(self, forward: np.ndarray, backward: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Make one vector of what is said of a text's tokens.

        Args:
            forward: (T, B, H) of the direction that reads forward.
            backward: (T, B, H) of the other.
            lengths: (B,) falling.

        Returns:
            (B, D).
        """
        if self.pooling == "last":
            return pool_last(forward, backward, lengths, self.encoder.merge_mode)
        h = merge(forward, backward, self.encoder.merge_mode)
        if self.pooling == "mean":
            return pool_mean(h, lengths)
        if self.pooling == "max":
            return pool_max(h, lengths)
        weight, bias, context = self.attention
        return pool_attention(h, attention_scores(h, weight, bias, context[0]), lengths)

    def _normalize(self, logits: np.ndarray) -> np.ndarray:
        """Make scores of logits (B, L), as the stock pipeline does."""
        problem = self.config.get("problem_type")
        if problem == "regression":
            return logits
        if problem == "multi_label_classification" or len(self.labels) == 1:
            return sigmoid(logits)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)
