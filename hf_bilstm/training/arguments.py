"""The keys of a recipe: groups of typed arguments, what each takes and what it means."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, Literal

from hf_bilstm.models.configuration_bilstm import BiLstmConfig
from hf_bilstm.models.tokenization_bilstm import DEFAULT_CHAR_WIDTH

# Set from the tokenizer, the labels and the words, never by hand; label_weights is given by label instead.
_DERIVED_FIELDS = {
    "vocab_size",
    "pad_token_id",
    "unk_token_id",
    "white_space_token_id",
    "label_weights",
    "lexicon_size",
    "char_vocab_size",
    "dictionary_nodes",
    "dictionary_profiles",
    "tagset",  # one of the data's arguments
    "tag_meanings",
    "tag_mappings",
}


def _model_arguments() -> type:
    """Make a dataclass of the configuration's own fields; None leaves a field as the configuration has it."""
    helps = {
        "model_name_or_path": "Checkpoint or Hub id to fine-tune; a new model when absent.",
        "label_weights": 'Weights of labels in the loss, as {"O": 0.5}; labels left out weigh 1.',
    }
    columns: list[tuple[str, Any, Any]] = [
        (name, str | None, field(default=None, metadata={"help": text})) for name, text in helps.items()
    ]
    explained = dict(re.findall(r"^ {8}(\w+): (.+?)(?=\n {8}\w+: |\n\n)", BiLstmConfig.__doc__ or "", re.M | re.S))
    for own in fields(BiLstmConfig):
        if own.name in explained and own.name not in _DERIVED_FIELDS:
            kind: Any = float if own.type == float | int else own.type
            metadata = {"help": " ".join(explained[own.name].split())}
            columns.append((own.name, kind | None, field(default=None, metadata=metadata)))
    return make_dataclass("ModelArguments", columns)


ModelArguments = _model_arguments()


def config_fields(arguments: Any) -> dict[str, Any]:
    """List the fields of a configuration that a recipe sets.

    Args:
        arguments: The recipe's `ModelArguments`.

    Returns:
        Names and values.
    """
    others = ("model_name_or_path", "label_weights")  # a checkpoint, and what `label_weights` reads
    return {name: value for name, value in vars(arguments).items() if value is not None and name not in others}


