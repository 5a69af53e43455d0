"""Measure what a dictionary of 100,000 words costs: to load, and in tagging, side by side with none.

    python scripts/benchmark_dictionary.py outputs/quickstart_segmentation TEXT_FILE

A tenth of the words are stretches of 2 to 5 characters of the text itself, so that many are found; the others are made
up of its characters.
Prints one JSON object; times are seconds of the processor, one thread, medians over rounds in which both take turns.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from hf_bilstm import TaggingPipeline, UserDictionary

NUM_WORDS = 100_000
ROUNDS = 7
TEXT_LIMIT = 100_000


def make_words(text: str) -> list[str]:
    """Draw a tenth of the words from a text, and make up the others of its characters."""
    generator = random.Random(0)
    characters = sorted(set(text) - set(" \n\t\r\u3000"))
    words: dict[str, None] = {}
    for number in itertools.count():
        if len(words) == NUM_WORDS:
            break
        size, start = generator.randint(2, 5), generator.randrange(len(text) - 5)
        drawn = text[start : start + size]
        made_up = "".join(generator.choices(characters, k=size))
        words[drawn if number % 10 == 0 and not set(drawn) & set(" \n\t\r\u3000") else made_up] = None
    return list(words)


def seconds(action: Callable[[], Any]) -> float:
    """Time an action by the processor's clock, which stands still while other work has the core."""
    start = time.process_time()
    action()
    return time.process_time() - start


def main(model_name: str, text_file: str) -> None:
    """Measure, and print the figures."""
    torch.set_num_threads(1)
    text = Path(text_file).read_text(encoding="utf-8")[:TEXT_LIMIT]
    texts = [line for line in text.split("\n") if line]
    tokenizer = AutoTokenizer.from_pretrained(model_name)
    model = AutoModelForTokenClassification.from_pretrained(model_name)
    tagger = TaggingPipeline(model=model, tokenizer=tokenizer, num_workers=1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "words.txt")
        file.write_text("\n".join(f"{word}\t5" for word in make_words(text)), encoding="utf-8")
        # Reading the file and binding it to the model, which the first call does.
        load = [seconds(lambda: tagger("", dictionary=UserDictionary.from_file(file))) for _ in range(ROUNDS)]
        dictionary = UserDictionary.from_file(file)
    without, with_it = [], []
    for _ in range(ROUNDS):
        without.append(seconds(lambda: tagger(texts, return_words=True)))
        with_it.append(seconds(lambda: tagger(texts, return_words=True, dictionary=dictionary)))
    costs = [after / before - 1 for before, after in zip(without, with_it, strict=True)]
    figures = {
        "words": NUM_WORDS,
        "characters": sum(map(len, texts)),
        "load_seconds": round(statistics.median(load), 3),
        "tagging_seconds_without": round(statistics.median(without), 3),
        "tagging_seconds_with": round(statistics.median(with_it), 3),
        "cost_of_tagging_time": round(statistics.median(costs), 3),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    import hf_bilstm  # noqa: F401  (registers the Auto classes)

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or Hub id of a segmentation model")
    parser.add_argument("text", help="file of UTF-8 text")
    own = parser.parse_args()
    main(own.model, own.text)
