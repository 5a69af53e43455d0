"""The stock Trainer with the few things it offers no hook for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from transformers import Trainer

from hf_bilstm.models.modeling_sequence_classification import BiLstmForSequenceClassification
from hf_bilstm.training.card_callback import ModelCardCallback
from hf_bilstm.training.card_facts import CardFacts
from hf_bilstm.training.model_card import write_model_card
from hf_bilstm.training.recipes import describe_recipe
from hf_bilstm.training.transfer import pretrained_parameters


class TaggerTrainer(Trainer):
    """The Trainer, with weight decay on the matrices only, and with hf_bilstm's model card.

    Embeddings are spared because a rare token's vector would decay to nothing between its gradients, and the CRF's
    scores because they are a table, not a map.

    Args:
        *args: What the Trainer takes.
        vectors_learning_rate: Learning rate of the token embeddings; that of all other weights when None.
        pretrained_learning_rate: Learning rate of what a pretrained model gives, the token embeddings and the first
            layer; that of all other weights when None.
        **kwargs: What the Trainer takes. A `ModelCardCallback` among the callbacks says what is known of the run.

    Attributes:
        card: The callback that gathers what the model card says.
    """

    def __init__(
        self,
        *args: Any,
        vectors_learning_rate: float | None = None,
        pretrained_learning_rate: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.vectors_learning_rate = vectors_learning_rate
        self.pretrained_learning_rate = pretrained_learning_rate
        cards = [one for one in self.callback_handler.callbacks if isinstance(one, ModelCardCallback)]
        if not cards:
            config: Any = getattr(self.model, "config", None)
            task = "pos" if config.tagging_scheme == "none" else "ner"
            if isinstance(self.model, BiLstmForSequenceClassification):
                task = "classification"
            cards = [
                ModelCardCallback(CardFacts(task=task, seed=self.args.seed, settings=describe_recipe([self.args])))
            ]
            self.add_callback(cards[0])
        self.card = cards[0]

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Name the parameters that weight decay applies to: matrices of the recurrent layers and the classifier."""
        return [
            name for name in super().get_decay_parameter_names(model) if "embeddings" not in name and "crf" not in name
        ]

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make the optimizer, with groups of their own for weights that have a learning rate of their own.

        Args:
            model: The model, when it is not the Trainer's.

        Returns:
            The optimizer.
        """
        is_new = self.optimizer is None
        optimizer = super().create_optimizer(*([] if model is None else [model]))  # older versions take none
        if is_new:
            layer, vectors = pretrained_parameters(
                self.accelerator.unwrap_model(self.model if model is None else model)
            )
            if self.pretrained_learning_rate is not None:
                _set_learning_rate(optimizer, [*layer, *vectors], self.pretrained_learning_rate)
            if self.vectors_learning_rate is not None:
                _set_learning_rate(optimizer, vectors, self.vectors_learning_rate)
        return optimizer

    def create_model_card(
        self,
        language: str | None = None,
        license: str | None = None,
        tags: str | list[str] | None = None,
        model_name: str | None = None,
        finetuned_from: str | None = None,
        tasks: str | list[str] | None = None,
        dataset_tags: str | list[str] | None = None,
        dataset: str | list[str] | None = None,
        dataset_args: str | list[str] | None = None,
    ) -> None:
        """Write the model card into the output directory; `push_to_hub` calls this.

        What is given stands over what the run's `ModelCardCallback` knows, but for the recipe's `model_name`.

        Args:
            language: Language of the data, an ISO 639 code.
            license: License of the model, an id of the Hub.
            tags: Tags beside those of the task.
            model_name: Name of the model.
            finetuned_from: Id on the Hub of the model that was fine-tuned.
            tasks: Ignored: the model's kind says what its task is.
            dataset_tags: Id on the Hub of the training data, the first of several.
            dataset: Name of the training data.
            dataset_args: Ignored: results are those of the run.
        """
        if not self.is_world_process_zero():
            return
        model: Any = self.accelerator.unwrap_model(self.model)
        tokenizer: Any = self.processing_class
        facts = self.card.complete_facts(model, tokenizer)
        given: dict[str, Any] = {
            "language": _as_list(language),
            "license": license,
            "dataset_name": ", ".join(_as_list(dataset)),
            "model_name": facts.arguments.model_name or model_name,
        }
        facts = replace(
            facts,
            arguments=replace(facts.arguments, **{name: value for name, value in given.items() if value}),
            repository=self.hub_model_id or facts.repository,
            dataset=next(iter(_as_list(dataset_tags)), facts.dataset),
            base_model=finetuned_from or facts.base_model,
            tags=[*facts.tags, *_as_list(tags)],
        )
        write_model_card(self.args.output_dir or ".", model, tokenizer, facts)


def _as_list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def _set_learning_rate(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter], rate: float) -> None:
    """Move weights to groups that are like their own but for the learning rate."""
    wanted = set(map(id, weights))
    for group in list(optimizer.param_groups):
        moved = [weight for weight in group["params"] if id(weight) in wanted]
        if moved:
            group["params"] = [weight for weight in group["params"] if id(weight) not in wanted]
            optimizer.add_param_group({**group, "params": moved, "lr": rate})
