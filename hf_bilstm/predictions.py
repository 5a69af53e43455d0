"""What `hf-bilstm predict` prints: lines of text in, lines of JSON, of words or of words with tags out."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any


def read_lines(name: str) -> Iterator[str]:
    """Read a file's lines, parted at line feeds alone; a carriage return before one is part of the line's end.

    Args:
        name: The file, UTF-8; "-" is standard input.

    Yields:
        The lines.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If a line is not UTF-8.
    """
    data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n") if data else [], start=1):
        try:
            yield line.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{name}, line {number}: not UTF-8 at byte {error.start + 1}; convert the file."
            ) from None


def answer(texts: list[str], own: Namespace) -> Iterator[str]:
    """Tag or classify texts.

    Args:
        texts: The texts.
        own: The options of `hf-bilstm predict`.

    Yields:
        A line of output for each.

    Raises:
        ValueError: If options do not go together, or with the model.
    """
    return (_answer_natively if own.runtime == "native" else _answer)(texts, own)


def _write_tagged(texts: list[str], results: Iterable[Any], line_format: str) -> Iterator[str]:
    return (_LINES[line_format](text, found) for text, found in zip(texts, results, strict=True))


def _answer(texts: list[str], own: Namespace) -> Iterator[str]:
    """Tag or classify texts with the model in PyTorch."""
    from transformers import AutoTokenizer

    from hf_bilstm import BiLstmForSequenceClassification, TaggingPipeline, UserDictionary
    from hf_bilstm.checkpoints import load_model

    dictionary = UserDictionary.from_file(own.dictionary, own.force) if own.dictionary else None
    model, tokenizer = load_model(own.model), AutoTokenizer.from_pretrained(own.model)
    if isinstance(model, BiLstmForSequenceClassification):
        if own.format != "json" or own.dictionary or own.tagset or own.num_processes:
            raise ValueError(
                f"{own.model} classifies texts: leave out --format, --tagset, --dictionary and --num_processes."
            )
        return _classify(model, tokenizer, texts, own.batch_size or 128)
    options: dict[str, Any] = {"return_words": True} if own.format == "words" else {"tagset": own.tagset}
    options |= {"batch_size": own.batch_size, "num_processes": own.num_processes, "dictionary": dictionary}
    tagger = TaggingPipeline(model=model, tokenizer=tokenizer, **options)
    return _write_tagged(texts, tagger(text for text in texts), own.format)


def _answer_natively(texts: list[str], own: Namespace) -> Iterator[str]:
    """Tag or classify texts with the model in NumPy."""
    for option in ("batch_size", "num_processes", "dictionary", "tagset"):
        if getattr(own, option) is not None:
            raise ValueError(f"--{option} goes with --runtime torch; leave one of the two out.")
    try:
        from bilstm_native import load
    except ImportError as error:
        raise ValueError(f"--runtime native: {error}. pip install 'hf_bilstm[native]'") from error
    model = load(own.model)
    if not hasattr(model, "words"):
        if own.format != "json":
            raise ValueError(f"{own.model} classifies texts: leave out --format.")
        return _write_classified(texts, model(texts))
    return _write_tagged(texts, model.words(texts) if own.format == "words" else model(texts), own.format)


def _classify(model: Any, tokenizer: Any, texts: list[str], batch_size: int) -> Iterator[str]:
    """Classify texts, those of like length together."""
    from transformers import TextClassificationPipeline

    classifier = TextClassificationPipeline(model=model, tokenizer=tokenizer, batch_size=batch_size)
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    answers: list[Any] = [None] * len(texts)
    for place, answer in zip(order, classifier([texts[place] for place in order], top_k=None), strict=True):
        answers[place] = answer
    return _write_classified(texts, answers)


def _write_classified(texts: list[str], answers: list[list[dict[str, Any]]]) -> Iterator[str]:
    for text, labels in zip(texts, answers, strict=True):
        scores = {item["label"]: item["score"] for item in labels}
        line = {"text": text, "label": labels[0]["label"], "score": labels[0]["score"], "scores": scores}
        yield json.dumps(line, ensure_ascii=False)


def _json_line(text: str, entities: list[dict[str, Any]]) -> str:
    return json.dumps({"text": text, "entities": entities}, ensure_ascii=False)


def _words_line(text: str, words: list[str]) -> str:
    return " ".join(words)


def _word_tag_line(text: str, spans: list[dict[str, Any]]) -> str:
    """Write `word/TAG` for every word; what is outside of spans is tagged `O`, so that no text is missing."""
    from hf_bilstm.data import write_word_pos

    words: list[tuple[str, str]] = []
    end = 0
    for span in [*spans, {"start": len(text), "end": len(text), "word": ""}]:
        words += [(word, "O") for word in text[end : span["start"]].split()]
        words += [(part, span["entity_group"]) for part in span["word"].split()]
        end = span["end"]
    return write_word_pos(words)


_LINES: dict[str, Callable[[str, Any], str]] = {"json": _json_line, "words": _words_line, "word_tag": _word_tag_line}
