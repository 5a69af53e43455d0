"""A run of pretraining: from raw text to a folder that holds a language model for recipes to start from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from transformers import DataCollatorForLanguageModeling, EvalPrediction, TrainingArguments, set_seed

from hf_bilstm.data.raw_texts import iterate_texts, load_raw_texts, pack, read_raw_texts
from hf_bilstm.deploy.push import push_folder
from hf_bilstm.models.configuration_bilstm import BiLstmConfig
from hf_bilstm.models.modeling_pretraining import BiLstmForPreTraining
from hf_bilstm.models.tokenization_bilstm import BiLstmTokenizer
from hf_bilstm.training.arguments import (
    CardArguments,
    DataArguments,
    ModelArguments,
    RunArguments,
    config_fields,
    read_json_object,
)
from hf_bilstm.training.card_callback import ModelCardCallback
from hf_bilstm.training.card_facts import BUILT_IN, CardFacts, hub_id
from hf_bilstm.training.card_measures import library_versions, tell_language
from hf_bilstm.training.model_card import write_model_card
from hf_bilstm.training.plots import plot_perplexity
from hf_bilstm.training.recipes import describe_recipe, parse, read_groups
from hf_bilstm.training.run import make_callbacks, settle_machine
from hf_bilstm.training.saving import checkpoint_to_resume, part_from_earlier_runs, save_trained, whole_or_nothing
from hf_bilstm.training.splits import SAMPLE_LANGUAGES, load_split
from hf_bilstm.training.trainer import TaggerTrainer
from hf_bilstm.training.transfer import carry_over, is_language_model, load_language_model, pretrained_settings

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset
    from transformers import PreTrainedTokenizerBase

# As which task the readers of tagged and labelled files are asked for the texts of a file.
_READ_AS = {"columns": "ner", "labelled_text": "classification", "tsv": "classification", "csv": "classification"}
# Texts of a stream that the vocabulary comes from, and that are held out of it.
_STREAM_VOCABULARY, _STREAM_VALIDATION = 100_000, 1_000


TextFormat = Literal["text", "columns", "segmented", "word_pos", "conllu", "labelled_text", "tsv", "csv"]


@dataclass
class TextArguments(DataArguments):
    """Where the raw text is, and how it becomes blocks of tokens."""

    task: Literal["pretraining"] = field(  # type: ignore[assignment]
        default="pretraining", metadata={"help": "Always pretraining."}
    )
    data_format: TextFormat = field(  # type: ignore[assignment]
        default="text",
        metadata={
            "help": "Form of the files: text (one text a line; train_file may be a folder of .txt files), or that of "
            "a task, whose tags or labels are dropped."
        },
    )
    streaming: bool = field(
        default=False,
        metadata={
            "help": "Read the data set as it is needed: for what does not fit on the disk. Takes max_steps; the first "
            "1,000 texts are held out, and the vocabulary is that of the first 100,000."
        },
    )
    more_text: str | None = field(
        default=None,
        metadata={
            "help": "Keys of a second text that is read beside the first, where they differ, as "
            '{"train_file": "199801.txt", "data_format": "word_pos"}.'
        },
    )
    block_size: int = field(default=128, metadata={"help": "Tokens of a training example, at least 2."})
    max_vocab_size: int | None = field(
        default=None, metadata={"help": "Most entries of a new vocabulary; rarer tokens are unknown."}
    )

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        if self.block_size < 2:
            raise ValueError(f"block_size must be at least 2, got {self.block_size}.")
        if self.streaming and not self.dataset:
            raise ValueError("streaming reads a data set: name it with dataset, or leave streaming out.")
        if self.streaming and self.more_text:
            raise ValueError("more_text is read whole: leave it or streaming out.")


class PretrainingRecipe(NamedTuple):
    """The five groups of arguments of a run."""

    model: Any
    data: TextArguments
    run: RunArguments
    training: TrainingArguments
    card: CardArguments


def read_pretraining_recipe(config_file: str | None, overrides: Sequence[str]) -> PretrainingRecipe:
    """Read a recipe, with the command line's word over the file's.

    Args:
        config_file: YAML file of argument names and values, or None.
        overrides: Arguments as on a command line.

    Returns:
        The groups of arguments.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a key is unknown (naming the nearest one) or a value has the wrong type.
    """
    kinds = (ModelArguments, TextArguments, RunArguments, TrainingArguments, CardArguments)
    return PretrainingRecipe(*read_groups(kinds, config_file, overrides))


def pretrain(recipe: PretrainingRecipe) -> dict[str, Any]:
    """Train language models in both directions, measure them on held-out text, and save all into the output directory.

    Args:
        recipe: What to do.

    Returns:
        What all_results.json holds: figures of the training, and the perplexities of the held-out text.
    """
    training = recipe.training
    train_texts, validation_texts = load_texts(recipe.data, "train"), load_texts(recipe.data, "validation")
    if train_texts is None:
        raise ValueError("The recipe names no text: set train_file or dataset.")
    if validation_texts is None and training.eval_strategy != "no":
        raise ValueError(
            "The recipe evaluates while it trains but names no held-out text: set validation_fraction or "
            "validation_file, or `eval_strategy: no` and `load_best_model_at_end: false`."
        )
    part_from_earlier_runs(recipe)
    set_seed(training.seed)
    settle_machine(training)
    tokenizer, model = build(recipe, train_texts)
    blocks = pack(train_texts, tokenizer, recipe.data.block_size)
    held_out = None if validation_texts is None else pack(validation_texts, tokenizer, recipe.data.block_size)
    facts = _facts(recipe)
    trainer = TaggerTrainer(
        model=model,
        args=training,
        train_dataset=blocks,
        eval_dataset=held_out,
        processing_class=tokenizer,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        compute_metrics=perplexities,
        callbacks=[*make_callbacks(recipe), ModelCardCallback(facts)],
    )
    output = trainer.train(resume_from_checkpoint=checkpoint_to_resume(training.resume_from_checkpoint))
    scores = trainer.evaluate() if held_out is not None else {}  # by every process
    if not trainer.is_world_process_zero():
        return {}
    results: dict[str, Any] = {"training": output.metrics, "parameters": model.num_parameters()}
    if scores:
        results["validation"] = {
            name.removeprefix("eval_"): value for name, value in scores.items() if "perplexity" in name
        }
    results["data"] = _describe(train_texts, validation_texts, blocks, held_out)
    results["versions"] = library_versions()
    folder = Path(training.output_dir or ".")
    with whole_or_nothing(folder) as unfinished:
        save_trained(unfinished, recipe, model, tokenizer, results)
    if find_spec("matplotlib") and scores:
        plot_perplexity(trainer.state.log_history, folder / "perplexity.png")
    facts = replace(_facts(recipe), results=results, repository=trainer.hub_model_id or training.hub_model_id)
    trainer.card.facts = facts
    write_model_card(folder, model, tokenizer, facts)
    if trainer.hub_model_id:
        push_folder(folder, trainer.hub_model_id, revision=training.hub_revision, token=training.hub_token)
    return results


def load_texts(arguments: TextArguments, split: str) -> Dataset | IterableDataset | None:
    """Load the text of a split.

    Args:
        arguments: Where the text is and what form it has.
        split: "train" or "validation".

    Returns:
        A column `text`, or `tokens`, given words, of tagged files for models of words; None when the recipe names no
        such split.

    Raises:
        ValueError: If the recipe names no data at all, or the data is bad.
        FileNotFoundError: If a file is missing.
    """
    if arguments.streaming:
        texts = load_raw_texts(
            str(arguments.dataset),
            split="train",
            text_column=arguments.text_column,
            name=arguments.dataset_config,
            streaming=True,
        )
        return texts.skip(_STREAM_VALIDATION) if split == "train" else texts.take(_STREAM_VALIDATION)
    from datasets import concatenate_datasets

    texts = _load_part(arguments, split)
    if arguments.more_text is None:
        return texts
    parts = [part for part in (texts, _load_part(_second_text(arguments), split)) if part is not None]
    if len({tuple(part.column_names) for part in parts}) > 1:
        raise ValueError(
            "more_text: one of the two texts has given words and the other has not, and words of a raw text may be "
            "others: read two texts of one kind, or take granularity 'char'."
        )
    return concatenate_datasets(parts) if parts else None


def _second_text(arguments: TextArguments) -> TextArguments:
    """Lay `more_text` over what it is told for the first text."""
    given = read_json_object(arguments.more_text, "more_text") or {}
    (read,) = parse((TextArguments,), given)
    return replace(arguments, more_text=None, **{name: getattr(read, name) for name in given})


def _load_part(arguments: TextArguments, split: str) -> Dataset | None:
    """Load a split of one text."""
    if arguments.validation_fraction:
        whole: Any = _load(arguments, "train")
        parts = whole.train_test_split(arguments.validation_fraction, seed=arguments.validation_seed)
        return parts["train" if split == "train" else "test"]
    return _load(arguments, split)


def _load(arguments: TextArguments, split: str) -> Dataset | None:
    if arguments.dataset and arguments.dataset not in SAMPLE_LANGUAGES:
        return load_raw_texts(
            arguments.dataset, split=split, text_column=arguments.text_column, name=arguments.dataset_config
        )
    if arguments.data_format == "text" and not arguments.dataset:
        file = getattr(arguments, f"{split}_file")
        path = Path(arguments.data_dir or ".")
        return None if file is None else read_raw_texts(path / file, encoding=arguments.encoding)
    of_words = "pos" if arguments.granularity == "word" else "segmentation"
    task = "classification" if arguments.dataset else _READ_AS.get(arguments.data_format, of_words)
    dataset = load_split(replace(arguments, task=task, validation_fraction=0.0), split)  # type: ignore[arg-type]
    if dataset is None or "text" in dataset.column_names:
        return dataset and dataset.select_columns("text")
    tokens = dataset.select_columns("tokens")
    if arguments.granularity == "word":
        return tokens
    # Of characters, given words have the same ones as the text that they make.
    return tokens.map(lambda row: {"text": "".join(row["tokens"])}, remove_columns="tokens")


def build(
    recipe: PretrainingRecipe, texts: Dataset | IterableDataset
) -> tuple[PreTrainedTokenizerBase, BiLstmForPreTraining]:
    """Make the tokenizer and the model: new ones, or those of `model_name_or_path` with what the text has beside.

    Args:
        recipe: What to do.
        texts: The vocabulary comes from here.

    Returns:
        A tokenizer and a model.

    Raises:
        ValueError: If `model_name_or_path` is no model of this kind.
    """
    arguments, name = recipe.data, recipe.model.model_name_or_path
    settings = config_fields(recipe.model)
    source, known = None, None
    if name:
        if not is_language_model(name):
            raise ValueError(f"{name} is no model that pretraining made: give one, or leave model_name_or_path out.")
        source, known = load_language_model(name, arguments.granularity)
        settings = pretrained_settings(name, source, settings)
    if arguments.streaming:
        texts = texts.take(_STREAM_VOCABULARY)
    tokenizer = BiLstmTokenizer.from_corpus(
        iterate_texts(texts),
        granularity=arguments.granularity,
        min_frequency=arguments.min_frequency,
        max_vocab_size=arguments.max_vocab_size,
        extra_tokens=() if known is None else known.get_vocab(),
        fold=tuple(arguments.fold),
        white_space=arguments.white_space,
        splitting=arguments.splitting,
        char_width=arguments.char_width if settings.get("char_embedding_size") else 0,
        extra_characters="" if known is None else known.characters,
    )
    config = BiLstmConfig(
        **settings,
        vocab_size=len(tokenizer),
        char_vocab_size=tokenizer.char_vocab_size,
        pad_token_id=tokenizer.pad_token_id,
        unk_token_id=tokenizer.unk_token_id,
    )
    model = BiLstmForPreTraining(config)
    model.bilstm.embeddings.fill_character_types(tokenizer.get_vocab())
    if source is not None and known is not None:
        carry_over(source, known, model, tokenizer)
    return tokenizer, model


def perplexities(prediction: EvalPrediction) -> dict[str, float]:
    """Score language models.

    Args:
        prediction: Losses of the forward and of the backward direction, one a batch.

    Returns:
        `perplexity`, of both directions together, `forward_perplexity` and `backward_perplexity`.
    """
    forward, backward = (float(losses.mean()) for losses in prediction.predictions)
    return {
        "perplexity": math.exp((forward + backward) / 2),
        "forward_perplexity": math.exp(forward),
        "backward_perplexity": math.exp(backward),
    }


def _facts(recipe: PretrainingRecipe) -> CardFacts:
    arguments = recipe.card
    if recipe.data.dataset in BUILT_IN and arguments.dataset_name is None:
        arguments = replace(arguments, dataset_name=BUILT_IN[recipe.data.dataset])
    return CardFacts(
        task="pretraining",
        settings=describe_recipe(recipe),
        command=f"hf-bilstm pretrain recipe.yaml{'' if recipe.data.dataset else ' --data_dir FOLDER'}",
        seed=recipe.training.seed,
        dataset=hub_id(recipe.data.dataset),
        dataset_config=recipe.data.dataset_config,
        base_model=hub_id(recipe.model.model_name_or_path),
        repository=recipe.training.hub_model_id,
        arguments=arguments,
    )


def _describe(train_texts: Any, validation_texts: Any, blocks: Any, held_out: Any) -> dict[str, Any]:
    """Count the text, as far as it can be counted, and tell its language."""
    pieces = (piece for _, text in zip(range(10_000), iterate_texts(train_texts), strict=False) for piece in text)
    described: dict[str, Any] = {"language": tell_language(pieces), "splits": {}, "examples": [], "separator": ""}
    for name, texts, packed in (("train", train_texts, blocks), ("validation", validation_texts, held_out)):
        if hasattr(packed, "num_rows"):
            tokens = sum(map(len, packed["input_ids"])) - texts.num_rows
            described["splits"][name] = {"texts": texts.num_rows, "tokens": tokens}
    return described
