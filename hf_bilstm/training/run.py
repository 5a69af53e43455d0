"""A recipe's run, from data to a folder that holds a trained, measured model."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from hf_bilstm.data import encode_dataset, make_collator, words_of
from hf_bilstm.deploy.push import push_folder
from hf_bilstm.training.building import build, label_maps, pretrained_vectors, text_column
from hf_bilstm.training.callbacks import EmaCallback, UnfreezeCallback
from hf_bilstm.training.card_callback import ModelCardCallback
from hf_bilstm.training.card_facts import name_sources, recipe_facts
from hf_bilstm.training.card_measures import describe_data, library_versions, measure_speed, text_separator
from hf_bilstm.training.evaluation import evaluate_model, report_model
from hf_bilstm.training.model_card import check_card, write_model_card
from hf_bilstm.training.plots import plot_learning_curve
from hf_bilstm.training.recipes import Recipe
from hf_bilstm.training.saving import checkpoint_to_resume, part_from_earlier_runs, save
from hf_bilstm.training.scoring import (
    is_segmentation,
    keep_best_labels,
    labels_for_scoring,
    main_metric,
    make_compute_metrics,
)
from hf_bilstm.training.splits import load_split, require_split
from hf_bilstm.training.trainer import TaggerTrainer
from hf_bilstm.training.transfer import (
    pretrained_parameters,
)
from hf_bilstm.training.vectors import (
    describe_coverage,
    report_coverage,
)

if TYPE_CHECKING:
    from datasets import Dataset


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
        encoded["test"] = encode_dataset(test_data, tokenizer, label_maps(labels)["label2id"])
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
    results["speed"] = measure_speed(model, tokenizer, timed[text_column(timed)])
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
    label2id = label_maps(labels)["label2id"]
    splits = {"train": train_data, "validation": validation_data}
    classifies = recipe.data.task == "classification"
    trainer = TaggerTrainer(
        **model,
        args=recipe.training,
        train_dataset=encode_dataset(train_data, tokenizer, label2id),
        eval_dataset=None if validation_data is None else encode_dataset(validation_data, tokenizer, label2id),
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer) if classifies else make_collator(tokenizer),
        vectors_learning_rate=recipe.vectors.vectors_learning_rate,
        pretrained_learning_rate=recipe.run.pretrained_learning_rate,
        compute_metrics=make_compute_metrics(recipe.data.task, labels),
        preprocess_logits_for_metrics=keep_best_labels,
        callbacks=[*make_callbacks(recipe), ModelCardCallback(recipe_facts(recipe, {}), splits)],
    )
    if recipe.run.unfreeze_every:
        trainer.add_callback(UnfreezeCallback(pretrained_parameters(trainer.model), recipe.run.unfreeze_every))
    return trainer


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
