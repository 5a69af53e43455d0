"""A trained tagger without any framework: from text to spans with their probabilities.

Letters in shape comments: N tokens of all sentences, T tokens of the longest, B sentences, D size of a vector, S
states.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from .checkpoint import Checkpoint, read_checkpoint
from .crf import FORBIDDEN, Crf
from .dictionary import Dictionary
from .encoder import Encoder, group_by_length, join, words_of
from .recurrence import pad, unpad
from .states import OUTSIDE, derive_states

# A run of Unicode's White_Space, at which tokenizers split; Python's own notion takes U+001C to U+001F as well.
_WHITE_SPACE = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")

Span = dict[str, Any]


class _Stretch(NamedTuple):
    """A span, or a token outside of any."""

    place: int  # of its text among the texts
    state: int  # of its first token
    score: float
    start: int  # character
    stop: int  # character after the last


class NativeTagger:
    """A BiLSTM tagger: embeddings, bidirectional layers, a classifier of each token, and a CRF over the states.

        >>> tagger = NativeTagger.from_pretrained("outputs/quickstart")
        >>> tagger("她住在北京。")
        [{'entity_group': 'LOC', 'score': 0.98, 'word': '北京', 'start': 3, 'end': 5}]

    Args:
        checkpoint: The model as it was saved. Its weights are taken out of it.

    Attributes:
        config: What config.json holds.
        labels: The labels in the order of their ids.
        tokenizer: A `tokenizers.Tokenizer`.
        encoder: Embeddings and layers.
        classifier: Weight (S, D) and bias (S,).
        states: The S states.
        crf: The `Crf`.
        dictionary: The user dictionary that the model was saved with, or None.

    Raises:
        ValueError: If the checkpoint lacks weights, or has a feature that is not known here.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        config = self.config = checkpoint.config
        self.tokenizer: Tokenizer = checkpoint.tokenizer
        self.labels: list[str] = [config["id2label"][str(number)] for number in range(len(config["id2label"]))]
        self.states = derive_states(self.labels, config["tagging_scheme"])
        self.encoder = Encoder(checkpoint)
        self.classifier = checkpoint.take("classifier.weight", "classifier.bias")
        self.crf = Crf(self.states)  # legal paths, all else equal
        if config["use_crf"]:
            learned = checkpoint.take("crf.start_transitions", "crf.transitions", "crf.end_transitions")
            self.crf = Crf(self.states, *learned)
        self.dictionary: Dictionary | None = None
        if config.get("dictionary_nodes"):
            tables = ("dictionary.keys", "dictionary.profiles", "dictionary.weights", "dictionary.forced")
            self.dictionary = Dictionary(self.states, *checkpoint.take(*tables))
        checkpoint.check_nothing_is_left()

    @classmethod
    def from_pretrained(cls, name: str | Path, revision: str | None = None) -> NativeTagger:
        """Load a tagger that hf_bilstm has saved.

        Args:
            name: Folder, or repository of the Hub.
            revision: Branch, tag or commit of the repository.

        Returns:
            The tagger.

        Raises:
            OSError: If a file is missing or damaged, or the Hub cannot be reached.
            ValueError: If it is no BiLSTM tagger, lacks weights, or has a feature that is not known here.
        """
        return cls(read_checkpoint(name, "BiLstmForTokenClassification", revision))

    def __call__(self, texts: str | Sequence[str]) -> Any:
        """Find the spans of a text, or of several.

        Args:
            texts: A text of any length, or a list or tuple of texts.

        Returns:
            A list of spans `{"entity_group", "score", "word", "start", "end"}` for one text, a list of such for
            several. `start` and `end` count characters; `score` is the probability that exactly this span with this
            label is there, over all legal taggings. With plain labels every token but `O` is an item.

        Raises:
            ValueError: If an input is no text.
        """
        if isinstance(texts, str):
            return self([texts])[0]
        found: list[list[Span]] = [[] for _ in texts]
        outside = [self.labels[label] == OUTSIDE for label in self.states.labels]
        for place, state, score, start, stop in self._stretches(texts, np.logical_not(outside)):
            kind, word = self.states.types[state], texts[place][start:stop]
            found[place].append({"entity_group": kind, "score": score, "word": word, "start": start, "end": stop})
        return found

    def words(self, texts: str | Sequence[str]) -> Any:
        """Cut a text, or several, into the words of a segmentation model.

        Args:
            texts: A text of any length, or a list or tuple of texts.

        Returns:
            A list of words for one text, a list of such for several. They cover all but white space: a token outside
            of spans is a word, and white space parts words.

        Raises:
            ValueError: If an input is no text, or the tagger has plain labels.
        """
        if self.config["tagging_scheme"] == "none":
            raise ValueError("words needs a tagger of spans, and this one has plain labels (tagging_scheme='none').")
        if isinstance(texts, str):
            return self.words([texts])[0]
        found: list[list[str]] = [[] for _ in texts]
        # White space that is a token is in a word only where a dictionary says so.
        white_space_parts = self.config.get("white_space_token_id") is None
        for place, _, _, start, stop in self._stretches(texts, np.ones(len(self.states.types), dtype=bool)):
            piece = texts[place][start:stop]
            parts = _WHITE_SPACE.split(piece) if white_space_parts else [piece]
            found[place] += [part for part in parts if _WHITE_SPACE.sub("", part)]
        return found

    def emissions(
        self, sentences: Sequence[Sequence[int]], words: Sequence[Sequence[str]] | None = None
    ) -> list[np.ndarray]:
        """Score the states of every token, before any transition and rule.

        Args:
            sentences: Token ids of each of any number of sentences.
            words: The tokens' texts, for models that look into words.

        Returns:
            (tokens, S) for each.

        Raises:
            ValueError: If an id is outside of the vocabulary.
        """
        scores: list[np.ndarray] = [np.zeros((0, len(self.states.types)))] * len(sentences)
        for batch in group_by_length([len(sentence) for sentence in sentences]):
            ids, lengths = join([sentences[place] for place in batch])
            texts = None if words is None else [word for place in batch for word in words[place]]
            of_rows = np.split(self._emit(ids, lengths, texts), lengths.cumsum()[:-1])
            for place, part in zip(batch, of_rows, strict=True):
                scores[place] = part
        return scores

    def _emit(self, ids: np.ndarray, lengths: np.ndarray, words: Sequence[str] | None) -> np.ndarray:
        """Score the states of every token: (N, S)."""
        weight, bias = self.classifier
        return unpad(self.encoder.forward(ids, lengths, words), lengths) @ weight.T + bias

    def _rule(self, emissions: np.ndarray, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Leave `O` alone legal at white space, where the model asks for it, and let its dictionary count: (N, S)."""
        white_space = self.config.get("white_space_token_id")
        if white_space is not None:
            outside = np.array([prefix == "" for prefix in self.states.prefixes])
            emissions = np.where((ids == white_space)[:, None] == outside, emissions, np.float32(FORBIDDEN))
        return emissions if self.dictionary is None else self.dictionary.apply(emissions, ids, lengths)

    def _stretches(self, texts: Sequence[str], wanted: np.ndarray) -> Iterator[_Stretch]:
        """Tag texts in batches of like length, and give the stretches that begin with a wanted state, (S,) bool."""
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"texts[{place}] is {text!r:.80}: it takes a string, or a list or tuple of strings.")
        encodings = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        for batch in group_by_length([len(encoding) for encoding in encodings]):
            words = [word for place in batch for word in words_of(encodings[place], texts[place])]
            spans, states, scores = self._decode([encodings[place].ids for place in batch], words, wanted)
            offsets = [encodings[place].offsets for place in batch]
            for (row, first, end), state, score in zip(spans.tolist(), states.tolist(), scores.tolist(), strict=True):
                yield _Stretch(batch[row], state, score, offsets[row][first][0], offsets[row][end - 1][1])

    def _decode(
        self, sentences: Sequence[Sequence[int]], words: Sequence[str], wanted: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the best path of each sentence of a batch, and the stretches that begin with a wanted state (S,).

        Args:
            sentences: Token ids, of the longest sentence first.
            words: The texts of all tokens.
            wanted: (S,) bool.

        Returns:
            Of each stretch its sentence, its first token and the token after its last (N, 3), the state of its first
            token (N,), and its probability (N,).
        """
        ids, lengths = join(sentences)
        emissions = pad(self._rule(self._emit(ids, lengths, words), ids, lengths), lengths)  # (T, B, S)
        paths = self.crf.best_paths(emissions, lengths)
        states = unpad(paths, lengths)  # (N,)
        begins = np.flatnonzero(self.states.starts[states])
        sizes = np.diff(begins, append=len(ids))  # a sentence's first token begins something, so that none runs over
        is_wanted = wanted[states[begins]]
        begins, sizes = begins[is_wanted], sizes[is_wanted]
        rows = np.repeat(np.arange(len(lengths)), lengths)[begins]
        firsts = begins - (lengths.cumsum() - lengths)[rows]
        spans = np.stack((rows, firsts, firsts + sizes), axis=1)
        sums = self.crf.sums(emissions, lengths)
        return spans, states[begins], self.crf.span_probabilities(sums, emissions, paths, lengths, spans)
