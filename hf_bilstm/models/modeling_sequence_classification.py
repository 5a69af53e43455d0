"""The classifier: one answer for a whole text, from the same encoder as the tagger's."""

from __future__ import annotations

from typing import Any, get_args

from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from .classification_loss import ProblemType, classification_loss, tell_problem_type
from .configuration_bilstm import BiLstmConfig
from .inputs import compact_inputs
from .label_states import check_labels
from .modeling_bilstm import BiLstmModel, BiLstmPreTrainedModel, is_wanted, restore
from .pooling import Pooling
from .tagging_schemes import OUTSIDE


class BiLstmForSequenceClassification(BiLstmPreTrainedModel):
    """A BiLSTM whose tokens' states are pooled into one vector, and a linear map from there to the labels.

    Args:
        config: The model's configuration. `classifier_pooling` says how to pool, `problem_type` what the labels are:
            "single_label_classification", "multi_label_classification" or "regression"; None leaves it to the first
            labels that the model is given.

    Raises:
        ValueError: If the labels are a tagger's, or something else in the configuration does not fit a classifier.
    """

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__(config)
        _check_config(config)
        self.num_labels = len(config.labels)
        self.bilstm = BiLstmModel(config)
        self.pooling = Pooling(config.classifier_pooling, self.bilstm.output_size)
        self.dropout = nn.Dropout(config.classifier_dropout)
        # Not `classifier`, the tagger's: a checkpoint's head must never be taken for one of the other kind.
        self.score = nn.Linear(self.bilstm.output_size, self.num_labels)
        self.post_init()

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
    ) -> SequenceClassifierOutput | tuple[Tensor, ...]:
        """Classify a batch; the answer for a text never depends on what else is in the batch.

        Args:
            input_ids: (B, T) token ids.
            attention_mask: (B, T), 1 at tokens and 0 at padding, wherever the padding stands; all 1 when absent.
            labels: (B,) label ids, or (B, L) numbers, see `classification_loss`; -100 where unknown.
            output_hidden_states: Whether to return embeddings and every layer's output.
            return_dict: Whether to return an output object (default) or a tuple.
            num_items_in_batch: What to divide the summed loss by; the number of known labels when absent.
            char_input_ids: (B, T, C) ids of each token's characters, for models that look into words.
            **kwargs: Ignored, for callers that pass what other models take.

        Returns:
            `loss`, `logits` (B, L) float32, and `hidden_states` when asked for.

        Raises:
            ValueError: If inputs have a wrong shape, or an id or label is out of range.
        """
        compaction, input_ids = compact_inputs(input_ids, attention_mask, self.bilstm.embeddings.vocab_size)
        characters = self.bilstm.read_characters(char_input_ids, compaction)
        rows, layers, said = self.bilstm.encode(input_ids, compaction.lengths, *characters)
        ends = self.bilstm.encoder.ends(said, rows)
        pooled = self.pooling(rows.part(layers[-1]), ends, compaction.lengths)
        logits = self.score(self.dropout(pooled)).float()
        loss = None
        if labels is not None:
            self.config.problem_type = tell_problem_type(self.config, labels)
            loss = classification_loss(logits, labels, self.config, num_items_in_batch)
        hidden_states = None
        if is_wanted(output_hidden_states, self.config.output_hidden_states):
            hidden_states = tuple(restore(rows.part(values), compaction) for values in layers)
        output = SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=hidden_states)
        return output if is_wanted(return_dict, self.config.return_dict) else output.to_tuple()

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Save weights, configuration and code, without the tagging pipeline that an encoder may have come with.

        Args:
            *args: As in `PreTrainedModel.save_pretrained`.
            **kwargs: As in `PreTrainedModel.save_pretrained`.
        """
        vars(self.config).pop("custom_pipelines", None)
        super().save_pretrained(*args, **kwargs)


def _check_config(config: BiLstmConfig) -> None:
    """Refuse what only a tagger's configuration holds, and would lose here."""
    labels = check_labels(config)
    if config.tagging_scheme != "none" and all(label == OUTSIDE or label[:2] in ("B-", "I-") for label in labels):
        raise ValueError(
            f"The labels {', '.join(labels)} are a tagger's (tagging_scheme={config.tagging_scheme!r}). Pass those of "
            f"the texts to from_pretrained, id2label={{0: 'news', ...}} and its inverse label2id, or num_labels=..."
        )
    if config.dictionary_nodes:
        raise ValueError(
            "The checkpoint has a user dictionary, which serves taggers only: pass dictionary_nodes=0 and "
            "dictionary_profiles=0 to leave it out."
        )
    if config.problem_type not in (None, *get_args(ProblemType)):
        raise ValueError(
            f"problem_type must be None or one of {', '.join(get_args(ProblemType))}, got {config.problem_type!r}."
        )


__all__ = ["BiLstmForSequenceClassification"]
