"""Callbacks of the Trainer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_LIVE_WEIGHTS = "live_weights.safetensors"


class EmaCallback(TrainerCallback):
    """Evaluates and saves an exponential moving average of the weights (Polyak and Juditsky 1992).

    The average takes the weights' place whenever the Trainer evaluates or saves, and the live weights come back before
    the next step. A checkpoint holds the average as its model and the live weights beside it, so that a resumed run
    goes on exactly where it stood.

    Args:
        decay: Weight of the old average at each optimizer step, below 1; the first steps use (1 + step) / (10 + step)
            where that is smaller, so that the random start is forgotten.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self._average: dict[str, Tensor] = {}
        self._live: dict[str, Tensor] | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the average at the weights, which on resuming are the average; then fetch the live ones."""
        model = kwargs["model"]
        self._average = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        checkpoint = Path(args.output_dir or ".") / f"checkpoint-{state.global_step}"
        if Path(args.resume_from_checkpoint or "").joinpath(_LIVE_WEIGHTS).is_file():  # it may be another folder's
            checkpoint = Path(args.resume_from_checkpoint or "")
        live = checkpoint / _LIVE_WEIGHTS
        if state.global_step and live.is_file():
            _copy_into(model, load_file(live, device=str(model.device)))

    @torch.no_grad()
    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Update the average, and show it if the Trainer is about to evaluate or save."""
        model = kwargs["model"]
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        weights = dict(model.named_parameters())
        torch._foreach_lerp_(list(self._average.values()), [weights[name] for name in self._average], 1 - decay)
        self._show_average(model, control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Show the average if the Trainer is about to evaluate or save."""
        self._show_average(kwargs["model"], control)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Put the live weights beside the checkpoint's model."""
        if self._live is not None and state.is_world_process_zero:
            folder = Path(args.output_dir or ".") / f"checkpoint-{state.global_step}"
            save_file(self._live, folder / _LIVE_WEIGHTS)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Bring the live weights back."""
        if self._live is not None:
            _copy_into(kwargs["model"], self._live)
            self._live = None

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the average in the model, unless the Trainer has loaded the best checkpoint into it."""
        if self._live is None and not args.load_best_model_at_end:
            _copy_into(kwargs["model"], self._average)
        self._live = None

    def _show_average(self, model: nn.Module, control: TrainerControl) -> None:
        if (control.should_evaluate or control.should_save) and self._live is None:
            self._live = {name: weight.detach().clone() for name, weight in model.named_parameters()}
            _copy_into(model, self._average)


class UnfreezeCallback(TrainerCallback):
    """Holds pretrained weights, and lets them go group by group, from the top down (Howard and Ruder 2018).

    Args:
        groups: The weights, in the order in which they are let go.
        every: Epochs from one group to the next; the first is held for as long.
    """

    def __init__(self, groups: list[list[nn.Parameter]], every: float) -> None:
        self._groups = groups
        self._every = every
        self._held: set[nn.Parameter] = set()
        self._hooks: list[Any] = []

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the gradients of what is held out of the gradient's norm.

        Weights that ask for no gradient would be simpler, but several processes agree at the start on which weights
        have one.
        """
        for weight in (weight for group in self._groups for weight in group):
            self._hooks.append(weight.register_hook(partial(self._silence, weight)))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let go what has been held for long enough."""
        held = [group for n, group in enumerate(self._groups, start=1) if (state.epoch or 0.0) < n * self._every]
        self._held = {weight for group in held for weight in group}

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the gradients away: the optimizer leaves weights without one alone, and does not decay them."""
        for weight in self._held:
            weight.grad = None

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let everything go."""
        for hook in self._hooks:
            hook.remove()

    def _silence(self, weight: nn.Parameter, gradient: Tensor) -> Tensor | None:
        return torch.zeros_like(gradient) if weight in self._held else None


@torch.no_grad()
def _copy_into(model: nn.Module, weights: dict[str, Tensor]) -> None:
    for name, weight in model.named_parameters():
        weight.copy_(weights[name])
