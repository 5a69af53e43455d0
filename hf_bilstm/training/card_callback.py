"""The callback that keeps a run's model card up to date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from hf_bilstm.training.card_facts import CardFacts
from hf_bilstm.training.card_measures import describe_data, text_separator
from hf_bilstm.training.model_card import write_model_card

if TYPE_CHECKING:
    from datasets import Dataset


class ModelCardCallback(TrainerCallback):
    """Gathers what a run's card says, and writes the card before every push.

    Of the stock Trainer only the pushes while it trains can be had in this way: its `push_to_hub` writes a card of its
    own over this one. `TaggerTrainer` writes this one there too.

    Args:
        facts: What is known from the start; validation scores are added as they come.
        data: The training's splits, "train" and "validation", for the card to describe: columns `tokens` and `tags`,
            or `text` and `label`.
    """

    def __init__(self, facts: CardFacts | None = None, data: Mapping[str, Dataset | None] | None = None) -> None:
        self.facts = facts or CardFacts()
        self._data = data or {}

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take note of the validation scores."""
        scores = {name.removeprefix("eval_"): value for name, value in (kwargs.get("metrics") or {}).items()}
        self.facts.results["validation"] = scores

    def on_push_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the card into the folder that is pushed."""
        if state.is_world_process_zero:
            model, tokenizer = kwargs["model"], kwargs["processing_class"]
            write_model_card(args.output_dir or ".", model, tokenizer, self.complete_facts(model, tokenizer))

    def complete_facts(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> CardFacts:
        """Describe the data, if that has not been done.

        Args:
            model: The model as it now is.
            tokenizer: Its tokenizer.

        Returns:
            All that is known.
        """
        if not self.facts.results.get("data"):
            plain, texts = model.config.tagging_scheme == "none", self.facts.arguments.examples
            self.facts.results["data"] = describe_data(self._data, plain, text_separator(tokenizer), texts)
        return self.facts
