"""A recipe's run, from data to a folder that holds a trained, measured model."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

from hf_bilstm import deploy
from hf_bilstm.data import encode_dataset, label_list, words_of
from hf_bilstm.data.vectors import check_size
from hf_bilstm.deploy.push import push_folder
from hf_bilstm.models.classification_loss import SINGLE_LABEL
from hf_bilstm.models.configuration_bilstm import BiLstmConfig
from hf_bilstm.models.modeling_bilstm import BiLstmForTokenClassification
from hf_bilstm.models.modeling_sequence_classification import BiLstmForSequenceClassification
from hf_bilstm.models.tagging_schemes import split_tag
from hf_bilstm.models.tokenization_bilstm import BiLstmTokenizer
from hf_bilstm.tagsets import describe_tags
from hf_bilstm.training.arguments import DataArguments, label_weights
from hf_bilstm.training.callbacks import EmaCallback, UnfreezeCallback
from hf_bilstm.training.card_callback import ModelCardCallback
from hf_bilstm.training.card_facts import name_sources, recipe_facts
from hf_bilstm.training.card_measures import describe_data, library_versions, measure_speed, text_separator
from hf_bilstm.training.evaluation import evaluate_model, is_classifier, report_model
from hf_bilstm.training.lexicon import learn_lexicon
from hf_bilstm.training.model_card import check_card, write_model_card
from hf_bilstm.training.plots import plot_learning_curve
from hf_bilstm.training.recipes import RECIPE_FILE, RESULTS_FILE, Recipe, describe_recipe
from hf_bilstm.training.scoring import (
    is_segmentation,
    keep_best_labels,
    labels_for_scoring,
    main_metric,
    make_compute_metrics,
    write_training_words,
)
from hf_bilstm.training.splits import load_split, require_split
from hf_bilstm.training.trainer import TaggerTrainer
from hf_bilstm.training.transfer import (
    carry_over,
    is_language_model,
    load_language_model,
    pretrained_parameters,
    pretrained_settings,
)
from hf_bilstm.training.vectors import (
    PretrainedVectors,
    describe_coverage,
    fill_embeddings,
    find_vectors,
    report_coverage,
)

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.get_logger(__name__)

# What serves the model on Inference Endpoints, copied from deploy/.
SERVING_FILES = ("handler.py", "requirements.txt")
TRAINING_WORDS_FILE = "training_words.txt"
# Fields that fix the shapes of a checkpoint's encoder.
_SHAPES = (
    "embedding_size",
    "bigram_buckets",
    "bigram_embedding_size",
    "character_type_embedding_size",
    "lexicon_embedding_size",
    "lexicon_max_length",
    "char_embedding_size",
    "char_encoder",
    "char_kernel_sizes",
    "char_hidden_size",
    "hidden_size",
    "num_hidden_layers",
    "rnn_type",
    "merge_mode",
)


def train(recipe: Recipe) -> dict[str, Any]:
    """Train a model, score it on validation and test data, and save everything into the output directory.

    Args:
        recipe: What to do.

    Returns:
        What all_results.json holds: the training's figures and the scores of each split that the recipe names.
    """
    arguments, training = recipe.data, recipe.training
    train_data = require_split(arguments, "train")
    validation_data = load_split(arguments, "validation")
    _check_evaluation(recipe, validation_data)
    check_card(recipe)
    part_from_earlier_runs(recipe)
    set_seed(training.seed)
    settle_machine(training)
    vectors = pretrained_vectors(recipe, train_data)
    tokenizer, model = build(recipe, train_data, validation_data, vectors)
    coverage = {} if vectors is None else describe_coverage(vectors, tokenizer.get_vocab())
    if coverage:
        report_coverage(coverage)
    trainer = make_trainer(recipe, tokenizer, model.config.labels, train_data, validation_data, model=model)
    output = trainer.train(resume_from_checkpoint=checkpoint_to_resume(training.resume_from_checkpoint))
    if not trainer.is_world_process_zero():
        return {}

    results: dict[str, Any] = {"training": output.metrics, "parameters": model.num_parameters()}
    if coverage:
        results["vectors"] = coverage
    test_data = load_split(arguments, "test")  # looked at once, after everything is chosen
    encoded = {} if validation_data is None else {"validation": trainer.eval_dataset}
    labels = model.config.labels
    if test_data is not None:
        labels = labels_for_scoring(arguments.task, labels, test_data)
        encoded["test"] = encode_dataset(test_data, tokenizer, _label_maps(labels)["label2id"])
    tagged = {"validation": validation_data, "test": test_data}
    training_words = words_of(train_data) if is_segmentation(arguments.task) else None
    for split, dataset in encoded.items():
        results[split] = evaluate_model(
            model, tokenizer, dataset, arguments.task, tagged[split], training_words, labels
        )
    splits = {"train": train_data, "validation": validation_data, "test": test_data}
    plain = model.config.tagging_scheme == "none"
    results["data"] = describe_data(splits, plain, text_separator(tokenizer), recipe.card.examples)
    timed = next(data for data in (test_data, validation_data, train_data) if data is not None)
    results["speed"] = measure_speed(model, tokenizer, timed[_text_column(timed)])
    results["versions"] = library_versions()
    results["sources"] = name_sources(recipe)
    folder = Path(training.output_dir or ".")
    save(folder, recipe, model, tokenizer, results, training_words)
    if find_spec("matplotlib"):  # the report says what is missing without it
        plot_learning_curve(trainer.state.log_history, main_metric(arguments.task), folder / "learning_curve.png")
    reported, data = ("test", test_data) if test_data is not None else ("validation", validation_data)
    if data is not None:
        report_model(folder, model, tokenizer, data, encoded[reported], arguments.task, results[reported], labels)
    trainer.card.facts = recipe_facts(recipe, results)
    trainer.card.facts.repository = trainer.hub_model_id or training.hub_model_id
    write_model_card(folder, model, tokenizer, trainer.card.facts)  # last, for it shows the pictures
    if trainer.hub_model_id:  # the Trainer has pushed checkpoints; this is the model that was chosen, and all of it
        push_folder(folder, trainer.hub_model_id, revision=training.hub_revision, token=training.hub_token)
    return results


def settle_machine(training: TrainingArguments) -> None:
    """Set, in place, what depends on the machine and the number of processes.

    Args:
        training: The run's arguments.

    Raises:
        ValueError: If several processes were started that would not work together.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > training.world_size:  # each would train, and write, on its own
        raise ValueError("Several processes share a run on CPUs only with `use_cpu: true` in the recipe.")
    if training.device.type == "cpu":
        training.dataloader_pin_memory = False  # pinning serves accelerators only, and warns where there is none
    if training.world_size > 1 and training.ddp_find_unused_parameters is None:
        training.ddp_find_unused_parameters = False  # every parameter enters every loss; looking costs a pass a step


