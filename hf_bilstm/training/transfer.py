"""From a pretrained language model to a model of a task: embeddings and the first layer move, the rest is new."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, chain, pairwise
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from hf_bilstm.models.character_features import CharacterFeatures
from hf_bilstm.models.characters import NUM_SPECIAL_IDS
from hf_bilstm.models.modeling_pretraining import BiLstmForPreTraining
from hf_bilstm.models.tokenization_bilstm import BiLstmTokenizer

logger = logging.get_logger(__name__)

# Fields of the configuration that the pretrained layer fixes.
PRETRAINED_SHAPES = ("embedding_size", "hidden_size", "rnn_type", "merge_mode")
# The same of features that it may have, by the field without which it has none.
_FEATURE_SHAPES = {
    "char_embedding_size": ("char_embedding_size", "char_encoder", "char_kernel_sizes", "char_hidden_size"),
    "character_type_embedding_size": ("character_type_embedding_size",),
}


def is_language_model(name: str | None) -> bool:
    """Tell whether a checkpoint is one that pretraining made.

    Args:
        name: Folder or repository, or None.
    """
    if name is None:
        return False
    return BiLstmForPreTraining.__name__ in (AutoConfig.from_pretrained(name).architectures or [])


def load_language_model(name: str, granularity: str) -> tuple[BiLstmForPreTraining, BiLstmTokenizer]:
    """Load a pretrained model and its tokenizer.

    Args:
        name: Folder or repository.
        granularity: What a token of the model is that starts from it, "char" or "word".

    Returns:
        The two.

    Raises:
        ValueError: If the tokens of the pretrained model are others.
    """
    tokenizer: Any = AutoTokenizer.from_pretrained(name)
    if tokenizer.granularity != granularity:
        raise ValueError(
            f"{name} was pretrained with granularity {tokenizer.granularity}, and the recipe has granularity "
            f"{granularity}: set granularity: {tokenizer.granularity}, or give a model that read "
            f"{'characters' if granularity == 'char' else 'words'}."
        )
    return BiLstmForPreTraining.from_pretrained(name), tokenizer


def pretrained_settings(name: str, source: PreTrainedModel, settings: dict[str, Any]) -> dict[str, Any]:
    """Give the settings of a model that starts from a pretrained one, and say which of the recipe's give way.

    Args:
        name: What the pretrained model is called.
        source: The model.
        settings: Fields of the configuration that the recipe sets.

    Returns:
        The settings with the pretrained layer's shapes.
    """
    features = [shapes for field, shapes in _FEATURE_SHAPES.items() if getattr(source.config, field)]
    fixed = {field: getattr(source.config, field) for field in chain(PRETRAINED_SHAPES, *features)}
    given = {field: settings[field] for field in fixed if field in settings}
    changed = [f"{field} {value} to {fixed[field]}" for field, value in given.items() if value != fixed[field]]
    if changed:
        logger.warning(f"{name} fixes the shapes of embeddings and layers: {', '.join(changed)}.")
    return {**settings, **fixed}


@torch.no_grad()
def carry_over(
    source: BiLstmForPreTraining,
    source_tokenizer: BiLstmTokenizer,
    model: Any,
    tokenizer: Any,
) -> list[str]:
    """Put the embeddings and the layer of a pretrained model into a new one, which computes the same from them.

    A token's vector is that of what the pretrained tokenizer reads it as, so that the two may fold differently.
    Features that the pretrained model has come along; others start without weight in the pretrained layer.

    Args:
        source: The pretrained model.
        source_tokenizer: Its tokenizer.
        model: The new model, of the same shapes: its first layer may read more, and it may have more layers.
        tokenizer: The new model's tokenizer.

    Returns:
        Tokens that the pretrained model does not know; they keep their new vectors.
    """
    vocab = tokenizer.get_vocab()
    tokens = sorted(vocab, key=vocab.__getitem__)
    known = source_tokenizer([[token] for token in tokens], is_split_into_words=True)["input_ids"]
    unknown = source_tokenizer.unk_token_id
    places: dict[int, int] = {tokenizer.unk_token_id: unknown, tokenizer.pad_token_id: source_tokenizer.pad_token_id}
    for token, ids in zip(tokens, known, strict=True):
        if len(ids) == 1 and ids[0] != unknown:
            places.setdefault(vocab[token], ids[0])
    own, theirs = torch.tensor(list(places)), torch.tensor(list(places.values()))
    pretrained: Any = source.bilstm
    embeddings = model.base_model.embeddings
    vectors = model.base_model.get_input_embeddings().weight
    vectors[own] = pretrained.get_input_embeddings().weight[theirs]
    if pretrained.embeddings.character_type_embeddings is not None:
        types = pretrained.embeddings.character_type_embeddings
        embeddings.character_type_embeddings.load_state_dict(types.state_dict())
    if pretrained.embeddings.characters is not None:
        _carry_characters(
            pretrained.embeddings.characters, source_tokenizer.characters, embeddings.characters, tokenizer.characters
        )
    read, reads = _columns(pretrained.embeddings.feature_sizes), _columns(embeddings.feature_sizes)
    layer: Any = model.base_model.encoder.layers[0]
    for name, weight in pretrained.encoder.layers[0].named_parameters():
        parameter = layer.get_parameter(name)
        if name.endswith("weight_ih_l0"):
            parameter.zero_()
            for feature, columns in read.items():
                parameter[:, reads[feature]] = weight[:, columns]
        else:
            parameter.copy_(weight)
    if isinstance(model, BiLstmForPreTraining):
        model.forward_projection.load_state_dict(source.forward_projection.state_dict())
        model.backward_projection.load_state_dict(source.backward_projection.state_dict())
        bias: Any = model.decoder.bias
        bias[own] = source.decoder.bias[theirs]
    added = [token for token in tokens if vocab[token] not in places]
    if added:
        listed = "".join(added[:20]) if tokenizer.granularity == "char" else " ".join(added[:20])
        logger.warning(f"{len(added)} of {len(tokens)} tokens are new to the pretrained model: {listed}")
    return added


def _columns(sizes: Mapping[str, int]) -> dict[str, slice]:
    """Say where each feature stands in a token's vector."""
    ends = accumulate(sizes.values(), initial=0)
    return {feature: slice(*bounds) for feature, bounds in zip(sizes, pairwise(ends), strict=True)}


def _carry_characters(source: CharacterFeatures, known: str, features: CharacterFeatures, characters: str) -> None:
    """Put what makes vectors of words' characters into a new model; characters that it knows beside start anew."""
    features.encoder.load_state_dict(source.encoder.state_dict())
    ids = {character: number for number, character in enumerate(known, start=NUM_SPECIAL_IDS)}
    places = {number: number for number in range(NUM_SPECIAL_IDS)}
    for number, character in enumerate(characters, start=NUM_SPECIAL_IDS):
        if character in ids:
            places[number] = ids[character]
    features.embeddings.weight[list(places)] = source.embeddings.weight[list(places.values())]


def pretrained_parameters(model: Any) -> list[list[torch.nn.Parameter]]:
    """List the weights that a pretrained model gave, from the top down: the first layer, the token embeddings."""
    base = model.base_model
    return [list(base.encoder.layers[0].parameters()), [base.get_input_embeddings().weight]]
