"""The metadata of a model card: what the Hub searches, filters and shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import PreTrainedModel

from hf_bilstm.training.card_facts import TASKS, CardFacts, Task
from hf_bilstm.training.scoring import main_metric

# A task's scores: key, id of the metric on the Hub, name.
_SPAN_METRICS = (
    ("f1", "f1", "Span F1"),
    ("precision", "precision", "Span precision"),
    ("recall", "recall", "Span recall"),
    ("accuracy", "accuracy", "Tag accuracy"),
)
_WORD_METRICS = (("oov_recall", "recall", "Recall of unseen words"),)
_METRICS = {
    "segmentation": (*_SPAN_METRICS, *_WORD_METRICS),
    "segmentation_pos": (*_SPAN_METRICS, ("word_f1", "f1", "Word F1"), *_WORD_METRICS),
    "classification": (("accuracy", "accuracy", "Accuracy"), ("macro_f1", "f1", "Macro F1")),
    "pretraining": (("perplexity", "perplexity", "Perplexity"),),
    "pos": (("accuracy", "accuracy", "Tag accuracy"), ("macro_f1", "f1", "Macro F1")),
}
# Keys that a card sets or leaves out by itself; others, and the license, are kept from the card before.
_OWN_KEYS = {"language", "library_name", "pipeline_tag", "tags", "datasets", "metrics", "base_model", "widget"}
_RESULT_KEYS = {"model_name", "eval_results", "model-index"}


def card_metadata(
    name: str, model: PreTrainedModel, facts: CardFacts, texts: Sequence[str], previous: ModelCard | None = None
) -> ModelCardData:
    """Make the metadata of a card.

    Args:
        name: Name of the model.
        model: The tagger.
        facts: What the card says.
        texts: Examples for the page's widget.
        previous: The card in whose place this one comes.

    Returns:
        The metadata; what is not known is left out.
    """
    task = TASKS.get(facts.task)
    own = {
        "language": facts.language or None,
        "license": facts.arguments.license,
        "library_name": "transformers",
        "pipeline_tag": _pipeline_task(facts),
        "tags": _tags(model, facts, task),
        "base_model": facts.base_model,
        "datasets": [facts.dataset] if facts.dataset else None,
        "metrics": list(dict.fromkeys(metric for _, metric, _ in _metrics(facts.task))),
        "widget": [{"text": text, "example_title": f"Example {n}"} for n, text in enumerate(texts, start=1)] or None,
    }
    before = {} if previous is None else previous.data.to_dict()
    kept = {key: value for key, value in before.items() if key not in _OWN_KEYS | _RESULT_KEYS}
    values = {**kept, **{key: value for key, value in own.items() if value is not None}}
    return ModelCardData(**values, model_name=name, eval_results=evaluation_results(facts))


def evaluation_results(facts: CardFacts) -> list[EvalResult]:
    """List measured scores in the form of a card's model-index.

    Args:
        facts: What the card says.

    Returns:
        A result for each score of each split.
    """
    task = TASKS.get(facts.task)
    return [
        EvalResult(
            task_type=_pipeline_task(facts) or "other",
            task_name=task.name if task else None,
            dataset_type=facts.dataset or "unknown",
            dataset_name=facts.dataset_name,
            dataset_config=facts.dataset_config if facts.dataset else None,
            dataset_split=split,
            metric_type=metric,
            metric_name=metric_name,
            metric_value=round(float(facts.results[split][key]), 4),
        )
        for split in ("test", "validation")
        if split in facts.results
        for key, metric, metric_name in _metrics(facts.task)
        if key in facts.results[split]
    ]


def result_entries(facts: CardFacts) -> list[dict[str, Any]]:
    """Make the content of an .eval_results file: the main score on the test split of a benchmark of the Hub.

    Args:
        facts: What the card says.

    Returns:
        One entry, or none if `eval_results_task` does not ask for it or there is no such score.
    """
    task, key = facts.arguments.eval_results_task, main_metric(facts.task)
    if task is None or facts.dataset is None or key not in facts.results.get("test", {}):
        return []
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    value = round(float(facts.results["test"][key]), 4)
    note = next(name for own, _, name in _metrics(facts.task) if own == key)
    return eval_result_entries_to_yaml([EvalResultEntry(facts.dataset, task, value, notes=note)])


def _metrics(task: str) -> Sequence[tuple[str, str, str]]:
    return _METRICS.get(task, _SPAN_METRICS)


def _pipeline_task(facts: CardFacts) -> str | None:
    # No pipeline answers with a language model of two directions.
    return {"classification": "text-classification", "pretraining": None}.get(facts.task, "token-classification")


def _tags(model: PreTrainedModel, facts: CardFacts, task: Task | None) -> list[str]:
    crf = ["crf"] if model.config.use_crf and facts.task not in ("classification", "pretraining") else []
    return list(dict.fromkeys(["bilstm", "hf_bilstm", *crf, *(task.tags if task else ()), *facts.tags]))