def build(
    recipe: Recipe,
    train_data: Dataset,
    validation_data: Dataset | None = None,
    vectors: PretrainedVectors | None = None,
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Make the tokenizer and the model that a recipe trains.

    Args:
        recipe: What to do.
        train_data: Columns `tokens` and `tags`, or `text` and `label`; the vocabulary comes from here.
        validation_data: The same; its labels, too, are the model's.
        vectors: What `pretrained_vectors` gives, which is asked when they are None.

    Returns:
        A tokenizer and a model: new ones, or those of `model_name_or_path`, whose head is kept when its labels are the
        data's and made anew otherwise. Of a language model come the embeddings and the first layer.
    """
    vectors = vectors or pretrained_vectors(recipe, train_data)
    labels = label_list([data for data in (train_data, validation_data) if data is not None])
    settings = {
        name: value
        for name, value in vars(recipe.model).items()
        if value is not None and name not in ("model_name_or_path", "label_weights")
    }
    settings |= _tagset_fields(recipe.data, labels)
    name = recipe.model.model_name_or_path
    source, known = None, None
    if name and is_language_model(name):
        source, known = load_language_model(name, recipe.data.granularity)
    if name and source is None:
        return _fine_tuned(recipe, labels, settings)
    if vectors is not None:
        check_size(vectors.name, vectors.size, settings.get("embedding_size"))
        settings["embedding_size"] = vectors.size
    if source is not None and known is not None:
        settings = pretrained_settings(str(name), source, settings)
        tokenizer = _new_tokenizer(recipe, train_data, known.get_vocab(), known.characters)
    else:
        tokenizer = _new_tokenizer(recipe, train_data, vectors.vectors if vectors else ())
    classifies = recipe.data.task == "classification"
    lexicon = None
    if settings.get("lexicon_embedding_size"):
        if classifies:
            raise ValueError("The lexicon is learned from words, which classification has none of: leave it out.")
        lexicon = learn_lexicon(train_data, tokenizer, recipe.data.lexicon_min_frequency, recipe.data.lexicon_file)
    config = BiLstmConfig(
        **{**_head_fields(recipe.data, labels, tokenizer), **settings},
        **_label_maps(labels),
        label_weights=label_weights(recipe.model.label_weights, labels),
        vocab_size=len(tokenizer),
        char_vocab_size=tokenizer.char_vocab_size,
        pad_token_id=tokenizer.pad_token_id,
        unk_token_id=tokenizer.unk_token_id,
        lexicon_size=len(lexicon.trie.keys) if lexicon else 0,
    )
    model = (BiLstmForSequenceClassification if classifies else BiLstmForTokenClassification)(config)
    embeddings = model.bilstm.embeddings
    embeddings.fill_character_types(tokenizer.get_vocab())
    if embeddings.lexicon and lexicon:
        embeddings.lexicon.fill(*lexicon)
    if source is not None and known is not None:
        carry_over(source, known, model, tokenizer)
    if vectors is not None:
        fill_embeddings(model, tokenizer.get_vocab(), vectors, recipe.vectors.vectors_trainable)
    return tokenizer, model


def pretrained_vectors(recipe: Recipe, train_data: Dataset) -> PretrainedVectors | None:
    """Find the vectors that a recipe names.

    Args:
        recipe: What to do.
        train_data: Column `tokens`.

    Returns:
        The vectors, or None where the recipe names none.

    Raises:
        OSError: If they are not there.
        ValueError: If they are wrong, or the recipe fine-tunes a model, which has embeddings already.
    """
    if recipe.vectors.vectors is None:
        return None
    if recipe.model.model_name_or_path:
        raise ValueError(
            f"vectors are for new models, and {recipe.model.model_name_or_path} has its own: leave out vectors to "
            f"fine-tune it (vectors_learning_rate: 0 keeps them), or model_name_or_path to train a new one."
        )
    every_word = recipe._replace(data=replace(recipe.data, min_frequency=1))
    tokenizer = _new_tokenizer(every_word, train_data)
    return find_vectors(recipe.vectors, train_data, tokenizer, recipe.model.embedding_size)


def make_trainer(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerBase,
    labels: list[str],
    train_data: Dataset,
    validation_data: Dataset | None,
    **model: Any,
) -> TaggerTrainer:
    """Make the Trainer of a recipe.

    Args:
        recipe: What to do.
        tokenizer: The model's tokenizer.
        labels: The model's labels in the order of their ids.
        train_data: Columns `tokens` and `tags`, or `text` and `label`.
        validation_data: The same, or None.
        **model: `model` or `model_init`, as the Trainer takes them.

    Returns:
        The Trainer, which has yet to train.
    """
    label2id = _label_maps(labels)["label2id"]
    splits = {"train": train_data, "validation": validation_data}
    classifies = recipe.data.task == "classification"
    trainer = TaggerTrainer(
        **model,
        args=recipe.training,
        train_dataset=encode_dataset(train_data, tokenizer, label2id),
        eval_dataset=None if validation_data is None else encode_dataset(validation_data, tokenizer, label2id),
        processing_class=tokenizer,
        data_collator=(DataCollatorWithPadding if classifies else DataCollatorForTokenClassification)(tokenizer),
        vectors_learning_rate=recipe.vectors.vectors_learning_rate,
        pretrained_learning_rate=recipe.run.pretrained_learning_rate,
        compute_metrics=make_compute_metrics(recipe.data.task, labels),
        preprocess_logits_for_metrics=keep_best_labels,
        callbacks=[*make_callbacks(recipe), ModelCardCallback(recipe_facts(recipe, {}), splits)],
    )
    if recipe.run.unfreeze_every:
        trainer.add_callback(UnfreezeCallback(pretrained_parameters(trainer.model), recipe.run.unfreeze_every))
    return trainer


def save(
    folder: Path,
    recipe: Recipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    results: dict[str, Any],
    training_words: Collection[str] | None = None,
) -> None:
    """Write model, tokenizer, the code of all, recipe and results; a crash on the way leaves what was there before.

    Args:
        folder: Output directory.
        recipe: What was done.
        model: The trained model.
        tokenizer: Its tokenizer.
        results: Contents of all_results.json.
        training_words: Contents of training_words.txt, for segmentation.
    """
    with whole_or_nothing(folder) as unfinished:
        save_trained(unfinished, recipe, model, tokenizer, results)
        for name in SERVING_FILES:
            shutil.copyfile(Path(deploy.__file__).with_name(name), unfinished / name)
        if training_words is not None:
            write_training_words(training_words, unfinished / TRAINING_WORDS_FILE)


def save_trained(
    folder: Path,
    recipe: Iterable[Any],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    results: dict[str, Any],
) -> None:
    """Write model, tokenizer, the code of both, recipe and results.

    Args:
        folder: Where to.
        recipe: What was done, in groups of arguments.
        model: The trained model.
        tokenizer: Its tokenizer.
        results: Contents of all_results.json.
    """
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    text = yaml.safe_dump(describe_recipe(recipe), allow_unicode=True, sort_keys=False)
    (folder / RECIPE_FILE).write_text(text, encoding="utf-8")
    (folder / RESULTS_FILE).write_text(json.dumps(results, ensure_ascii=False, indent=2), encoding="utf-8")


@contextmanager
def whole_or_nothing(folder: Path) -> Iterator[Path]:
    """Give a folder to write to, whose files are moved to another when all are there; a crash leaves that as it was.

    Args:
        folder: Where the files are to be in the end.

    Yields:
        The folder to write to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as unfinished:
        yield Path(unfinished)
        for file in sorted(Path(unfinished).iterdir()):
            os.replace(file, folder / file.name)


def _new_tokenizer(
    recipe: Recipe, train_data: Dataset, extra_tokens: Iterable[str] = (), extra_characters: str = ""
) -> BiLstmTokenizer:
    arguments = recipe.data
    return BiLstmTokenizer.from_corpus(
        train_data[_text_column(train_data)],
        extra_tokens=extra_tokens,
        granularity=arguments.granularity,
        min_frequency=arguments.min_frequency,
        fold=tuple(arguments.fold),
        white_space=arguments.white_space,
        splitting=arguments.splitting,
        char_width=arguments.char_width if recipe.model.char_embedding_size or extra_characters else 0,
        extra_characters=extra_characters,
    )


def _text_column(data: Dataset) -> str:
    return "text" if "text" in data.column_names else "tokens"


def _fine_tuned(
    recipe: Recipe, labels: list[str], settings: dict[str, Any]
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    name, weights = recipe.model.model_name_or_path, recipe.model.label_weights
    tokenizer = AutoTokenizer.from_pretrained(name)
    config = AutoConfig.from_pretrained(name)
    for field in _SHAPES:
        if settings.get(field, getattr(config, field)) != getattr(config, field):
            raise ValueError(
                f"{field} is {settings[field]} in the recipe and {getattr(config, field)} in {name}, whose weights "
                f"fit no other: leave it out to fine-tune, or leave out model_name_or_path to train a new model."
            )
    classifies = recipe.data.task == "classification"
    auto_class: Any = AutoModelForSequenceClassification if classifies else AutoModelForTokenClassification
    is_same_kind = is_classifier(config) == classifies
    if is_same_kind and set(config.labels) == set(labels):  # in the checkpoint's order, which may be another
        if weights is not None:
            settings = {**settings, "label_weights": label_weights(weights, config.labels)}
        return tokenizer, auto_class.from_pretrained(name, **settings)
    logger.warning(
        f"{name} has the labels {', '.join(config.labels)}, the data {', '.join(labels)}: the encoder is kept, the "
        f"head and its transitions start anew."
        if is_same_kind
        else f"{name} is a {'tagger' if classifies else 'classifier'}: the encoder is kept, the head is new."
    )
    unknown = {"tagset": None, "tag_meanings": None, "tag_mappings": None}  # of the new labels, unless the recipe says
    if not is_same_kind:
        unknown |= _head_fields(recipe.data, labels, tokenizer)
    settings = {**unknown, **settings, **_label_maps(labels), "label_weights": label_weights(weights, labels)}
    settings |= {"dictionary_nodes": 0, "dictionary_profiles": 0}  # its words were spans of other labels
    for key, value in settings.items():
        setattr(config, key, value)
    model = auto_class.from_config(config)
    encoder = AutoModel.from_pretrained(name)
    model.base_model.load_state_dict(encoder.state_dict())
    return tokenizer, model


def _head_fields(arguments: DataArguments, labels: list[str], tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Give the config's fields that a new head takes from the task, unless the recipe says otherwise."""
    if arguments.task == "classification":
        if len(labels) < 2:
            raise ValueError(f"All texts have the label {labels[0]!r}; classification takes two or more labels.")
        return {"tagging_scheme": "none", "problem_type": SINGLE_LABEL, "white_space_token_id": None}
    marks_spans = all(label == "O" or label[:2] in ("B-", "I-") for label in labels)
    is_boundary = arguments.task.startswith("segmentation")
    white_space = getattr(tokenizer, "white_space_token_id", None) if is_boundary else None
    scheme = "bioes" if marks_spans else "none"
    return {"tagging_scheme": scheme, "problem_type": None, "white_space_token_id": white_space}


def _tagset_fields(arguments: DataArguments, labels: list[str]) -> dict[str, Any]:
    """Give the config's fields that explain and map parts of speech."""
    if arguments.tagset is None or arguments.task not in ("pos", "segmentation_pos"):
        return {}
    tags = labels if arguments.task == "pos" else [split_tag(label)[1] for label in labels if label.startswith("B-")]
    return describe_tags(tags, arguments.tagset)


def _label_maps(labels: list[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}


def make_callbacks(recipe: Any) -> list[TrainerCallback]:
    """Make the callbacks that a recipe asks for."""
    callbacks: list[TrainerCallback] = []
    if recipe.run.ema_decay:
        callbacks.append(EmaCallback(recipe.run.ema_decay))
    if recipe.run.early_stopping_patience:
        callbacks.append(EarlyStoppingCallback(recipe.run.early_stopping_patience))
    return callbacks


def _check_evaluation(recipe: Recipe, validation_data: Dataset | None) -> None:
    needs = recipe.training.eval_strategy != "no" or recipe.run.early_stopping_patience
    if needs and validation_data is None:
        raise ValueError(
            "The recipe evaluates while it trains but names no validation data: set validation_file, or "
            "`eval_strategy: no`, `load_best_model_at_end: false` and `early_stopping_patience: 0`."
        )


def part_from_earlier_runs(recipe: Any) -> None:
    """Keep a new run's checkpoints from mixing with an older one's, from which a later resume could go on."""
    training = recipe.training
    old = sorted(Path(training.output_dir or ".").glob("checkpoint-*"))
    if not old or checkpoint_to_resume(training.resume_from_checkpoint):
        return
    if not recipe.run.overwrite_output_dir:
        raise ValueError(
            f"{training.output_dir} holds checkpoints of an earlier run ({old[0].name}). Go on with it, "
            f"--resume_from_checkpoint true; or start anew, --overwrite_output_dir true or another --output_dir."
        )
    if training.process_index == 0:
        for folder in old:
            shutil.rmtree(folder)


def checkpoint_to_resume(value: str | None) -> str | bool | None:
    """Read `resume_from_checkpoint`: true means the newest checkpoint of the output directory."""
    return {"true": True, "false": None}.get(str(value).lower(), value)