@dataclass
class DataArguments:
    """Where the data is, what form it has and how it becomes tokens."""

    task: Literal["ner", "segmentation", "pos", "segmentation_pos", "classification"] = field(
        default="ner",
        metadata={
            "help": "What is tagged: entities, words, parts of speech, or words with them; classification gives each "
            "text one label."
        },
    )
    dataset: str | None = field(
        default=None,
        metadata={"help": "'sample' or 'sample_en' (the built-in corpus), a Hub id or a folder; files when absent."},
    )
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration name of a Hub data set."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder that the file names are relative to."})
    train_file: str | None = field(default=None, metadata={"help": "Training file."})
    validation_file: str | None = field(default=None, metadata={"help": "Validation file."})
    test_file: str | None = field(default=None, metadata={"help": "Test file."})
    data_format: Literal["columns", "segmented", "word_pos", "conllu", "labelled_text", "tsv", "csv"] = field(
        default="columns",
        metadata={
            "help": "Form of the files: columns (one token a line), segmented (words parted by white space), word_pos "
            "(word/tag, People's Daily) or conllu (CoNLL-U); of classification labelled_text (`label text` lines), "
            "tsv or csv (columns named in the first line)."
        },
    )
    validation_fraction: float = field(
        default=0.0,
        metadata={"help": "Share of the training data, drawn at random, that is held out as the validation data."},
    )
    validation_seed: int = field(default=0, metadata={"help": "Seed of that draw, whatever the seed of the training."})
    train_fraction: float = field(
        default=1.0,
        metadata={"help": "Share of the training data, drawn at random by validation_seed, that is trained on."},
    )
    train_select: str | None = field(
        default=None,
        metadata={
            "help": "Regular expression: only lines of the training file in which it is found are read (segmented, "
            "word_pos), or sentences whose sent_id has it (conllu). So one file can hold several splits."
        },
    )
    validation_select: str | None = field(default=None, metadata={"help": "The same for the validation file."})
    test_select: str | None = field(default=None, metadata={"help": "The same for the test file."})
    split_sentences: bool = field(
        default=False,
        metadata={"help": "Part paragraphs after 。！？；… and closing quotes (segmented, word_pos, conllu)."},
    )
    max_sentence_length: int | None = field(
        default=None,
        metadata={"help": "Most characters of a sentence; longer ones are parted after a comma or another word."},
    )
    tagset: Literal["pku", "863", "upos"] | None = field(
        default=None,
        metadata={
            "help": "Tag set of the parts of speech: the model carries its meanings and mappings, and tags that it "
            "does not know are reported."
        },
    )
    tag_map: str | None = field(
        default=None, metadata={"help": 'Tags to write in place of others, as {"vvn": "vn"}, in word formats.'}
    )
    tag_delimiter: str = field(default="/", metadata={"help": "What stands between word and tag in word_pos files."})
    join_names: bool = field(
        default=False, metadata={"help": "Make one word of a surname and a given name, both tagged nr, in word_pos."}
    )
    entity_types: str | None = field(
        default=None,
        metadata={"help": 'Entity types of the tags and brackets of word_pos files, as {"nr": "PER", "nt": "ORG"}.'},
    )
    token_column: str | None = field(
        default=None, metadata={"help": "Column of the tokens: a number from 0 in files, a name in data sets."}
    )
    tag_column: str | None = field(
        default=None,
        metadata={
            "help": "Column of the tags: a number (-1 the last) in column files, a name in data sets, upos or xpos in "
            "conllu files."
        },
    )
    text_column: str = field(default="text", metadata={"help": "Name of the column of texts, in classification."})
    label_column: str = field(default="label", metadata={"help": "Name of the column of labels, in classification."})
    file_scheme: Literal["auto", "none", "iob1", "iob2", "bioes", "bmes", "bilou"] = field(
        default="auto", metadata={"help": "Tagging scheme of the data."}
    )
    encoding: str = field(default="utf-8", metadata={"help": "Encoding of the files."})
    repair: bool = field(
        default=False, metadata={"help": "Mend illegal tags, and report how many, instead of stopping."}
    )
    granularity: Literal["char", "word"] = field(
        default="char", metadata={"help": "What a token of a new model is: a character or a word."}
    )
    white_space: Literal["drop", "token"] = field(
        default="drop", metadata={"help": "Whether white space becomes a token of character models."}
    )
    splitting: Literal["treebank", "punctuation"] | None = field(
        default=None,
        metadata={"help": "How word models split raw text: treebank (as English treebanks do) or punctuation."},
    )
    fold: list[str] = field(
        default_factory=list, metadata={"help": "What the tokenizer folds: any of lower, width, digits."}
    )
    min_frequency: int = field(
        default=1, metadata={"help": "Times a token must occur in the training data to enter the vocabulary."}
    )
    char_width: int = field(
        default=DEFAULT_CHAR_WIDTH,
        metadata={
            "help": "Characters of a word that models with char_embedding_size see; half of them head, half tail."
        },
    )
    lexicon_file: str | None = field(
        default=None,
        metadata={"help": "Words that join those of the training data in the lexicon: `word [frequency]` a line."},
    )
    lexicon_min_frequency: int = field(
        default=1, metadata={"help": "Times a word must occur in the training data to enter the lexicon."}
    )

    def __post_init__(self) -> None:
        """Check ranges; an empty string takes back what the recipe's file sets, as in `--test_file ""`."""
        for own in fields(self):
            if own.default is None and getattr(self, own.name) == "":
                setattr(self, own.name, None)
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be at least 0 and below 1, got {self.validation_fraction}.")
        if not 0 < self.train_fraction <= 1:
            raise ValueError(f"train_fraction must be above 0 and at most 1, got {self.train_fraction}.")
        if self.validation_fraction and self.validation_file:
            raise ValueError("validation_fraction holds out training data, and validation_file names other: drop one.")


