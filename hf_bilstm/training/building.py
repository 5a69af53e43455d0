"""The tokenizer and the model that a recipe trains: new, or from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from hf_bilstm.checkpoints import is_classifier
from hf_bilstm.data import label_list
from hf_bilstm.data.vectors import check_size
from hf_bilstm.models.classification_loss import SINGLE_LABEL
from hf_bilstm.models.configuration_bilstm import BiLstmConfig
from hf_bilstm.models.modeling_bilstm import BiLstmForTokenClassification
from hf_bilstm.models.modeling_sequence_classification import BiLstmForSequenceClassification
from hf_bilstm.models.tagging_schemes import split_tag
from hf_bilstm.models.tokenization_bilstm import BiLstmTokenizer
from hf_bilstm.tagsets import describe_tags
from hf_bilstm.training.arguments import DataArguments, config_fields, label_weights
from hf_bilstm.training.lexicon import learn_lexicon
from hf_bilstm.training.recipes import Recipe
from hf_bilstm.training.transfer import carry_over, is_language_model, load_language_model, pretrained_settings
from hf_bilstm.training.vectors import PretrainedVectors, fill_embeddings, find_vectors

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.get_logger(__name__)

# Fields that fix the shapes of a checkpoint's encoder.
_SHAPES = (
    "embedding_size",
    "bigram_buckets",
    "bigram_embedding_size",
    "character_type_embedding_size",
    "lexicon_embedding_size",
    "lexicon_max_length",
    "char_embedding_size",
    "char_encoder",
    "char_kernel_sizes",
    "char_hidden_size",
    "hidden_size",
    "num_hidden_layers",
    "rnn_type",
    "merge_mode",
)


def build(
    recipe: Recipe,
    train_data: Dataset,
    validation_data: Dataset | None = None,
    vectors: PretrainedVectors | None = None,
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Make the tokenizer and the model that a recipe trains.

    Args:
        recipe: What to do.
        train_data: Columns `tokens` and `tags`, or `text` and `label`; the vocabulary comes from here.
        validation_data: The same; its labels, too, are the model's.
        vectors: What `pretrained_vectors` gives, which is asked when they are None.

    Returns:
        A tokenizer and a model: new ones, or those of `model_name_or_path`, whose head is kept when its labels are the
        data's and made anew otherwise. Of a language model come the embeddings and the first layer.
    """
    vectors = vectors or pretrained_vectors(recipe, train_data)
    labels = label_list([data for data in (train_data, validation_data) if data is not None])
    settings = config_fields(recipe.model) | _tagset_fields(recipe.data, labels)
    name = recipe.model.model_name_or_path
    source, known = None, None
    if name and is_language_model(name):
        source, known = load_language_model(name, recipe.data.granularity)
    if name and source is None:
        return _fine_tuned(recipe, labels, settings)
    if vectors is not None:
        check_size(vectors.name, vectors.size, settings.get("embedding_size"))
        settings["embedding_size"] = vectors.size
    if source is not None and known is not None:
        settings = pretrained_settings(str(name), source, settings)
        tokenizer = _new_tokenizer(recipe, train_data, known.get_vocab(), known.characters)
    else:
        tokenizer = _new_tokenizer(recipe, train_data, vectors.vectors if vectors else ())
    classifies = recipe.data.task == "classification"
    lexicon = None
    if settings.get("lexicon_embedding_size"):
        if classifies:
            raise ValueError("The lexicon is learned from words, which classification has none of: leave it out.")
        lexicon = learn_lexicon(train_data, tokenizer, recipe.data.lexicon_min_frequency, recipe.data.lexicon_file)
    config = BiLstmConfig(
        **{**_head_fields(recipe.data, labels, tokenizer), **settings},
        **label_maps(labels),
        label_weights=label_weights(recipe.model.label_weights, labels),
        vocab_size=len(tokenizer),
        char_vocab_size=tokenizer.char_vocab_size,
        pad_token_id=tokenizer.pad_token_id,
        unk_token_id=tokenizer.unk_token_id,
        lexicon_size=len(lexicon.trie.keys) if lexicon else 0,
    )
    model = (BiLstmForSequenceClassification if classifies else BiLstmForTokenClassification)(config)
    embeddings = model.bilstm.embeddings
    embeddings.fill_character_types(tokenizer.get_vocab())
    if embeddings.lexicon and lexicon:
        embeddings.lexicon.fill(*lexicon)
    if source is not None and known is not None:
        carry_over(source, known, model, tokenizer)
    if vectors is not None:
        fill_embeddings(model, tokenizer.get_vocab(), vectors, recipe.vectors.vectors_trainable)
    return tokenizer, model


