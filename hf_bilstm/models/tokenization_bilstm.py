"""Tokenizer of the BiLSTM taggers: one token a character, or one token a word.

Whatever concerns raw text stands in tokenizer.json, so that a checkpoint read by a generic class, or by `tokenizers`
alone, gives the same ids and offsets. The class adds given words (`is_split_into_words=True`), empty batches and the
report on truncation.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import BatchEncoding, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import TruncationStrategy
from transformers.utils import logging

logger = logging.get_logger(__name__)

GRANULARITIES = ("char", "word")
WHITE_SPACE_MODES = ("drop", "token")
# Each folding with a character that it alone changes, and the result: a backend's foldings are read off by trying.
_FOLD_PROBES = {"lower": ("Ä", "ä"), "width": ("！", "!"), "digits": ("٣", "0")}
FOLDS = tuple(_FOLD_PROBES)
# Unicode's White_Space, which is what the backend splits at. `str.isspace` also takes U+001C to U+001F.
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


class BiLstmTokenizer(PreTrainedTokenizerFast):
    """Character or word tokenizer without special tokens, merges or a maximum length.

    Built by `from_corpus`, read by `from_pretrained`, or made from a vocabulary:

        >>> BiLstmTokenizer.from_corpus(["北京 大学"])("北 大").tokens()
        ['北', '大']

    Args:
        vocab: Ids of the tokens, 0 to n - 1: `pad_token` 0, `unk_token` 1, and " " 2 if `white_space` is "token".
        granularity: "char" (default): one character is one token. "word": raw text is split at white space, and each
            punctuation character is a token; a given word is one token whatever it contains.
        fold: Any of "lower", "width" (U+FF01 to U+FF5E become ASCII) and "digits" (decimal digits become 0). Each
            replaces one character by one, so that offsets stay those of the raw text.
        white_space: "drop" (default): white space is no token. "token" (characters only): a run of white space is one.
        pad_token: Text of the padding token. It is never found in text.
        unk_token: Text of the unknown token. It is never found in text.
        tokenizer_file: A tokenizer.json to read instead of `vocab`; it holds the options, which need not be given.
        tokenizer_object: A `tokenizers.Tokenizer` to copy instead of `vocab`.
        **kwargs: Passed to `PreTrainedTokenizerFast`, such as `padding_side` and `model_max_length`.

    Attributes:
        granularity: As above.
        fold: As above, a tuple.
        white_space: As above.

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
        pad_token: str | AddedToken = "[PAD]",
        unk_token: str | AddedToken = "[UNK]",
        tokenizer_file: str | None = None,
        tokenizer_object: Tokenizer | None = None,
        **kwargs: Any,
    ) -> None:
        options: dict[str, Any] = {"granularity": granularity, "fold": fold, "white_space": white_space}
        given = {name: value for name, value in options.items() if value is not None}
        options = _check_options(**{"granularity": "char", "fold": (), "white_space": "drop", **given})
        specials = [str(pad_token), str(unk_token)]
        if tokenizer_object is not None:
            backend = copy.deepcopy(tokenizer_object)
        elif tokenizer_file is not None:
            backend = Tokenizer.from_file(str(tokenizer_file))
        elif vocab is not None:
            backend = _build_backend(vocab, specials, **options)
        else:
            raise ValueError("BiLstmTokenizer takes vocab, tokenizer_file or tokenizer_object; from_corpus makes one.")
        if [backend.token_to_id(token) for token in specials] != [0, 1]:
            raise ValueError(f"pad_token and unk_token take the texts of the tokens 0 and 1, not {specials}.")
        built_in = _read_options(backend)
        for name in given:
            if options[name] != built_in[name]:
                raise ValueError(
                    f"{name}={options[name]!r}: what was read is built for {built_in[name]!r}; leave it out."
                )
        self._tokenizer = backend
        self.granularity: str = built_in["granularity"]
        self.fold: tuple[str, ...] = built_in["fold"]
        self.white_space: str = built_in["white_space"]
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

    @classmethod
    def from_corpus(
        cls,
        sentences: Iterable[str | Sequence[str]],
        *,
        granularity: str = "char",
        min_frequency: int = 1,
        max_vocab_size: int | None = None,
        fold: Iterable[str] = (),
        white_space: str = "drop",
        **kwargs: Any,
    ) -> BiLstmTokenizer:
        """Build a tokenizer from the tokens of a corpus.

        Args:
            sentences: Raw texts or lists of tokens, in any order: ids go by frequency, ties by code point.
            granularity: "char" or "word".
            min_frequency: Rarer tokens are left to the unknown token.
            max_vocab_size: Most entries of the vocabulary, those for padding, unknown and white space included.
            fold: Any of "lower", "width" and "digits", applied before counting.
            white_space: "drop" or "token".
            **kwargs: Passed to the class.

        Returns:
            The tokenizer.

        Raises:
            ValueError: If an argument is wrong or no token is left.
        """
        options = _check_options(granularity, fold, white_space)
        specials = [str(kwargs.get("pad_token", "[PAD]")), str(kwargs.get("unk_token", "[UNK]"))]
        reserved = [*specials, " "] if white_space == "token" else specials
        if not _is_count(min_frequency, 1):
            raise ValueError(f"min_frequency={min_frequency!r}: it takes a whole number from 1 on.")
        if max_vocab_size is not None and not _is_count(max_vocab_size, len(reserved) + 1):
            raise ValueError(f"max_vocab_size={max_vocab_size!r}: it takes None or a number above {len(reserved)}.")
        empty = _build_backend({token: i for i, token in enumerate(reserved)}, specials, **options)
        counts = _count_tokens(sentences, granularity, empty)
        for token in reserved:
            counts.pop(token, None)
        kept = sorted((-n, token) for token, n in counts.items() if n >= min_frequency)
        if not kept:
            raise ValueError(
                f"sentences holds no token with min_frequency={min_frequency}: it takes an iterable of texts or of "
                "lists of tokens, and one that was read to its end before is empty."
            )
        tokens = [*reserved, *(token for _, token in kept)][:max_vocab_size]
        vocab = {token: i for i, token in enumerate(tokens)}
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
        **kwargs: Any,
    ) -> BatchEncoding:
        is_split = kwargs.get("is_split_into_words", False)
        is_batch_of_none = isinstance(text, (list, tuple)) and not text and not is_split
        encoder = self
        if is_split and self.granularity == "word":
            _check_given_words(text)
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
        if is_batch_of_none:
            return BatchEncoding({key: value[:0] for key, value in encoded.items()}, [])
        self._report_truncation(encoded, **kwargs)
        return encoded

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


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _check_options(granularity: str, fold: Iterable[str], white_space: str) -> dict[str, Any]:
    """Check the options, and return them with `fold` as a tuple in its own order."""
    if granularity not in GRANULARITIES:
        raise ValueError(f"granularity={granularity!r}: it takes one of {GRANULARITIES}.")
    if not isinstance(fold, (list, tuple, set, frozenset)) or any(name not in FOLDS for name in fold):
        raise ValueError(f"fold={fold!r}: it takes a tuple of any of {FOLDS}.")
    if white_space not in WHITE_SPACE_MODES:
        raise ValueError(f"white_space={white_space!r}: it takes one of {WHITE_SPACE_MODES}.")
    if granularity == "word" and white_space == "token":
        raise ValueError("white_space='token' takes granularity='char'; words are split at white space.")
    return {
        "granularity": granularity,
        "fold": tuple(name for name in FOLDS if name in fold),
        "white_space": white_space,
    }