@dataclass
class RunArguments:
    """What the run does beyond TrainingArguments."""

    early_stopping_patience: int = field(
        default=0, metadata={"help": "Evaluations without a better score before training stops; 0 never stops early."}
    )
    ema_decay: float = field(
        default=0.0,
        metadata={"help": "Decay of the moving average of the weights that is evaluated and saved; 0 for none."},
    )

    pretrained_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Learning rate of the weights that a pretrained model gave; that of all others when absent."
        },
    )
    unfreeze_every: float = field(
        default=0.0,
        metadata={
            "help": "Epochs from the thawing of one group of pretrained weights to that of the next: the first layer "
            "is held for so many, the embeddings for twice as many (Howard and Ruder 2018); 0 holds none."
        },
    )
    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "Remove the checkpoints of an earlier run from the output directory first."}
    )

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.early_stopping_patience < 0:
            raise ValueError(f"early_stopping_patience must be 0 or more, got {self.early_stopping_patience}.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be at least 0 and below 1, got {self.ema_decay}.")
        if self.unfreeze_every < 0:
            raise ValueError(f"unfreeze_every must be 0 epochs or more, got {self.unfreeze_every}.")


@dataclass
class CardArguments:
    """What the model card says that the run itself does not know."""

    model_name: str | None = field(
        default=None, metadata={"help": "Name of the model in its card; that of the repository or output directory."}
    )
    language: list[str] = field(
        default_factory=list,
        metadata={"help": "Languages of the data (ISO 639 codes: zh, en); told by the script where it can be."},
    )
    license: str | None = field(
        default=None, metadata={"help": "License of the model: an id of the Hub (apache-2.0); none when absent."}
    )
    dataset_name: str | None = field(
        default=None, metadata={"help": "Name of the data in the card, for files; the Hub id of a data set."}
    )
    label_meanings: str | None = field(
        default=None, metadata={"help": 'Meanings of the labels\' types, as {"PRO": "a profession"}.'}
    )
    examples: list[str] = field(
        default_factory=list,
        metadata={"help": "Texts that the card shows in place of sentences and words of the data."},
    )
    eval_results_task: str | None = field(
        default=None,
        metadata={"help": "Task of the benchmark that the Hub data set is; given, .eval_results/ is written too."},
    )

    def __post_init__(self) -> None:
        """Check what the Hub would refuse."""
        for code in self.language:
            if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]+)*|multilingual|code", code):
                raise ValueError(f"language must be ISO 639 codes such as zh or en, got {code!r}.")
        if self.license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", self.license):
            raise ValueError(
                f"license must be an id that the Hub knows, such as apache-2.0, mit, cc-by-4.0 or other; got "
                f"{self.license!r}."
            )
        read_label_meanings(self.label_meanings)


def read_label_meanings(text: str | None) -> dict[str, str]:
    """Read the meanings of labels.

    Args:
        text: JSON object of type: meaning, or None.

    Returns:
        The meanings; none without `text`.

    Raises:
        ValueError: If it is something else.
    """
    try:
        meanings = json.loads(text or "{}")
    except json.JSONDecodeError:
        meanings = None
    if not isinstance(meanings, dict) or not all(isinstance(meaning, str) for meaning in meanings.values()):
        raise ValueError(f'label_meanings must be types and their meanings, as {{"PER": "a person"}}; got {text!r}.')
    return meanings


def read_json_object(text: str | None, name: str) -> dict[str, str] | None:
    """Read an argument that maps names to names.

    Args:
        text: JSON object, or None.
        name: Name of the argument, for messages.

    Returns:
        The dictionary; None without `text`.

    Raises:
        ValueError: If it is no object of strings.
    """
    if text is None:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(other, str) for other in value.values()):
        raise ValueError(f'{name} takes names for names, {{"old": "new"}}, got {text!r}.')
    return value


def label_weights(text: str | None, labels: Sequence[str]) -> list[float] | None:
    """Read the weights of labels.

    Args:
        text: JSON object of label: weight, or None.
        labels: The model's labels in the order of their ids.

    Returns:
        A weight a label, 1 where none is given; None without `text`.

    Raises:
        ValueError: If a name is not a label or a weight is negative.
    """
    if text is None:
        return None
    weights = json.loads(text)
    for name, weight in weights.items():
        if name not in labels:
            raise ValueError(f"label_weights names {name!r}, which is not one of the labels {list(labels)}.")
        if weight < 0:
            raise ValueError(f"label_weights must be 0 or more, got {weight} for {name!r}.")
    return [float(weights.get(label, 1.0)) for label in labels]
