"""BiLSTM models for the Hub: the bare encoder and the tagger."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import ModelOutput

from .configuration_bilstm import BiLstmConfig
from .crf import FORBIDDEN_LOGIT, LinearChainCrf
from .dictionary import DictionaryScores, UserDictionary, bind_dictionary
from .embeddings import BiLstmEmbeddings
from .initialization import init_weights
from .inputs import compact_characters, compact_inputs
from .label_states import UNOBSERVED, fold, label_space, observe, structure
from .loading import check_complete, check_weights
from .partition import FORBIDDEN
from .recurrence import BiRecurrentEncoder, Compaction
from .rows import Rows
from .tagging_loss import compact_labels, tagging_loss
from .tagging_schemes import OUTSIDE


@dataclass
class BiLstmTokenClassifierOutput(ModelOutput):
    """What the tagger returns.

    Args:
        loss: Scalar, when labels were given.
        logits: (B, T, L) float32. In evaluation the score of the best legal path through each label relative to the
            best path of all, so that the largest logit at each token (0) spells the Viterbi path; in training the
            emissions of each label's states, added up in probability.
        emissions: (B, T, S) float32, the states' scores before any transition.
        hidden_states: Embeddings and every layer's output, (B, T, D) each, when asked for.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    emissions: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None


class BiLstmPreTrainedModel(PreTrainedModel):
    """Loading, saving and initialisation shared by all BiLSTM models."""

    config_class = BiLstmConfig
    config: BiLstmConfig
    base_model_prefix = "bilstm"
    main_input_name = "input_ids"
    # Further Auto classes that can read what is saved, and what they read it as.
    _readers: ClassVar[dict[str, str]] = {"AutoModel": "modeling_bilstm.BiLstmModel"}
    _keep_in_fp32_modules_strict = {"crf", "dictionary.weights"}  # noqa: RUF012

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__(config)
        config.validate()  # what overrides the configuration in `from_pretrained` is set after its own validation

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Any,
        *args: Any,
        output_loading_info: bool = False,
        use_safetensors: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Load a model from safetensors. What the checkpoint's own configuration promises must be there.

        What the caller asks for beyond that, such as a head on a bare encoder or a CRF on a tagger that had none, is
        made anew, as transformers does.

        Args:
            pretrained_model_name_or_path: Folder or repository of the Hub, or None with `config` and `state_dict`.
            *args: As in `PreTrainedModel.from_pretrained`.
            output_loading_info: Whether to return what was missing, unexpected or of another shape as well.
            use_safetensors: True or None: nothing is ever unpickled.
            **kwargs: As in `PreTrainedModel.from_pretrained`.

        Returns:
            The model in evaluation mode, with the loading information when asked for.

        Raises:
            OSError: If the checkpoint cannot be reached or is damaged.
            ValueError: If the weights are pickled, are no floating-point numbers, or are missing.
        """
        if use_safetensors is False:
            raise ValueError("use_safetensors=False would unpickle weights, which can run code: leave it out.")
        name = pretrained_model_name_or_path
        if name is not None and kwargs.get("variant") is None:
            check_weights(str(name), **kwargs)
        model: Any
        info: Any
        model, info = super().from_pretrained(  # type: ignore[misc]
            name, *args, output_loading_info=True, use_safetensors=True, **kwargs
        )
        if info["missing_keys"] and name is not None:
            saved = cls.config_class.from_dict(cls.config_class.get_config_dict(name, **kwargs)[0])
            kind = cls if cls.__name__ in (saved.architectures or [cls.__name__]) else BiLstmModel
            with torch.device("meta"):
                promised = set(kind(saved).state_dict())
            prefix = "" if kind is cls else f"{cls.base_model_prefix}."
            check_complete(set(info["missing_keys"]), {prefix + key for key in promised})
        return (model, info) if output_loading_info else model

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Save weights, configuration and code, and say which Auto classes, too, can read them.

        Args:
            *args: As in `PreTrainedModel.save_pretrained`.
            **kwargs: As in `PreTrainedModel.save_pretrained`.
        """
        if self._auto_class is not None:  # transformers itself names the class that is saved, and no other
            auto_map = getattr(self.config, "auto_map", None) or {}
            # Of the heads, only that of this model: its encoder may have come with another.
            own = {name: auto_map[name] for name in ("AutoConfig", self._auto_class) if name in auto_map}
            self.config.auto_map = {**own, **self._readers}
        super().save_pretrained(*args, **kwargs)

    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a module's own parameters; transformers calls this for every module that was not loaded."""
        init_weights(module)