def _build_normalizer(fold: Sequence[str], white_space: str) -> normalizers.Normalizer | None:
    steps: list[normalizers.Normalizer] = []
    if "lower" in fold:
        # The only character whose lower case is two.
        steps += [normalizers.Replace("\u0130", "i"), normalizers.Lowercase()]
    if "digits" in fold:
        steps.append(normalizers.Replace(Regex(r"\p{Nd}"), "0"))
    if "width" in fold:
        # NFKC and SentencePiece's character maps are faster, but both change other text: here one step a character.
        so_far = normalizers.Sequence(steps)
        wide = [chr(code) for code in range(0xFF01, 0xFF5F) if so_far.normalize_str(chr(code)) == chr(code)]
        steps += [normalizers.Replace(char, chr(ord(char) - 0xFEE0)) for char in wide]
    if white_space == "token":
        # Every run becomes " " and then line feeds, so that the added token " " is found in it once.
        steps += [
            normalizers.Replace(Regex(r"(?<=\s)\s"), "\n"),
            normalizers.Replace(Regex(r"(?<!\s)\s"), " "),
        ]
    return normalizers.Sequence(steps) if steps else None


def _build_backend(
    vocab: dict[str, int], specials: list[str], granularity: str, fold: tuple[str, ...], white_space: str
) -> Tokenizer:
    """Build the `tokenizers` pipeline, which is all that tokenizer.json holds."""
    if sorted(vocab.values()) != list(range(len(vocab))):
        raise ValueError(f"vocab takes the ids 0 to {len(vocab) - 1}, each once.")
    reserved = [*specials, " "] if white_space == "token" else specials
    if [vocab.get(token) for token in reserved] != list(range(len(reserved))):
        raise ValueError(f"vocab takes {reserved} with the ids 0 to {len(reserved) - 1}, in this order.")
    if granularity == "char" and (long := [t for t in vocab if len(t) != 1 and t not in reserved]):
        raise ValueError(f"vocab holds {long[0]!r}: granularity='char' takes tokens of one character.")
    # WordPiece over single pieces is a plain look-up. It is chosen for its prefix, by which the stock pipeline knows
    # that every token is a word of its own; the prefix must begin no token, or a word could be cut in two.
    prefix = "##"
    while any(token.startswith(prefix) for token in vocab):
        prefix += "#"
    longest = max(map(len, vocab))
    backend = Tokenizer(
        models.WordPiece(
            vocab, unk_token=specials[1], continuing_subword_prefix=prefix, max_input_chars_per_word=longest
        )
    )
    normalizer = _build_normalizer(fold, white_space)
    if normalizer is not None:
        backend.normalizer = normalizer
    split = pre_tokenizers.WhitespaceSplit()
    if granularity == "word":
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.Punctuation("isolated")])
    else:
        chars = pre_tokenizers.FixedLength(1)
        backend.pre_tokenizer = chars if white_space == "token" else pre_tokenizers.Sequence([split, chars])
        backend.decoder = decoders.Fuse()
    for token in specials:
        if len(backend.pre_tokenizer.pre_tokenize_str(token)) < 2:
            raise ValueError(f"{token!r} could stand in a text: pad_token and unk_token take a text like '[PAD]'.")
    if white_space == "token":
        backend.add_tokens([AddedToken(" ", rstrip=True, normalized=True)])
    return backend


