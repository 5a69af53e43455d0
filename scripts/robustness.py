"""Score a trained segmenter on text written in another way: in full width, in half width, in the other Chinese script.

    pip install 'hf_bilstm[benchmark]'
    python scripts/robustness.py outputs/ud_chinese_segmentation --data_dir FOLDER

Each row of the table is the validation data (or that of --split) written anew, character by character, so that its
gold words stay where they are; and written back to what the model was trained on, which is what an application can do
before it tags. OpenCC converts between simplified and traditional characters.
"""

import sys

sys.path.pop(0)  # this folder, whose evaluate.py would stand in for the library of that name

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import opencc
from datasets import Dataset, disable_progress_bars
from transformers import AutoModelForTokenClassification, AutoTokenizer

import hf_bilstm  # noqa: F401  (registers the Auto classes)
from hf_bilstm.data import encode_dataset
from hf_bilstm.data.normalization import to_dataset
from hf_bilstm.training.recipes import RECIPE_FILE, read_data_arguments
from hf_bilstm.training.scoring import evaluate_tagger, labels_for_scoring
from hf_bilstm.training.splits import require_split

_HALF = "".join(map(chr, range(0x21, 0x7F)))
_FULL = "".join(map(chr, range(0xFF01, 0xFF5F)))
TO_FULL, TO_HALF = str.maketrans(_HALF, _FULL), str.maketrans(_FULL, _HALF)
Rewriting = Callable[[str], str]


def script_converter(name: str) -> Rewriting:
    """Make a conversion between scripts that leaves every character in its place.

    Args:
        name: OpenCC's name of the conversion: "t2s" or "s2t".

    Returns:
        A function of a text. Where OpenCC would change a text's length, its characters are converted one by one.
    """
    convert = opencc.OpenCC(name).convert

    def rewrite(text: str) -> str:
        converted = convert(text)
        if len(converted) == len(text):
            return converted
        return "".join(one if len(one) == 1 else character for character in text for one in [convert(character)])

    return rewrite


def rewritings() -> dict[str, Sequence[Rewriting]]:
    """Name the ways to write a text, each as what is done to it, one after the other."""
    simplify, traditionalize = script_converter("t2s"), script_converter("s2t")

    def widen(text: str) -> str:
        return text.translate(TO_FULL)

    def narrow(text: str) -> str:
        return text.translate(TO_HALF)

    return {
        "as it is": (),
        "full width": (widen,),
        "full width, then half width": (widen, narrow),
        "half width": (narrow,),
        "half width, then full width": (narrow, widen),
        "simplified": (simplify,),
        "simplified, then traditional": (simplify, traditionalize),
        "traditional": (traditionalize,),
        "traditional, then simplified": (traditionalize, simplify),
    }


def rewrite(data: Dataset, steps: Sequence[Rewriting]) -> Dataset:
    """Write the sentences of a data set anew; their tags stay."""
    texts = map("".join, data["tokens"])
    for step in steps:
        texts = map(step, texts)
    return to_dataset([list(text) for text in texts], data["tags"][:])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", help="folder of a trained segmenter; data options that follow stand over its recipe's"
    )
    parser.add_argument("--split", default="validation", choices=("train", "validation", "test"))
    parser.add_argument("--json", metavar="FILE", help="write the scores to this file")
    own, overrides = parser.parse_known_args()

    disable_progress_bars()
    arguments = read_data_arguments(str(Path(own.model, RECIPE_FILE)), overrides)
    data = require_split(arguments, own.split)
    tokenizer = AutoTokenizer.from_pretrained(own.model)
    model = AutoModelForTokenClassification.from_pretrained(own.model)
    labels = labels_for_scoring(arguments.task, model.config.labels, data)
    label2id = {label: number for number, label in enumerate(labels)}
    num_characters = sum(map(len, data["tokens"]))
    rows = []
    print("| validation text | changed | unknown | F1 | difference |\n|---|---:|---:|---:|---:|")
    for name, steps in rewritings().items():
        written = rewrite(data, steps)
        dataset = encode_dataset(written, tokenizer, label2id)
        scores = evaluate_tagger(model, tokenizer, dataset, arguments.task, labels=labels)
        pairs = zip(data["tokens"], written["tokens"], strict=True)
        row = {
            "text": name,
            "changed": sum(a != b for before, after in pairs for a, b in zip(before, after, strict=True)),
            "unknown": sum(ids.count(tokenizer.unk_token_id) for ids in dataset["input_ids"]),
            "f1": scores["f1"],
            "word_f1": scores["word_f1"],
        }
        rows.append(row)
        shares = (f"{100 * row[key] / num_characters:.1f} %" for key in ("changed", "unknown"))
        difference = f"{100 * (row['f1'] - rows[0]['f1']):+.2f}" if steps else ""
        print(f"| {name} | {' | '.join(shares)} | {100 * row['f1']:.2f} | {difference} |", flush=True)
    if own.json:
        Path(own.json).write_text(json.dumps({"characters": num_characters, "rows": rows}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
