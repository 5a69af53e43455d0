"""Tokenizer of the BiLSTM taggers: one token a character, or one token a word.

Whatever concerns raw text stands in tokenizer.json, so that a checkpoint read by a generic class, or by `tokenizers`
alone, gives the same ids and offsets. The class adds given words (`is_split_into_words=True`), characters of words,
empty batches and the report on truncation.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from json import JSONDecodeError
from typing import Any, NoReturn

import numpy as np
import torch
from tokenizers import AddedToken, Encoding, Tokenizer, models
from transformers import BatchEncoding, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import TruncationStrategy
from transformers.utils import logging

from .characters import NUM_SPECIAL_IDS, CharacterTable, frequent_characters
from .tokenizer_backend import (
    WHITE_SPACE,
    build_backend,
    check_given_words,
    check_options,
    count_tokens,
    is_count,
    read_options,
)

# Characters of a word from which only its head and its tail are looked at.
DEFAULT_CHAR_WIDTH = 24

logger = logging.get_logger(__name__)


class BiLstmTokenizer(PreTrainedTokenizerFast):
    """Character or word tokenizer without special tokens, merges or a maximum length.

    Built by `from_corpus`, read by `from_pretrained`, or made from a vocabulary:

        >>> BiLstmTokenizer.from_corpus(["北京 大学"])("北 大").tokens()
        ['北', '大']

    Args:
        vocab: Ids of the tokens, 0 to n - 1: `pad_token` 0, `unk_token` 1, and " " 2 if `white_space` is "token".
        granularity: "char" (default): one character is one token. "word": raw text is split into words; a given word
            is one token whatever it contains.
        fold: Any of "lower", "width" (U+FF01 to U+FF5E become ASCII) and "digits" (decimal digits become 0). Each
            replaces one character by one, so that offsets stay those of the raw text.
        white_space: "drop" (default): white space is no token. "token" (characters only): a run of white space is one.
        splitting: How raw text is split into words. "treebank" (default): as English treebanks do, `do n't`, `e-mail`,
            `:-)`. "punctuation": at white space, and each punctuation character is a word.
        characters: Characters that have an id of their own (words only), in the order of the ids. When there are any,
            the output holds `char_input_ids`, those of every word as it is written: 0 padding, 1 other characters.
        char_width: Character ids of a word, at least 2. A longer word keeps its head and its tail.
        pad_token: Text of the padding token. It is never found in text.
        unk_token: Text of the unknown token. It is never found in text.
        tokenizer_file: A tokenizer.json to read instead of `vocab`; it holds the options, which need not be given.
        tokenizer_object: A `tokenizers.Tokenizer` to copy instead of `vocab`.
        **kwargs: Passed to `PreTrainedTokenizerFast`, such as `padding_side` and `model_max_length`.

    Attributes:
        granularity: As above.
        fold: As above, a tuple.
        white_space: As above.
        splitting: As above, None where tokens are characters.
        characters: As above.
        char_width: As above.
        character_table: What gives words their ids, None without `characters`.

    Raises:
        ValueError: If an argument is wrong, or disagrees with what the file or the object does.
    """

    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 (the base class makes it an instance variable)
    _tokenizer: Any
    _given_words: Tokenizer | None = None

    def __init__(
        self,
        vocab: dict[str, int] | None = None,
        *,
        granularity: str | None = None,
        fold: Iterable[str] | None = None,
        white_space: str | None = None,
        splitting: str | None = None,
        characters: str = "",
        char_width: int = DEFAULT_CHAR_WIDTH,
        pad_token: str | AddedToken = "[PAD]",
        unk_token: str | AddedToken = "[UNK]",
        tokenizer_file: str | None = None,
        tokenizer_object: Tokenizer | None = None,
        **kwargs: Any,
    ) -> None:
        options: dict[str, Any] = {
            "granularity": granularity,
            "fold": fold,
            "white_space": white_space,
            "splitting": splitting,
        }
        given = {name: value for name, value in options.items() if value is not None}
        options = check_options(**{"granularity": "char", "fold": (), "white_space": "drop", **given})
        specials = [str(pad_token), str(unk_token)]
        if tokenizer_object is not None:
            backend = copy.deepcopy(tokenizer_object)
        elif tokenizer_file is not None:
            backend = Tokenizer.from_file(str(tokenizer_file))
        elif vocab is not None:
            backend = build_backend(vocab, specials, **options)
        else:
            raise ValueError(
                "BiLstmTokenizer takes vocab, tokenizer_file or tokenizer_object, and got none: a folder read by "
                "from_pretrained must hold tokenizer.json; from_corpus makes a new tokenizer."
            )
        if [backend.token_to_id(token) for token in specials] != [0, 1]:
            raise ValueError(f"pad_token and unk_token take the texts of the tokens 0 and 1, not {specials}.")
        built_in = read_options(backend, expected={name: options[name] for name in given})
        self._tokenizer = backend
        self.granularity: str = built_in["granularity"]
        self.fold: tuple[str, ...] = built_in["fold"]
        self.white_space: str = built_in["white_space"]
        self.splitting: str | None = built_in["splitting"]
        if self.splitting is not None:
            kwargs["splitting"] = self.splitting
        if characters and self.granularity != "word":
            raise ValueError("characters takes granularity='word': a token of one character has none to look into.")
        self.characters = characters
        self.char_width = char_width
        self.character_table = CharacterTable(characters, char_width) if characters else None
        if characters:
            kwargs = {"characters": characters, "char_width": char_width, **kwargs}
        # A generic class adds the special tokens to its backend: this keeps it from finding them in raw text.
        kwargs.setdefault("split_special_tokens", True)
        super().__init__(
            pad_token=pad_token,
            unk_token=unk_token,
            granularity=self.granularity,
            fold=list(self.fold),
            white_space=self.white_space,
            **kwargs,
        )
        if characters:
            self.model_input_names = [*self.model_input_names, "char_input_ids"]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> BiLstmTokenizer:
        """Read a tokenizer.

        Args:
            pretrained_model_name_or_path: Folder or repository of the Hub.
            *args: As in `PreTrainedTokenizerFast.from_pretrained`.
            **kwargs: As in `PreTrainedTokenizerFast.from_pretrained`.

        Returns:
            The tokenizer.

        Raises:
            OSError: If it cannot be reached, or a file of it is damaged.
        """
        try:
            return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        except JSONDecodeError as error:
            raise OSError(
                f"tokenizer.json or tokenizer_config.json of {pretrained_model_name_or_path} is not valid JSON "
                f"({error}): it was cut short or changed. Where it came from the Hub, load it with "
                f"force_download=True; otherwise save the tokenizer again."
            ) from error

    @classmethod
    def from_corpus(
        cls,
        sentences: Iterable[str | Sequence[str]],
        *,
        granularity: str = "char",
        min_frequency: int = 1,
        max_vocab_size: int | None = None,
        extra_tokens: Iterable[str] = (),
        fold: Iterable[str] = (),
        white_space: str = "drop",
        splitting: str | None = None,
        char_width: int = 0,
        extra_characters: Iterable[str] = (),
        **kwargs: Any,
    ) -> BiLstmTokenizer:
        """Build a tokenizer from the tokens of a corpus.

        Args:
            sentences: Raw texts or lists of tokens, in any order: ids go by frequency, ties by code point.
            granularity: "char" or "word".
            min_frequency: Rarer tokens are left to the unknown token.
            max_vocab_size: Most entries of the vocabulary, those for padding, unknown and white space included.
            extra_tokens: Tokens that enter however rare they are, such as those that have pretrained vectors.
            fold: Any of "lower", "width" and "digits", applied before counting.
            white_space: "drop" or "token".
            splitting: None, "treebank" or "punctuation"; for words, None is "treebank".
            char_width: Character ids of a word, for models that look into words; 0 for none. Characters rarer than
                `min_frequency` are left to the unknown one.
            extra_characters: Characters that have an id of their own however rare they are.
            **kwargs: Passed to the class.

        Returns:
            The tokenizer.

        Raises:
            ValueError: If an argument is wrong or no token is left.
        """
        options = check_options(granularity, fold, white_space, splitting)
        specials = [str(kwargs.get("pad_token", "[PAD]")), str(kwargs.get("unk_token", "[UNK]"))]
        reserved = [*specials, " "] if white_space == "token" else specials
        if not is_count(min_frequency, 1):
            raise ValueError(f"min_frequency={min_frequency!r}: it takes a whole number from 1 on.")
        if max_vocab_size is not None and not is_count(max_vocab_size, len(reserved) + 1):
            raise ValueError(f"max_vocab_size={max_vocab_size!r}: it takes None or a number above {len(reserved)}.")
        empty = build_backend({token: i for i, token in enumerate(reserved)}, specials, **options)
        if char_width and not isinstance(sentences, str):
            sentences = list(sentences)
        counts = count_tokens(sentences, granularity, empty)
        extra = set(count_tokens([[token] for token in extra_tokens], granularity, empty))
        counts.update(dict.fromkeys(extra, 0))
        for token in reserved:
            counts.pop(token, None)
        kept = sorted((-n, token) for token, n in counts.items() if n >= min_frequency or token in extra)
        if not kept:
            raise ValueError(
                f"sentences holds no token with min_frequency={min_frequency}: it takes an iterable of texts or of "
                "lists of tokens, and one that was read to its end before is empty."
            )
        tokens = [*reserved, *(token for _, token in kept)][:max_vocab_size]
        vocab = {token: i for i, token in enumerate(tokens)}
        if char_width:
            characters = dict.fromkeys((*frequent_characters(sentences, min_frequency), *extra_characters))
            kwargs |= {"characters": "".join(characters), "char_width": char_width}
        return cls(vocab, **options, **kwargs)

    @classmethod
    def convert_to_native_format(cls, trust_remote_code: bool = False, **kwargs: Any) -> dict[str, Any]:
        """Leave tokenizer.json to `__init__`: the base class would keep its vocabulary and drop the rest."""
        return kwargs

    @property
    def white_space_token(self) -> str | None:
        """Vocabulary entry of a run of white space, None where white space is dropped."""
        return " " if self.white_space == "token" else None

    @property
    def white_space_token_id(self) -> int | None:
        """Id of a run of white space, None where white space is dropped."""
        return self._tokenizer.token_to_id(" ") if self.white_space == "token" else None

    @property
    def char_vocab_size(self) -> int:
        """Number of character ids, 0 where words are not looked into."""
        return NUM_SPECIAL_IDS + len(self.characters) if self.characters else 0

    def train_new_from_iterator(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: the trainers of `tokenizers` would learn word pieces and other ids."""
        raise NotImplementedError(
            "BiLstmTokenizer is not trained; write "
            f"BiLstmTokenizer.from_corpus(texts, granularity={self.granularity!r}, fold={self.fold!r}, "
            f"white_space={self.white_space!r}, max_vocab_size=...)."
        )

    def _add_tokens(self, new_tokens: Sequence[str | AddedToken], special_tokens: bool = False) -> int:
        # The vocabulary holds padding and unknown. Added to the backend as well they would be saved in tokenizer.json,
        # and whoever reads that file alone would find them in raw text.
        new_tokens = [token for token in new_tokens if str(token) not in (self.pad_token, self.unk_token)]
        self._given_words = None
        return super()._add_tokens(new_tokens, special_tokens=special_tokens) if new_tokens else 0

    def _decode(self, token_ids: int | list[int], skip_special_tokens: bool = False, *args: Any, **kwargs: Any) -> str:
        ids = [token_ids] if isinstance(token_ids, int) else token_ids
        if skip_special_tokens:
            specials = set(self.all_special_ids)
            ids = [token_id for token_id in ids if token_id not in specials]
        return super()._decode(ids, False, *args, **kwargs)

    def _convert_token_to_id_with_added_voc(self, token: str) -> int:
        # Each run of white space is a token by its own text, and all have one id.
        is_run = self.white_space == "token" and bool(token) and not token.strip(WHITE_SPACE)
        return super()._convert_token_to_id_with_added_voc(" " if is_run else token)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_given_words": None}

    def _encode_plus(  # type: ignore[override]  # the arguments that it does not look at are passed on
        self,
        text: str | list[str] | list[list[str]],
        text_pair: str | list[str] | list[list[str]] | None = None,
        return_char_input_ids: bool = True,
        **kwargs: Any,
    ) -> BatchEncoding:
        is_split = kwargs.get("is_split_into_words", False)
        is_batch_of_none = isinstance(text, (list, tuple)) and not text and not is_split
        encoder = self
        if is_split and self.granularity == "word":
            check_given_words(text)
            # A shallow copy with another backend, so that self is not changed for a moment under another thread. That
            # backend does not know the padding token, hence its id.
            encoder = copy.copy(self)
            vars(encoder).update(_tokenizer=self._given_words_backend(), pad_token_id=self.pad_token_id)
        encoded = super(BiLstmTokenizer, encoder)._encode_plus(
            [""] if is_batch_of_none else text, text_pair=text_pair, **kwargs
        )
        offsets: Any = encoded.get("offset_mapping")
        if getattr(offsets, "ndim", None) == 2:
            # Without any token the pairs left no trace in the shape: (B, 0) stands for (B, 0, 2).
            encoded["offset_mapping"] = offsets.reshape(*offsets.shape, 2)
        if self.character_table is not None and return_char_input_ids:
            self._add_characters(
                self.character_table, encoded, [""] if is_batch_of_none else text, text_pair, is_split
            )
        if is_batch_of_none:
            return BatchEncoding({key: value[:0] for key, value in encoded.items()}, [])
        self._report_truncation(encoded, **kwargs)
        return encoded

    def _add_characters(
        self, table: CharacterTable, encoded: BatchEncoding, text: Any, text_pair: Any, is_split: bool
    ) -> None:
        """Add the characters of every token, in the form that the other values have."""
        is_batch = isinstance(text, (list, tuple)) and (not is_split or (bool(text) and not isinstance(text[0], str)))
        texts = text if is_batch else [text]
        pairs = (text_pair if is_batch else [text_pair]) if text_pair else [""] * len(texts)
        encodings = encoded.encodings or []
        owners: Any = encoded.get("overflow_to_sample_mapping")
        rows = [
            table.look_up(_written(encoding, (texts[owner], pairs[owner]), is_split))
            for encoding, owner in zip(encodings, range(len(texts)) if owners is None else owners, strict=True)
        ]
        input_ids = encoded["input_ids"]
        if not isinstance(input_ids, list):
            values = np.stack(rows).astype(np.int64)
            encoded["char_input_ids"] = torch.from_numpy(values) if isinstance(input_ids, torch.Tensor) else values
        else:
            is_flat = not is_batch and owners is None
            encoded["char_input_ids"] = rows[0].tolist() if is_flat else [row.tolist() for row in rows]

    def _pad(self, encoded_inputs: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        given = len(encoded_inputs["input_ids"])
        padded = super()._pad(encoded_inputs, *args, **kwargs)
        missing = len(padded["input_ids"]) - given
        if missing and "char_input_ids" in padded:
            padding = [[0] * self.char_width] * missing
            side = kwargs.get("padding_side") or self.padding_side
            rows = list(padded["char_input_ids"])
            padded["char_input_ids"] = rows + padding if side == "right" else padding + rows
        return padded

    def _given_words_backend(self) -> Tokenizer:
        """Give the backend that looks up given words whole; the padding token is no word of its vocabulary."""
        if self._given_words is None:
            vocab = {token: i for token, i in self.get_vocab().items() if token != self.pad_token}
            backend = Tokenizer(models.WordLevel(vocab, unk_token=self.unk_token))
            backend.normalizer = self._tokenizer.normalizer
            backend.post_processor = self._tokenizer.post_processor
            self._given_words = backend
        return self._given_words

    def _report_truncation(
        self,
        encoded: BatchEncoding,
        truncation_strategy: TruncationStrategy = TruncationStrategy.DO_NOT_TRUNCATE,
        stride: int = 0,
        return_overflowing_tokens: bool = False,
        **kwargs: Any,
    ) -> None:
        """Log how many texts and tokens were cut, if any; what overflows into further rows is not cut."""
        if truncation_strategy == TruncationStrategy.DO_NOT_TRUNCATE or return_overflowing_tokens:
            return
        encodings = encoded.encodings or []
        # Each overflowing piece repeats `stride` tokens of the one before it.
        cut = [
            sum(sum(piece.attention_mask) - stride for piece in encoding.overflowing)
            for encoding in encodings
            if encoding.overflowing
        ]
        if cut:
            logger.warning(
                f"Truncation to max_length={kwargs.get('max_length')} cut {sum(cut)} tokens from {len(cut)} of "
                f"{len(encodings)} texts; the model itself has no maximum length."
            )


def _written(encoding: Encoding, texts: tuple[Any, Any], is_split: bool) -> list[str]:
    """Give every token of a text, or of a pair of texts, as it is written there; padding is empty."""
    numbers = encoding.sequence_ids if texts[1] else [0] * len(encoding)
    places = zip(encoding.offsets, encoding.word_ids, numbers, strict=True)
    if is_split:
        return ["" if word is None else texts[number or 0][word][slice(*span)] for span, word, number in places]
    return [texts[number or 0][start:end] for (start, end), _, number in places]


__all__ = ["BiLstmTokenizer"]
