"""Measure the native runtime beside TaggingPipeline: characters a second, one text at a time, and a fresh process.

    python scripts/train.py configs/quickstart.yaml
    OMP_NUM_THREADS=1 python scripts/benchmark_native.py outputs/quickstart

The texts are all sentences of the built-in corpus. The two take turns; figures are medians over the rounds, ratios are
medians of each round's ratio.
"""

import sys

sys.path.pop(0)  # this folder, whose evaluate.py would stand in for the library of that name

import argparse
import subprocess
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from transformers import pipeline
from transformers.utils import logging

import hf_bilstm  # noqa: F401  (registers the Auto classes)
from bilstm_native import NativeTagger
from hf_bilstm.data import load_sample

NATIVE = "from bilstm_native import NativeTagger; NativeTagger.from_pretrained({model!r})({text!r})"
TORCH = "import hf_bilstm; from transformers import pipeline; pipeline('bilstm-tagging', {model!r})({text!r})"


def seconds(function: Callable[[], Any]) -> float:
    """Tell how long a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def race(name: str, native: Callable[[], Any], torch: Callable[[], Any], rounds: int, amount: float) -> None:
    """Let the two take turns, and print a row."""
    native(), torch()
    pairs = [(seconds(native), seconds(torch)) for _ in range(rounds)]
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    ratio = median(theirs / ours for ours, theirs in pairs)
    print(f"{name:28} {amount / ours:12,.2f} {amount / theirs:12,.2f}   {ratio:5.2f} times", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a tagger")
    parser.add_argument("--rounds", type=int, default=7, help="default: 7")
    own = parser.parse_args()
    logging.set_verbosity_error()
    texts = ["".join(row) for split in ("train", "validation", "test") for row in load_sample(split)["tokens"]]
    native, torch = NativeTagger.from_pretrained(own.model), pipeline("bilstm-tagging", own.model, num_workers=1)
    print(f"{'':28} {'native':>12} {'PyTorch':>12}   native is")
    race("characters a second", lambda: native(texts), lambda: torch(texts), own.rounds, sum(map(len, texts)))
    few = texts[:100]
    race("texts a second, one by one", lambda: [*map(native, few)], lambda: [*map(torch, few)], own.rounds, len(few))
    fresh = [[sys.executable, "-c", program.format(model=own.model, text=texts[0])] for program in (NATIVE, TORCH)]
    start = [lambda command=command: subprocess.run(command, check=True, capture_output=True) for command in fresh]
    race("fresh processes a second", start[0], start[1], own.rounds, 1)


if __name__ == "__main__":
    main()
