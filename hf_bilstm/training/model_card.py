"""The model card: README.md of a tagger's folder and repository, made from what was measured."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import yaml
from huggingface_hub import ModelCard
from jinja2 import Environment, PackageLoader, StrictUndefined
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from hf_bilstm.checkpoints import load_model
from hf_bilstm.training.card_content import describe_language_model, describe_model, describe_results, example_texts
from hf_bilstm.training.card_facts import CardFacts, hub_id, recipe_facts
from hf_bilstm.training.card_metadata import card_metadata, result_entries
from hf_bilstm.training.card_tables import code, prose
from hf_bilstm.training.recipes import RECIPE_FILE, RESULTS_FILE, Recipe, read_recipe

logger = logging.get_logger(__name__)

CARD_FILE = "README.md"
HAND_EDITED = "<!-- hand-edited: what stands from here to the closing mark is kept when the card is written anew -->"
HAND_EDITED_END = "<!-- end of hand-edited -->"
_PICTURES = {
    "confusion_matrix.png": "Confusion matrix",
    "learning_curve.png": "Learning curve",
    "perplexity.png": "Perplexity of the held-out text",
}
_TEMPLATES = {"classification": "classifier_card.md", "pretraining": "pretraining_card.md"}


def check_card(recipe: Recipe) -> None:
    """Check, before a run, that its card can be written after it.

    Args:
        recipe: What is to be done.

    Raises:
        ValueError: If `eval_results_task` has no data set of the Hub, or the card of an earlier run cannot be read.
    """
    dataset = recipe.data.dataset
    if recipe.card.eval_results_task is not None and hub_id(dataset) is None:
        raise ValueError(
            f"eval_results_task is {recipe.card.eval_results_task!r}, which needs a data set of the Hub, but dataset "
            f"is {dataset!r}: leave eval_results_task out, or give the data set's id."
        )
    _read_previous(Path(recipe.training.output_dir or "."))


def write_model_card(
    folder: str | Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, facts: CardFacts
) -> Path:
    """Write the card of a tagger as README.md, and .eval_results/ where `eval_results_task` asks for it.

    The hand-edited section of a card that is there already is kept, and so is metadata that the card itself never
    writes. A README.md of another origin is left alone, with a warning.

    Args:
        folder: The tagger's folder; its pictures are shown.
        model: The tagger.
        tokenizer: Its tokenizer.
        facts: What the card says.

    Returns:
        The card's path.

    Raises:
        ValueError: If the card that is there has lost a mark of its hand-edited section, or its metadata is no YAML.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    card = folder / CARD_FILE
    previous = _read_previous(folder)
    if card.is_file() and previous is None:
        logger.warning(
            f"{CARD_FILE} is not a card that hf_bilstm wrote, so it is left as it is. To have a card written, remove "
            f"the file, or put your text between these lines: {HAND_EDITED} and {HAND_EDITED_END}"
        )
        return card
    name = facts.arguments.model_name or (facts.repository or folder.absolute().name).split("/")[-1]
    pictures = {file: title for file, title in _PICTURES.items() if (folder / file).is_file()}
    _replace(card, render_model_card(model, tokenizer, facts, name, pictures, previous))
    entries = result_entries(facts)
    if entries:
        text = yaml.safe_dump(entries, allow_unicode=True, sort_keys=False)
        _replace(folder / ".eval_results" / f"{(facts.dataset or '').split('/')[-1]}.yaml", text)
    return card


def rewrite_model_card(folder: str | Path, overrides: Sequence[str] = ()) -> Path:
    """Write the card of a folder that `hf-bilstm train` left anew, from the results and the recipe that it holds.

    Args:
        folder: The tagger's folder.
        overrides: Arguments that stand over the recipe's, as on a command line: `["--license", "mit"]`.

    Returns:
        The card's path.

    Raises:
        FileNotFoundError: If a file is missing.
    """
    folder = Path(folder)
    recipe = read_recipe(str(folder / RECIPE_FILE), overrides)
    results = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    model = load_model(folder)
    return write_model_card(folder, model, AutoTokenizer.from_pretrained(folder), recipe_facts(recipe, results))


def render_model_card(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    facts: CardFacts,
    name: str,
    pictures: Mapping[str, str] | None = None,
    previous: ModelCard | None = None,
) -> str:
    """Make the text of a card.

    Args:
        model: The tagger.
        tokenizer: Its tokenizer.
        facts: What the card says.
        name: Name of the model.
        pictures: Files beside the card, and what they show.
        previous: The card in whose place this one comes.

    Returns:
        Markdown with its metadata.
    """
    environment = Environment(
        loader=PackageLoader("hf_bilstm.training"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(code=code, prose=prose, literal=partial(json.dumps, ensure_ascii=False))
    metadata = card_metadata(name, model, facts, example_texts(facts), previous).to_yaml()
    described = (
        describe_language_model(model, tokenizer, facts)
        if facts.task == "pretraining"
        else {**describe_model(model, tokenizer, facts), **describe_results(model, facts)}
    )
    return environment.get_template(_TEMPLATES.get(facts.task, "model_card.md")).render(
        metadata=metadata,
        name=name,
        facts=facts,
        pictures=pictures or {},
        hand_edited=HAND_EDITED,
        kept=_kept(previous.text) if previous else "",
        hand_edited_end=HAND_EDITED_END,
        **described,
    )


def _read_previous(folder: Path) -> ModelCard | None:
    """Read the card that a folder holds, if hf_bilstm or the stock Trainer wrote it."""
    file = folder / CARD_FILE
    if not file.is_file():
        return None
    text = file.read_text(encoding="utf-8-sig")
    marks = text.count(HAND_EDITED), text.count(HAND_EDITED_END)
    if marks not in ((0, 0), (1, 1)):
        raise ValueError(
            f"{file} must have the two lines around its hand-edited section once each, has them {marks[0]} and "
            f"{marks[1]} times: {HAND_EDITED} and {HAND_EDITED_END}. Mend it, or move it away."
        )
    try:
        card = ModelCard(text)
    except (yaml.YAMLError, ValueError) as error:
        if marks == (0, 0):
            return None
        raise ValueError(f"{file}: its metadata cannot be read. Mend it, or move the file away. {error}") from error
    is_generated = marks == (1, 1) or "generated_from_trainer" in (card.data.get("tags") or [])
    return card if is_generated else None


def _kept(text: str) -> str:
    _, _, after = text.partition(HAND_EDITED)
    return after.partition(HAND_EDITED_END)[0].strip("\n")


def _replace(file: Path, text: str) -> None:
    """Write a file beside its place, and move it there when it is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".writing-") as unfinished:
        Path(unfinished, file.name).write_text(text, encoding="utf-8", newline="\n")
        os.replace(Path(unfinished, file.name), file)
