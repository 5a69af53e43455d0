"""What a model card says of the data, the speed and the versions: counted and measured, never stated by hand."""

from __future__ import annotations

import os
import platform
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TextClassificationPipeline

from hf_bilstm.models.pipeline_bilstm import TaggingPipeline
from hf_bilstm.models.tagging_schemes import OUTSIDE, Span, tags_to_spans
from hf_bilstm.version import __version__

if TYPE_CHECKING:
    from datasets import Dataset

_EXAMPLES = 3  # sentences, and words of each type
_LONGEST_WORD = 20
_WANTED_LENGTH = 30  # characters of an example, where there is a choice
_TIMED_SECONDS = 0.5
_MOST_CHARACTERS = 200_000
_LIBRARIES = ("transformers", "torch", "tokenizers", "datasets")
# Scripts of one language, as names of characters begin; Han alone is Chinese, kana beside it make Japanese.
_SCRIPTS = {"HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "zh", "THAI": "th"}
_SURE = 0.9


def describe_data(
    splits: Mapping[str, Dataset | None], plain: bool, separator: str | None = None, texts: Sequence[str] = ()
) -> dict[str, Any]:
    """Count and exemplify the data of a training.

    Args:
        splits: "train", "validation" and "test", as far as they are there: columns `tokens` and `tags`, or `text` and
            `label`.
        plain: Whether tags are plain rather than IOB2.
        separator: What stands between tokens in a text, "" or " "; told from the tokens if None.
        texts: Examples to show in place of the data's own, of which nothing is then shown.

    Returns:
        `splits`, with numbers of `sentences`, `tokens` and (unless plain) `spans` of each; `language`, a list that is
        empty where the script does not tell; `examples`, tokens of the sentences richest in types, of validation data
        if there is any; `types`, with the most frequent words of each type in the training data; and `separator`. All
        fit for JSON.
    """
    given = {name: split for name, split in splits.items() if split is not None}
    if not given:
        return {}
    first = next(iter(given.values()))
    if "label" in first.column_names:
        return show_instead(_describe_texts(given), texts)
    separator = token_separator(first["tokens"]) if separator is None else separator
    spans = {name: [read_spans(tags, plain) for tags in split["tags"]] for name, split in given.items()}
    shown = next(name for name in ("validation", "train", *given) if name in given)
    counts = {}
    for name, split in given.items():
        counts[name] = {"sentences": len(split), "tokens": sum(map(len, split["tokens"]))}
        if not plain:
            counts[name]["spans"] = sum(map(len, spans[name]))
    exemplifying = next(name for name in ("train", *given) if name in given)
    described = {
        "splits": counts,
        "language": tell_language(token for tokens in islice(first["tokens"], 10_000) for token in tokens),
        "examples": _richest(given[shown]["tokens"], spans[shown], separator),
        "types": _frequent_words(given[exemplifying]["tokens"], spans[exemplifying], separator),
        "separator": separator,
    }
    return show_instead(described, texts)


def _describe_texts(given: Mapping[str, Dataset]) -> dict[str, Any]:
    """Describe labelled texts in the form of `describe_data`, a text for one token of it."""
    shown = given.get("validation", next(iter(given.values())))
    one_a_label: dict[str, str] = {}
    for text, label in zip(shown["text"], shown["label"], strict=True):
        best = one_a_label.get(label)
        if text.isprintable() and (best is None or _distance(text) < _distance(best)):
            one_a_label[label] = text
    return {
        "splits": {
            name: {"texts": len(split), "characters": sum(map(len, split["text"]))} for name, split in given.items()
        },
        "language": tell_language(islice(next(iter(given.values()))["text"], 10_000)),
        "examples": [[one_a_label[label]] for label in sorted(one_a_label)[:_EXAMPLES]],
        "types": {},
        "separator": "",
    }


def _distance(text: str) -> int:
    """How far a text is from the length that reads well."""
    return abs(len(text) - _WANTED_LENGTH)


def show_instead(described: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    """Put other texts in the place of the data's own sentences and words, if there are any.

    Args:
        described: What `describe_data` gives.
        texts: The texts.

    Returns:
        A description.
    """
    if not texts or not described:
        return dict(described)
    examples = [list(text) if described["separator"] == "" else text.split() for text in texts]
    return {**described, "examples": examples, "types": {}}


def text_separator(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Tell what stands between tokens in a text of a tagger: a space if it tags words, else what the data says."""
    return " " if getattr(tokenizer, "granularity", "char") == "word" else None


def read_spans(tags: Sequence[str], plain: bool) -> list[Span]:
    """Read the spans of a sentence's tags; every token is one where tags are plain."""
    if plain:
        return [Span(tag, place, place + 1) for place, tag in enumerate(tags)]
    return [span for span in tags_to_spans(tags, "iob2") if span.label != OUTSIDE]


def token_separator(sentences: Iterable[Sequence[str]]) -> str:
    """Tell what stands between tokens in a text: nothing where most of them are single characters."""
    lengths = Counter(len(token) == 1 for tokens in islice(sentences, 1000) for token in tokens)
    return "" if lengths[True] > lengths[False] else " "


def tell_language(tokens: Iterable[str]) -> list[str]:
    """Tell the language of a text where its script is that of one language alone.

    Args:
        tokens: Pieces of the text.

    Returns:
        One ISO 639-1 code if nine in ten letters are of such a script, or else none: Latin, Cyrillic or Arabic
        letters, say, are those of many languages.
    """
    letters: Counter[str] = Counter()
    for token in tokens:
        letters.update(character for character in token if character.isalpha())
    found: Counter[str] = Counter()
    for letter, number in letters.items():
        script = unicodedata.name(letter, "").replace("-", " ").partition(" ")[0]
        found[_SCRIPTS.get(script, "")] += number
    if (
        found["ja"] and found["ja"] * 20 >= found["ja"] + found["zh"]
    ):  # Japanese has more kana than that, Chinese hardly any
        found["ja"] += found.pop("zh", 0)
    code, number = max(found.items(), key=lambda item: item[1], default=("", 0))
    return [code] if code and number >= _SURE * found.total() else []


def measure_speed(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]] | Sequence[str]
) -> dict[str, Any]:
    """Measure how fast a pipeline answers, on this machine as it now is: TaggingPipeline, or the stock one of texts.

    Args:
        model: A tagger or a classifier.
        tokenizer: Its tokenizer.
        sentences: Tokens of each sentence; they are tagged as texts, or as given words by a tagger of words. Texts are
            classified.

    Returns:
        `characters_per_second`, the number of `characters` it was measured on, the kind of `device`, and the numbers
        of `cores` and `threads`.
    """
    classifies = bool(len(sentences)) and isinstance(sentences[0], str)
    is_split = not classifies and text_separator(tokenizer) is not None
    separator = "" if classifies else token_separator(sentences)
    inputs: list[Any] = []
    characters = 0
    for tokens in sentences:
        text = separator.join(tokens)
        inputs.append(list(tokens) if is_split else text)
        characters += sum(map(len, tokens)) if is_split else len(text)
        if characters >= _MOST_CHARACTERS:
            break
    answer: Any
    if classifies:
        answer = TextClassificationPipeline(model=model, tokenizer=tokenizer, device=model.device, batch_size=128)
    else:
        answer = TaggingPipeline(model=model, tokenizer=tokenizer, device=model.device, is_split_into_words=is_split)
    answer(inputs[:20])  # the first calls of all are slower
    passes, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < _TIMED_SECONDS:
        answer(inputs)
        passes += 1
    return {
        "characters_per_second": round(passes * characters / seconds),
        "characters": characters,
        "device": model.device.type,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def library_versions() -> dict[str, str]:
    """Name the versions that are in use: Python's, the package's and those of what it stands on."""
    own = {"Python": platform.python_version(), "hf_bilstm": __version__}
    return {**own, **{name: version(name) for name in _LIBRARIES}}


def _richest(sentences: Sequence[Sequence[str]], spans: Sequence[Sequence[Span]], separator: str) -> list[list[str]]:
    """Pick the sentences with the most types, and of these the ones of a length that reads well."""

    def rank(place: int) -> tuple[int, int]:
        length = len(separator.join(sentences[place]))
        return -len({span.label for span in spans[place]}), abs(length - _WANTED_LENGTH)

    places = [place for place, tokens in enumerate(sentences) if all(map(str.isprintable, tokens))]
    return [list(sentences[place]) for place in sorted(places, key=rank)[:_EXAMPLES]]


def _frequent_words(
    sentences: Iterable[Sequence[str]], spans: Iterable[Sequence[Span]], separator: str
) -> dict[str, list[str]]:
    words: dict[str, Counter[str]] = {}
    for tokens, of_sentence in zip(sentences, spans, strict=True):
        for label, start, end in of_sentence:
            word = separator.join(tokens[start:end])
            if len(word) <= _LONGEST_WORD and word.isprintable():
                words.setdefault(label, Counter())[word] += 1
    return {label: [word for word, _ in words[label].most_common(_EXAMPLES)] for label in sorted(words)}