def pretrained_vectors(recipe: Recipe, train_data: Dataset) -> PretrainedVectors | None:
    """Find the vectors that a recipe names.

    Args:
        recipe: What to do.
        train_data: Column `tokens`.

    Returns:
        The vectors, or None where the recipe names none.

    Raises:
        OSError: If they are not there.
        ValueError: If they are wrong, or the recipe fine-tunes a model, which has embeddings already.
    """
    if recipe.vectors.vectors is None:
        return None
    if recipe.model.model_name_or_path:
        raise ValueError(
            f"vectors are for new models, and {recipe.model.model_name_or_path} has its own: leave out vectors to "
            f"fine-tune it (vectors_learning_rate: 0 keeps them), or model_name_or_path to train a new one."
        )
    every_word = recipe._replace(data=replace(recipe.data, min_frequency=1))
    tokenizer = _new_tokenizer(every_word, train_data)
    return find_vectors(recipe.vectors, train_data, tokenizer, recipe.model.embedding_size)


def _new_tokenizer(
    recipe: Recipe, train_data: Dataset, extra_tokens: Iterable[str] = (), extra_characters: str = ""
) -> BiLstmTokenizer:
    arguments = recipe.data
    return BiLstmTokenizer.from_corpus(
        train_data[text_column(train_data)],
        extra_tokens=extra_tokens,
        granularity=arguments.granularity,
        min_frequency=arguments.min_frequency,
        fold=tuple(arguments.fold),
        white_space=arguments.white_space,
        splitting=arguments.splitting,
        char_width=arguments.char_width if recipe.model.char_embedding_size or extra_characters else 0,
        extra_characters=extra_characters,
    )


def text_column(data: Dataset) -> str:
    """Name the column of a data set that holds what a model reads."""
    return "text" if "text" in data.column_names else "tokens"


def _fine_tuned(
    recipe: Recipe, labels: list[str], settings: dict[str, Any]
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    name, weights = recipe.model.model_name_or_path, recipe.model.label_weights
    tokenizer = AutoTokenizer.from_pretrained(name)
    config = AutoConfig.from_pretrained(name)
    for field in _SHAPES:
        if settings.get(field, getattr(config, field)) != getattr(config, field):
            raise ValueError(
                f"{field} is {settings[field]} in the recipe and {getattr(config, field)} in {name}, whose weights "
                f"fit no other: leave it out to fine-tune, or leave out model_name_or_path to train a new model."
            )
    classifies = recipe.data.task == "classification"
    auto_class: Any = AutoModelForSequenceClassification if classifies else AutoModelForTokenClassification
    is_same_kind = is_classifier(config) == classifies
    if is_same_kind and set(config.labels) == set(labels):  # in the checkpoint's order, which may be another
        if weights is not None:
            settings = {**settings, "label_weights": label_weights(weights, config.labels)}
        return tokenizer, auto_class.from_pretrained(name, **settings)
    logger.warning(
        f"{name} has the labels {', '.join(config.labels)}, the data {', '.join(labels)}: the encoder is kept, the "
        f"head and its transitions start anew."
        if is_same_kind
        else f"{name} is a {'tagger' if classifies else 'classifier'}: the encoder is kept, the head is new."
    )
    unknown = {"tagset": None, "tag_meanings": None, "tag_mappings": None}  # of the new labels, unless the recipe says
    if not is_same_kind:
        unknown |= _head_fields(recipe.data, labels, tokenizer)
    settings = {**unknown, **settings, **label_maps(labels), "label_weights": label_weights(weights, labels)}
    settings |= {"dictionary_nodes": 0, "dictionary_profiles": 0}  # its words were spans of other labels
    for key, value in settings.items():
        setattr(config, key, value)
    model = auto_class.from_config(config)
    encoder = AutoModel.from_pretrained(name)
    model.base_model.load_state_dict(encoder.state_dict())
    return tokenizer, model


def _head_fields(arguments: DataArguments, labels: list[str], tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Give the config's fields that a new head takes from the task, unless the recipe says otherwise."""
    if arguments.task == "classification":
        if len(labels) < 2:
            raise ValueError(f"All texts have the label {labels[0]!r}; classification takes two or more labels.")
        return {"tagging_scheme": "none", "problem_type": SINGLE_LABEL, "white_space_token_id": None}
    marks_spans = all(label == "O" or label[:2] in ("B-", "I-") for label in labels)
    is_boundary = arguments.task.startswith("segmentation")
    white_space = getattr(tokenizer, "white_space_token_id", None) if is_boundary else None
    scheme = "bioes" if marks_spans else "none"
    return {"tagging_scheme": scheme, "problem_type": None, "white_space_token_id": white_space}


def _tagset_fields(arguments: DataArguments, labels: list[str]) -> dict[str, Any]:
    """Give the config's fields that explain and map parts of speech."""
    if arguments.tagset is None or arguments.task not in ("pos", "segmentation_pos"):
        return {}
    tags = labels if arguments.task == "pos" else [split_tag(label)[1] for label in labels if label.startswith("B-")]
    return describe_tags(tags, arguments.tagset)


def label_maps(labels: list[str]) -> dict[str, Any]:
    """Give a configuration's `id2label` and `label2id` of labels in the order of their ids."""
    return {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
