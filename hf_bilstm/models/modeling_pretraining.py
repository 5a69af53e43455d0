"""A BiLSTM that learns to read: two language models, one a direction, over the same embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

from .configuration_bilstm import BiLstmConfig
from .inputs import compact_inputs, to_integers
from .label_states import UNOBSERVED
from .language_model_loss import sampled_token_losses, token_losses
from .modeling_bilstm import (
    BiLstmForTokenClassification,
    BiLstmModel,
    BiLstmPreTrainedModel,
    is_wanted,
    restore,
)
from .modeling_sequence_classification import BiLstmForSequenceClassification

# Features of a token that tell of its neighbours, which are what is to be predicted.
_LEAKS = ("bigram_buckets", "lexicon_embedding_size")
# Length of new token embeddings: with 1, as taggers have it, hundreds of steps pass before contexts are learned from.
_EMBEDDING_LENGTH = 4.0


@dataclass
class BiLstmForPreTrainingOutput(ModelOutput):
    """What the language models return.

    Args:
        loss: Scalar, when labels were given: the mean of the two directions' losses.
        forward_loss: Scalar, mean of -log P(token | all tokens before it), when labels were given.
        backward_loss: Scalar, mean of -log P(token | all tokens after it), when labels were given.
        forward_logits: (B, T, V) float32 without labels: at each token the scores of the token after it.
        backward_logits: (B, T, V) float32 without labels: at each token the scores of the token before it.
        hidden_states: Embeddings and the layer's output, (B, T, D) each, when asked for.
    """

    loss: Tensor | None = None
    forward_loss: Tensor | None = None
    backward_loss: Tensor | None = None
    forward_logits: Tensor | None = None
    backward_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None


class BiLstmForPreTraining(BiLstmPreTrainedModel):
    """Two language models: one direction predicts the next token, the other the one before (Peters et al. 2018).

    There is one layer, because further layers read both directions and so the tokens that are to be predicted; for
    the same reason no feature may look at a neighbour. Each direction's state goes through a map of its own into the
    space of the token embeddings, which are the output layer too (Press and Wolf 2017, arXiv:1608.05859).

    Args:
        config: The model's configuration.

    Raises:
        ValueError: If it has more than one layer, or features that tell of a token's neighbours.
    """

    _readers: ClassVar[dict[str, str]] = {
        **BiLstmPreTrainedModel._readers,
        "AutoModelForTokenClassification": f"modeling_bilstm.{BiLstmForTokenClassification.__name__}",
        "AutoModelForSequenceClassification": (
            f"modeling_sequence_classification.{BiLstmForSequenceClassification.__name__}"
        ),
    }
    _tied_weights_keys = {"decoder.weight": "bilstm.embeddings.token_embeddings.weight"}  # noqa: RUF012

    def __init__(self, config: BiLstmConfig) -> None:
        _check_config(config)
        config.tie_word_embeddings = True  # transformers asks for it by name
        super().__init__(config)
        self.bilstm = BiLstmModel(config)
        self.forward_projection = nn.Linear(config.hidden_size, config.embedding_size)
        self.backward_projection = nn.Linear(config.hidden_size, config.embedding_size)
        self.decoder = nn.Linear(config.embedding_size, config.vocab_size)
        self.post_init()
        with torch.no_grad():  # of a new model; loading fills them afterwards
            self.decoder.weight *= _EMBEDDING_LENGTH

    def get_output_embeddings(self) -> nn.Module:
        """Give the output layer, whose weights are the token embeddings'."""
        return self.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the output layer."""
        self.decoder = new_embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        char_input_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> BiLstmForPreTrainingOutput | tuple[Tensor, ...]:
        """Predict the neighbours of every token.

        Args:
            input_ids: (B, T) token ids.
            attention_mask: (B, T), 1 at tokens and 0 at padding, wherever the padding stands; all 1 when absent.
            labels: (B, T) the tokens to predict, at their own places: `input_ids`, with -100 where none is to be
                predicted, as `DataCollatorForLanguageModeling(mlm=False)` makes them.
            output_hidden_states: Whether to return embeddings and the layer's output.
            return_dict: Whether to return an output object (default) or a tuple.
            num_items_in_batch: What to divide the summed loss of a direction by in training; the number of
                predictions when absent, and in evaluation.
            char_input_ids: (B, T, C) ids of each token's characters, for models that look into words.
            **kwargs: Ignored, for callers that pass what other models take.

        Returns:
            Losses with labels, logits without, and hidden states; see `BiLstmForPreTrainingOutput`.

        Raises:
            ValueError: If inputs have a wrong shape, or an id is out of range.
        """
        compaction, input_ids = compact_inputs(input_ids, attention_mask, self.bilstm.embeddings.vocab_size)
        characters = self.bilstm.read_characters(char_input_ids, compaction)
        rows, embedded = self.bilstm.embed(input_ids, compaction.lengths, *characters)
        encoder: Any = self.bilstm.encoder
        forward, backward = map(rows.part, encoder.read(embedded, rows))  # (B, T, H) each
        guesses = self.forward_projection(forward).float(), self.backward_projection(backward).float()  # (B, T, E)
        output = BiLstmForPreTrainingOutput()
        if labels is None:
            output.forward_logits = restore(self.decoder(guesses[0]), compaction)
            output.backward_logits = restore(self.decoder(guesses[1]), compaction)
        else:
            targets = compaction.compact(to_integers(labels, "labels")).masked_fill(~compaction.mask, UNOBSERVED)
            of_forward, num_forward = self._lose(guesses[0][:, :-1], targets[:, 1:])
            before = targets[:, :-1].masked_fill(~compaction.mask[:, 1:], UNOBSERVED)  # no guess at the last token
            of_backward, num_backward = self._lose(guesses[1][:, 1:], before)
            mean_forward, mean_backward = of_forward / max(1, num_forward), of_backward / max(1, num_backward)
            output.forward_loss, output.backward_loss = mean_forward.detach(), mean_backward.detach()
            output.loss = (mean_forward + mean_backward) / 2
            if num_items_in_batch is not None and self.training:
                output.loss = (of_forward + of_backward) / (2 * num_items_in_batch)
        if is_wanted(output_hidden_states, self.config.output_hidden_states):
            merged = encoder.layers[0].merge(forward, backward)
            output.hidden_states = (restore(rows.part(embedded), compaction), restore(merged, compaction))
        return output if is_wanted(return_dict, self.config.return_dict) else output.to_tuple()

    def _lose(self, guesses: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        """Sum the losses of (B, T, E) guesses at (B, T) targets, and count them."""
        kept = targets != UNOBSERVED
        states, wanted = guesses[kept], targets[kept]  # (N, E), (N,)
        if wanted.numel() and int(wanted.max()) >= self.config.vocab_size:
            raise ValueError(
                f"labels hold {int(wanted.max())}, but the model knows the ids 0 to {self.config.vocab_size - 1}: "
                f"they are the input_ids themselves, and -100 where nothing is to be predicted."
            )
        table, bias = self.decoder.weight, self.decoder.bias
        if self.training and self.config.softmax_samples:
            return sampled_token_losses(states, table, bias, wanted, self.config.softmax_samples), len(wanted)
        return token_losses(states, table, bias, wanted), len(wanted)


def _check_config(config: BiLstmConfig) -> None:
    """Refuse what would let a model see what it is to predict."""
    if config.num_hidden_layers != 1:
        raise ValueError(
            f"num_hidden_layers must be 1 in pretraining, got {config.num_hidden_layers}: a second layer reads both "
            f"directions, and so the tokens to predict. Recipes that use the model may have more."
        )
    for name in _LEAKS:
        if getattr(config, name):
            raise ValueError(
                f"{name} must be 0 in pretraining, got {getattr(config, name)}: it tells of the token to predict. "
                f"Recipes that use the model may have it."
            )


__all__ = ["BiLstmForPreTraining", "BiLstmForPreTrainingOutput"]
