"""Show that the stock pipeline gives what our own decoding gives, on every sentence of a trained tagger's data.

    python scripts/compare_pipelines.py outputs/ud_chinese_segmentation_pos --data_dir FOLDER

Compared are the spans (words, or words with their parts of speech) of `pipeline("token-classification")` with
`aggregation_strategy="simple"` and its labels of single tokens with those of TaggingPipeline, for each sentence alone
and in batches. The stock pipeline spells a word as the tokenizer folds it (half width for full width, where a recipe
says so); ours gives it as it stands in the text, and is folded for the comparison. Sentences that differ are printed,
and the exit status is then 1.
"""

import sys

sys.path.pop(0)  # this folder, whose evaluate.py would stand in for the library of that name

import argparse
from pathlib import Path
from typing import Any

from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline
from transformers.utils import logging

from hf_bilstm import TaggingPipeline
from hf_bilstm.models.word_lists import fold_text
from hf_bilstm.training.recipes import RECIPE_FILE, read_data_arguments
from hf_bilstm.training.splits import require_split

Item = tuple[str, int, int, str]


def spans(found: list[dict[str, Any]]) -> list[Item]:
    """Keep of every span what both pipelines have."""
    return [(span["entity_group"], span["start"], span["end"], span["word"]) for span in found]


def stock_tags(found: list[dict[str, Any]]) -> list[Item]:
    """Keep of every token what both pipelines have."""
    return [(token["entity"], token["start"], token["end"], token["word"]) for token in found]


def own_tags(found: list[dict[str, Any]]) -> list[Item]:
    """The same of our own pipeline."""
    return [(token["tag"], token["start"], token["end"], token["token"]) for token in found]


def folded(items: list[Item], tokenizer: Any) -> list[Item]:
    """Spell words as the tokenizer folds them."""
    return [(label, start, end, fold_text(word, tokenizer)) for label, start, end, word in items]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a trained tagger; data options that follow stand over its recipe's")
    parser.add_argument("--split", default="validation", choices=("train", "validation", "test"))
    own, overrides = parser.parse_known_args()

    logging.set_verbosity(logging.CRITICAL)  # the stock pipeline calls every class that is not its own unsupported
    data = require_split(read_data_arguments(str(Path(own.model, RECIPE_FILE)), overrides), own.split)
    tokenizer = AutoTokenizer.from_pretrained(own.model)
    model = AutoModelForTokenClassification.from_pretrained(own.model)
    separator = " " if tokenizer.granularity == "word" else ""
    texts = [separator.join(tokens) for tokens in data["tokens"]]
    ours = TaggingPipeline(model=model, tokenizer=tokenizer)
    by_span = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="simple")
    by_token = pipeline("token-classification", model=model, tokenizer=tokenizer, ignore_labels=[])
    expected = [folded(spans(found), tokenizer) for found in ours(texts)]
    results = {
        "spans, one text at a time": ([spans(by_span(text)) for text in texts], expected),
        "spans, batches of 32": ([spans(found) for found in by_span(texts, batch_size=32)], expected),
        "labels of tokens": (
            [stock_tags(found) for found in by_token(texts, batch_size=32)],
            [folded(own_tags(found), tokenizer) for found in ours(texts, scheme="iob2")],
        ),
    }
    different = False
    for name, (stock, wanted) in results.items():
        unequal = [place for place in range(len(texts)) if stock[place] != wanted[place]]
        different |= bool(unequal)
        total = sum(map(len, wanted))
        print(f"{name}: {len(texts) - len(unequal)} of {len(texts)} sentences equal, {total} in all")
        for place in unequal:
            print(f"  {texts[place]}\n    stock {stock[place]}\n    ours  {wanted[place]}")
    raise SystemExit(different)


if __name__ == "__main__":
    main()
