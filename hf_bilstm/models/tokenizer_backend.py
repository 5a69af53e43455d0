"""What tokenizer.json holds: folding, splitting and look-up, as a `tokenizers` pipeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from .word_splitting import SPLITTINGS

GRANULARITIES = ("char", "word")
WHITE_SPACE_MODES = ("drop", "token")
# Each folding with a character that it alone changes, and the result: a backend's foldings are read off by trying.
_FOLD_PROBES = {"lower": ("Ä", "ä"), "width": ("！", "!"), "digits": ("٣", "0")}
FOLDS = tuple(_FOLD_PROBES)
# Unicode's White_Space, which is what the backend splits at. `str.isspace` also takes U+001C to U+001F.
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


def is_count(value: Any, least: int) -> bool:
    """Tell whether a value is a whole number from `least` on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_options(
    granularity: str, fold: Iterable[str], white_space: str, splitting: str | None = None
) -> dict[str, Any]:
    """Check the options, and return them with `fold` as a tuple in its own order and a `splitting` for words."""
    if granularity not in GRANULARITIES:
        raise ValueError(f"granularity={granularity!r}: it takes one of {GRANULARITIES}.")
    if not isinstance(fold, (list, tuple, set, frozenset)) or any(name not in FOLDS for name in fold):
        raise ValueError(f"fold={fold!r}: it takes a tuple of any of {FOLDS}.")
    if white_space not in WHITE_SPACE_MODES:
        raise ValueError(f"white_space={white_space!r}: it takes one of {WHITE_SPACE_MODES}.")
    if granularity == "word" and white_space == "token":
        raise ValueError("white_space='token' takes granularity='char'; words are split at white space.")
    if splitting is not None and granularity == "char":
        raise ValueError(f"splitting={splitting!r} takes granularity='word': characters are not split.")
    if splitting is not None and splitting not in SPLITTINGS:
        raise ValueError(f"splitting={splitting!r}: it takes one of {tuple(SPLITTINGS)}.")
    return {
        "granularity": granularity,
        "fold": tuple(name for name in FOLDS if name in fold),
        "white_space": white_space,
        "splitting": (splitting or "treebank") if granularity == "word" else None,
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


def build_backend(
    vocab: dict[str, int],
    specials: list[str],
    granularity: str,
    fold: tuple[str, ...],
    white_space: str,
    splitting: str | None,
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
    if splitting is not None:
        make_splitter, _ = SPLITTINGS[splitting]
        backend.pre_tokenizer = make_splitter()
    else:
        split, chars = pre_tokenizers.WhitespaceSplit(), pre_tokenizers.FixedLength(1)
        backend.pre_tokenizer = chars if white_space == "token" else pre_tokenizers.Sequence([split, chars])
        backend.decoder = decoders.Fuse()
    for token in specials:
        if len(backend.pre_tokenizer.pre_tokenize_str(token)) < 2:
            raise ValueError(f"{token!r} could stand in a text: pad_token and unk_token take a text like '[PAD]'.")
    if white_space == "token":
        backend.add_tokens([AddedToken(" ", rstrip=True, normalized=True)])
    return backend


def read_options(backend: Tokenizer, expected: dict[str, Any] | None = None) -> dict[str, Any]:
    """Read granularity, foldings, white space and splitting off what a backend does; refuse others than expected."""
    normalize = backend.normalizer.normalize_str if backend.normalizer else str
    pieces = [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str("don't")]
    splitting = next((name for name, (_, probe) in SPLITTINGS.items() if probe == pieces), None)
    is_char = splitting is None
    has_token = is_char and any(token.content == " " for token in backend.get_added_tokens_decoder().values())
    built_in: dict[str, Any] = {
        "granularity": "char" if is_char else "word",
        "fold": tuple(name for name, (before, after) in _FOLD_PROBES.items() if normalize(before) == after),
        "white_space": "token" if has_token else "drop",
        "splitting": splitting,
    }
    for name, value in (expected or {}).items():
        if value != built_in[name]:
            raise ValueError(f"{name}={value!r}: what was read is built for {built_in[name]!r}; leave it out.")
    return built_in


def count_tokens(sentences: Iterable[str | Sequence[str]], granularity: str, backend: Tokenizer) -> Counter[str]:
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


def check_given_words(text: Any) -> None:
    """Refuse an empty or white given word, in one list of words or in several."""
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