class BiLstmModel(BiLstmPreTrainedModel):
    """Embeddings and bidirectional recurrent layers, without a head.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__(config)
        self.embeddings = BiLstmEmbeddings(config)
        self.encoder = BiRecurrentEncoder(
            self.embeddings.output_size,
            config.hidden_size,
            config.num_hidden_layers,
            config.rnn_type,
            config.merge_mode,
            config.hidden_dropout,
            config.dropout_type == "variational",
        )
        self.output_size = self.encoder.output_size
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Give the token embeddings."""
        return self.embeddings.token_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the token embeddings."""
        self.embeddings.replace_token_embeddings(value)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        char_input_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput | tuple[Tensor, ...]:
        """Encode a batch; a row's result depends on nothing but its own tokens.

        Args:
            input_ids: (B, T) token ids.
            attention_mask: (B, T), 1 at tokens and 0 at padding, wherever the padding stands; all 1 when absent.
            output_hidden_states: Whether to return embeddings and every layer's output.
            return_dict: Whether to return an output object (default) or a tuple.
            char_input_ids: (B, T, C) ids of each token's characters, for models that look into words.
            **kwargs: Ignored, for callers that pass what other models take.

        Returns:
            `last_hidden_state` (B, T, D), 0 at padding, and `hidden_states` when asked for.

        Raises:
            ValueError: If ids or mask have a wrong shape, or an id is outside the vocabulary.
        """
        compaction, input_ids = compact_inputs(input_ids, attention_mask, self.embeddings.vocab_size)
        characters = self.read_characters(char_input_ids, compaction)
        rows, layers, _ = self.encode(input_ids, compaction.lengths, *characters)
        last = restore(rows.part(layers[-1]), compaction)
        hidden_states = None
        if is_wanted(output_hidden_states, self.config.output_hidden_states):
            hidden_states = (*(restore(rows.part(values), compaction) for values in layers[:-1]), last)
        output = BaseModelOutput(last_hidden_state=last, hidden_states=hidden_states)
        return output if is_wanted(return_dict, self.config.return_dict) else output.to_tuple()

    def read_characters(self, char_input_ids: Tensor | None, compaction: Compaction) -> list[Tensor]:
        """Make the vectors of words from their characters, once for each distinct word of a batch.

        Args:
            char_input_ids: (B, T, C), as in `forward`.
            compaction: That of the words.

        Returns:
            One tensor (B, T', D), right-padded, or none where the model does not look into words.
        """
        features = self.embeddings.characters
        if features is None:
            return []
        return [features(compact_characters(char_input_ids, compaction, features.vocab_size))]

    def encode(
        self, input_ids: Tensor, lengths: Tensor, *characters: Tensor
    ) -> tuple[Rows, list[Tensor], tuple[Tensor, Tensor]]:
        """Run embeddings and layers over sentences that are checked and compacted.

        Args:
            input_ids: (B, T), right-padded.
            lengths: (B,) real tokens of each sentence.
            *characters: What `read_characters` gave for these sentences.

        Returns:
            How the sentences were arranged in rows; of the rows, embeddings and each layer's output (R, L, D), and
            what each direction of the last layer said (R, L, H). Where no token stands they are arbitrary.
        """
        rows, embedded = self.embed(input_ids, lengths, *characters)
        outputs, said = self.encoder(embedded, rows)
        return rows, [embedded, *outputs], said

    def embed(self, input_ids: Tensor, lengths: Tensor, *characters: Tensor) -> tuple[Rows, Tensor]:
        """Look up the vectors of sentences that are checked and compacted, and arrange them in rows.

        Args:
            input_ids: (B, T), right-padded.
            lengths: (B,) real tokens of each sentence.
            *characters: What `read_characters` gave for these sentences.

        Returns:
            How they are arranged, and (R, L, D) vectors.
        """
        vectors = self.embeddings(input_ids, lengths, *characters)
        rows = self.encoder.arrange(vectors, lengths)
        return rows, self.embeddings.dropout(rows.join(vectors), rows)


def restore(values: Tensor, compaction: Compaction) -> Tensor:
    """Bring compacted (B, T, D) values back to where their tokens came from, with 0 at padding."""
    return compaction.scatter(values.masked_fill(~compaction.mask[:, :, None], 0.0))


def is_wanted(choice: bool | None, default: bool | None) -> bool:
    """Tell whether a call asks for something, or else the configuration."""
    return bool(default if choice is None else choice)


class BiLstmForTokenClassification(BiLstmPreTrainedModel):
    """A BiLSTM tagger over a linear-chain CRF, or over a softmax with legal decoding.

    Args:
        config: The model's configuration; `id2label` holds the labels.

    Raises:
        ValueError: If the labels contradict `config.tagging_scheme`, or `config.label_weights` does not fit them.
    """

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__(config)
        labels, space = label_space(config)
        self.num_labels = len(labels)
        self.bilstm = BiLstmModel(config)
        self.classifier = nn.Linear(self.bilstm.output_size, len(space.states))
        self.crf = LinearChainCrf(space, learned=config.use_crf)
        self.dictionary: DictionaryScores | None = None
        if config.dictionary_nodes:
            self.dictionary = DictionaryScores(
                space, config.tagging_scheme, config.dictionary_nodes, config.dictionary_profiles
            )
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
    ) -> BiLstmTokenClassifierOutput | tuple[Tensor, ...]:
        """Tag a batch; the tags of a text never depend on what else is in the batch.

        Args:
            input_ids: (B, T) token ids.
            attention_mask: (B, T), 1 at tokens and 0 at padding, wherever the padding stands; all 1 when absent.
            labels: (B, T) label ids; -100 where the label is unknown. Only the attention mask removes positions.
            output_hidden_states: Whether to return embeddings and every layer's output.
            return_dict: Whether to return an output object (default) or a tuple.
            num_items_in_batch: What to divide the summed loss by; the number of labelled tokens when absent.
            char_input_ids: (B, T, C) ids of each token's characters, for models that look into words.
            **kwargs: Ignored, for callers that pass what other models take.

        Returns:
            Loss, logits, emissions and hidden states, see `BiLstmTokenClassifierOutput`.

        Raises:
            ValueError: If inputs have a wrong shape, or an id or label is out of range.
        """
        compaction, input_ids = compact_inputs(input_ids, attention_mask, self.bilstm.embeddings.vocab_size)
        characters = self.bilstm.read_characters(char_input_ids, compaction)
        rows, layers, _ = self.bilstm.encode(input_ids, compaction.lengths, *characters)
        scores = self.classifier(layers[-1]).float()  # (R, L, S)
        emissions = rows.part(scores)  # (B, T, S)
        if self.training:
            logits = rows.part(reduce(torch.logaddexp, fold(scores, self.crf.space, FORBIDDEN_LOGIT)))
        else:
            logits = self._decode_logits(emissions, input_ids, compaction.lengths)
        emissions, logits = (values.masked_fill(~compaction.mask[:, :, None], 0.0) for values in (emissions, logits))
        loss = None
        if labels is not None:
            labels = compact_labels(labels, compaction, self._is_white_space(input_ids), self.config)
            legal = self._forbid_at_white_space(emissions, input_ids)
            loss = tagging_loss(legal, compaction.lengths, labels, self.crf, self.config, num_items_in_batch)
        hidden_states = None
        if is_wanted(output_hidden_states, self.config.output_hidden_states):
            hidden_states = tuple(restore(rows.part(values), compaction) for values in layers)
        output = BiLstmTokenClassifierOutput(
            loss=loss,
            logits=compaction.scatter(logits),
            emissions=compaction.scatter(emissions),
            hidden_states=hidden_states,
        )
        return output if is_wanted(return_dict, self.config.return_dict) else output.to_tuple()

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Save weights, configuration and code, that of the tagging pipeline too.

        Args:
            *args: As in `PreTrainedModel.save_pretrained`.
            **kwargs: As in `PreTrainedModel.save_pretrained`.

        Raises:
            ValueError: If the configuration's labels were changed so that they no longer fit the model's states.
        """
        labels, space = label_space(self.config)
        if structure(space) != structure(self.crf.space):
            raise ValueError(
                f"config.id2label was changed to {labels} after the model was built, but with "
                f"tagging_scheme={self.config.tagging_scheme!r} its weights stand for {list(self.crf.space.states)}. "
                f"Pass id2label and label2id to from_pretrained instead, with ignore_mismatched_sizes=True."
            )
        if self._auto_class is not None:
            # By this line, too, transformers finds the pipeline's file among those to copy.
            from .pipeline_bilstm import CUSTOM_PIPELINES

            self.config.custom_pipelines = CUSTOM_PIPELINES
        super().save_pretrained(*args, **kwargs)

    def set_dictionary(self, dictionary: UserDictionary | None, tokenizer: Any = None) -> None:
        """Give the model a user dictionary of its own, which decoding consults and `save_pretrained` saves.

        Args:
            dictionary: The words; None takes the model's dictionary away.
            tokenizer: The model's tokenizer, which is needed with a dictionary.

        Raises:
            ValueError: If there is no tokenizer, an entry is none of the model's, or holds a character that is not in
                its vocabulary.
        """
        if dictionary is not None and tokenizer is None:
            raise ValueError("A dictionary holds texts: write set_dictionary(dictionary, tokenizer).")
        self.dictionary = None
        if dictionary is not None:
            bound = bind_dictionary(dictionary, tokenizer, self.crf.space, self.config)
            if bound.new_ids:
                raise ValueError(
                    f"{', '.join(map(repr, list(bound.new_ids)[:5]))} of the dictionary: the model's vocabulary lacks "
                    f"{len(bound.new_ids)} such tokens, and their ids are all the same to it. Take the words out, or "
                    f"give the dictionary to TaggingPipeline, which looks at the text."
                )
            self.dictionary = bound.scores.to(self.device)
        self.config.dictionary_nodes = 0 if self.dictionary is None else len(self.dictionary.keys)
        self.config.dictionary_profiles = 0 if self.dictionary is None else len(self.dictionary.forced)

    @torch.no_grad()
    def posteriors(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, char_input_ids: Tensor | None = None
    ) -> Tensor:
        """Probability of every label at every token, over all legal paths.

        Args:
            input_ids: (B, T) token ids.
            attention_mask: (B, T), or None for all ones.
            char_input_ids: (B, T, C), for models that look into words.

        Returns:
            (B, T, L) float32, summing to 1 at tokens and 0 at padding.
        """
        compaction, _, emissions = self._emit(input_ids, attention_mask, char_input_ids)
        marginals = self.crf.marginals(emissions, compaction.lengths).float()  # (B, T, S)
        return compaction.scatter(reduce(torch.add, fold(marginals, self.crf.space, 0.0)))

    @torch.no_grad()
    def n_best(
        self,
        input_ids: Tensor,
        n: int,
        attention_mask: Tensor | None = None,
        char_input_ids: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The n best legal label sequences of every row.

        Args:
            input_ids: (B, T) token ids.
            n: Sequences wanted, at least 1.
            attention_mask: (B, T), or None for all ones.
            char_input_ids: (B, T, C), for models that look into words.

        Returns:
            Label ids (B, n, T), -100 at padding, and log-probabilities (B, n) in falling order. Where a row has fewer
            legal sequences, the places left over hold -100 and minus infinity.
        """
        compaction, _, emissions = self._emit(input_ids, attention_mask, char_input_ids)
        paths, scores = self.crf.n_best(emissions, compaction.lengths, n)
        owners = torch.tensor(self.crf.space.state_to_label, device=paths.device)
        unused = ~compaction.mask[:, None, :] | scores.isinf()[:, :, None]
        label_ids = owners[paths].masked_fill(unused, UNOBSERVED)
        label_ids = torch.stack([compaction.scatter(ranked) for ranked in label_ids.unbind(dim=1)], dim=1)
        return label_ids, scores - self.crf.log_partition(emissions, compaction.lengths)[:, None]

    @torch.no_grad()
    def label_log_likelihood(
        self,
        input_ids: Tensor,
        labels: Tensor,
        attention_mask: Tensor | None = None,
        char_input_ids: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Log-probability that the label sequence agrees with the given labels wherever they are not -100.

        Args:
            input_ids: (B, T) token ids.
            labels: (N, T) label ids, -100 where anything agrees.
            attention_mask: (B, T), or None for all ones.
            char_input_ids: (B, T, C), for models that look into words.
            rows: (N,) the row of `input_ids` that each row of labels is about, so that many are asked of one sentence
                for one run of the network; None where each row has its own labels, N = B.

        Returns:
            (N,) float64, at most 0.
        """
        compaction, input_ids, emissions = self._emit(input_ids, attention_mask, char_input_ids)
        totals = self.crf.log_partition(emissions, compaction.lengths)
        if rows is not None:
            compaction = Compaction(compaction.scatter(compaction.mask)[rows])
            input_ids, emissions, totals = input_ids[rows], emissions[rows], totals[rows]
        labels = compact_labels(labels, compaction, self._is_white_space(input_ids), self.config)
        agreeing = emissions.masked_fill(~observe(labels, self.crf.space), FORBIDDEN)
        return (self.crf.log_partition(agreeing, compaction.lengths) - totals).clamp(max=0.0)

    def _decode_logits(self, emissions: Tensor, input_ids: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, T, L) whose argmax is the best path, of sentences that are compacted."""
        legal = self._forbid_at_white_space(emissions, input_ids)
        legal = self._consult_dictionary(legal, input_ids, lengths)
        marginals = self.crf.max_marginals(legal, lengths)
        return reduce(torch.maximum, fold(marginals, self.crf.space, FORBIDDEN_LOGIT))

    def _emit(
        self, input_ids: Tensor, attention_mask: Tensor | None, char_input_ids: Tensor | None = None
    ) -> tuple[Compaction, Tensor, Tensor]:
        """Compacted ids, and emissions with forbidden states marked, for decoding."""
        compaction, input_ids = compact_inputs(input_ids, attention_mask, self.bilstm.embeddings.vocab_size)
        characters = self.bilstm.read_characters(char_input_ids, compaction)
        rows, layers, _ = self.bilstm.encode(input_ids, compaction.lengths, *characters)
        emissions = rows.part(self.classifier(layers[-1]).float())
        emissions = self._forbid_at_white_space(emissions, input_ids)
        return compaction, input_ids, self._consult_dictionary(emissions, input_ids, compaction.lengths)

    def _is_white_space(self, input_ids: Tensor) -> Tensor:
        white_space = self.config.white_space_token_id
        return input_ids == (-1 if white_space is None else white_space)

    def _forbid_at_white_space(self, emissions: Tensor, input_ids: Tensor) -> Tensor:
        """Leave only `O` legal at white space, and only there, where the configuration asks for it."""
        if self.config.white_space_token_id is None:
            return emissions
        outside = torch.tensor([state == OUTSIDE for state in self.crf.space.states], device=emissions.device)
        white = self._is_white_space(input_ids)
        return emissions.masked_fill(white[:, :, None] != outside, FORBIDDEN)

    def _consult_dictionary(self, emissions: Tensor, input_ids: Tensor, lengths: Tensor) -> Tensor:
        """Let the words of the model's own dictionary count, if it has one."""
        return emissions if self.dictionary is None else self.dictionary(emissions, input_ids, lengths)


__all__ = ["BiLstmForTokenClassification", "BiLstmModel", "BiLstmPreTrainedModel", "BiLstmTokenClassifierOutput"]
