"""The stock Trainer with the few things it offers no hook for."""

from __future__ import annotations

from torch import nn
from transformers import Trainer


class TaggerTrainer(Trainer):
    """The Trainer, with weight decay on the matrices only.

    Embeddings are spared because a rare token's vector would decay to nothing between its gradients, and the CRF's
    scores because they are a table, not a map.
    """

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Name the parameters that weight decay applies to: matrices of the recurrent layers and the classifier."""
        return [
            name for name in super().get_decay_parameter_names(model) if "embeddings" not in name and "crf" not in name
        ]