def _read_options(backend: Tokenizer) -> dict[str, Any]:
    """Read granularity, foldings and white space off what a backend does."""
    normalize = backend.normalizer.normalize_str if backend.normalizer else str
    is_char = len(backend.pre_tokenizer.pre_tokenize_str("ab")) == 2
    has_token = is_char and any(token.content == " " for token in backend.get_added_tokens_decoder().values())
    return {
        "granularity": "char" if is_char else "word",
        "fold": tuple(name for name, (before, after) in _FOLD_PROBES.items() if normalize(before) == after),
        "white_space": "token" if has_token else "drop",
    }


def _count_tokens(sentences: Iterable[str | Sequence[str]], granularity: str, backend: Tokenizer) -> Counter[str]:
    """Count the folded tokens of a corpus, white space left out."""
    if isinstance(sentences, str):
        raise ValueError("sentences is one string: it takes an iterable of strings or of lists of tokens.")
    normalize = backend.normalizer.normalize_str if backend.normalizer else str
    raw: Counter[str] = Counter()
    for i, sentence in enumerate(sentences):
        is_text = isinstance(sentence, str)
        if not is_text and not (isinstance(sentence, (list, tuple)) and all(isinstance(t, str) for t in sentence)):
            raise ValueError(f"sentences[{i}] is {sentence!r:.80}: it takes a string or a list of tokens.")
        if granularity == "char":
            raw.update(sentence if is_text else "".join(sentence))
        elif is_text:
            raw.update(piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str(normalize(sentence)))
        else:
            _check_words(sentence, f"sentences[{i}]")
            raw.update(sentence)
    counts: Counter[str] = Counter()
    # Each distinct token is folded once: a folding looks at nothing but the one character that it replaces.
    for token, count in raw.items():
        if token.strip(WHITE_SPACE):
            counts[normalize(token)] += count
    return counts


def _check_given_words(text: Any) -> None:
    if text and not isinstance(text[0], str):
        for i, words in enumerate(text):
            _check_words(words, f"text[{i}]")
    else:
        _check_words(text, "text")


def _check_words(words: Sequence[str], where: str) -> None:
    for i, word in enumerate(words):
        if isinstance(word, str) and not word.strip(WHITE_SPACE):
            raise ValueError(
                f"{where}[{i}] is {word!r}: a given word takes at least one character besides white space."
            )
