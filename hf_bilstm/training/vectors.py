"""Pretrained vectors of a new model's tokens: finding them, filling the embeddings, and saying how many there were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel
from transformers.utils import logging

from hf_bilstm.data.static_vectors import load_vectors
from hf_bilstm.data.vectors import has_no_space
from hf_bilstm.models.tokenization_bilstm import BiLstmTokenizer
from hf_bilstm.models.tokenizer_backend import count_tokens
from hf_bilstm.models.word_lists import fold_text, read_word_list

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.get_logger(__name__)

# How a token was found, in the order in which it is tried.
SPELLINGS = ("exact", "lower_case", "other_width", "other_script")
_WAYS = {"lower_case": "in lower case", "other_width": "in the other width", "other_script": "in the other script"}
_MISSING_SHOWN = 20
# ASCII for its full-width forms, and these for ASCII.
_OTHER_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {
    code + 0xFEE0: code for code in range(0x21, 0x7F)
}
_CONVERSIONS = {"simplified": "t2s", "traditional": "s2t"}  # of OpenCC, into a script


@dataclass
class VectorArguments:
    """Pretrained vectors that a new model's token embeddings begin with."""

    vectors: str | None = field(
        default=None,
        metadata={
            "help": "Vectors that the token embeddings begin with: a file in the format of word2vec (text or binary), "
            "GloVe or fastText (.vec), plain, gzip or bzip2; or a folder or Hub id of static vectors in safetensors."
        },
    )
    vectors_name: str | None = field(
        default=None, metadata={"help": "Name of the vectors in the model card; that of the file or the Hub id."}
    )
    vectors_trainable: bool = field(
        default=True,
        metadata={"help": "Whether training changes the vectors; tokens without one learn theirs either way."},
    )
    vectors_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of the token embeddings; learning_rate when absent."}
    )
    vectors_norm: float = field(
        default=1.0,
        metadata={"help": "Root mean square length that the vectors are scaled to; 0 leaves them as they are."},
    )
    vectors_script: Literal["simplified", "traditional"] | None = field(
        default=None,
        metadata={
            "help": "Chinese script of the vectors, in which tokens are looked up that are not found as they are."
        },
    )
    vectors_vocabulary_size: int = field(
        default=0,
        metadata={
            "help": "How many words from the start of the vectors (the most frequent, as a rule) enter the vocabulary "
            "though the training data may lack them."
        },
    )
    vectors_vocabulary_file: str | None = field(
        default=None, metadata={"help": "Words, one a line, that enter the vocabulary if they have a vector."}
    )

    def __post_init__(self) -> None:
        """Check ranges, and that nothing is asked of vectors that are not there."""
        for name in ("vectors_learning_rate", "vectors_norm", "vectors_vocabulary_size"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}.")
        if self.vectors is None:
            needing = [
                name
                for name in ("vectors_script", "vectors_vocabulary_size", "vectors_vocabulary_file")
                if getattr(self, name)
            ]
            if not self.vectors_trainable:
                needing.append("vectors_trainable: false")
            if needing:
                raise ValueError(f"{needing[0]} needs vectors, and none are given: set vectors to a file or a Hub id.")


class PretrainedVectors(NamedTuple):
    """Vectors of tokens.

    Args:
        name: What they are called.
        size: D, numbers of each.
        vectors: (D,) by token, scaled.
        spelled: How each of these tokens was found, one of `SPELLINGS`.
        counts: How often each token occurs in the training data.
    """

    name: str
    size: int
    vectors: dict[str, NDArray[np.float32]]
    spelled: dict[str, str]
    counts: Counter[str]


def find_vectors(
    arguments: VectorArguments, data: Dataset, tokenizer: BiLstmTokenizer, size: int | None = None
) -> PretrainedVectors:
    """Find the vectors of the training data's tokens, and of whatever else the arguments want in the vocabulary.

    Args:
        arguments: What is wanted; `vectors` is given.
        data: Column `tokens`.
        tokenizer: Whose foldings and granularity the model's tokenizer will have; its vocabulary does not matter.
        size: Numbers that a vector must have, or None for what the source has.

    Returns:
        The vectors.

    Raises:
        OSError: If the vectors are not there.
        ValueError: If they are wrong or of another size, or no token has one.
    """
    source = str(arguments.vectors)
    counts = count_tokens(data["tokens"], tokenizer.granularity, tokenizer.backend_tokenizer)
    special = set(tokenizer.all_special_tokens)
    wanted = [*counts, *_listed(arguments.vectors_vocabulary_file, tokenizer)]
    wanted = [token for token in wanted if token not in special]
    respell = _converter(arguments.vectors_script)
    is_token = _is_character if tokenizer.granularity == "char" else has_no_space
    loaded = load_vectors(
        source,
        dict.fromkeys(spelling for token in wanted for _, spelling in _spellings(token, respell)),
        size=size,
        first_words=arguments.vectors_vocabulary_size,
        is_token=is_token,
    )
    vectors: dict[str, NDArray[np.float32]] = {}
    spelled: dict[str, str] = {}
    for token in wanted:
        for how, spelling in _spellings(token, respell):
            if spelling in loaded.vectors and token not in vectors:
                vectors[token], spelled[token] = loaded.vectors[spelling], how
    if not vectors:
        raise ValueError(
            f"{source} has a vector of none of the {len(counts)} tokens of the training data. It must be in UTF-8, of "
            f"the data's language, and of {'characters' if tokenizer.granularity == 'char' else 'words'}."
        )
    for word in loaded.first_words:  # as the tokenizer will have it, of several spellings the most frequent
        token = fold_text(word, tokenizer)
        if token not in vectors and token not in counts and special.isdisjoint((word, token)):
            vectors[token], spelled[token] = loaded.vectors[word], "exact"
    return PretrainedVectors(
        arguments.vectors_name or (Path(source).name if Path(source).exists() else source),
        loaded.size,
        _scaled(vectors, arguments.vectors_norm),
        spelled,
        counts,
    )


def fill_embeddings(
    model: PreTrainedModel, vocab: dict[str, int], vectors: PretrainedVectors, trainable: bool
) -> None:
    """Write vectors into a new model's token embeddings.

    Args:
        model: The model.
        vocab: Ids of its tokens.
        vectors: The vectors.
        trainable: Whether training may change them.
    """
    weight: Any = model.get_input_embeddings().weight
    ids = torch.tensor([vocab[token] for token in vectors.vectors if token in vocab])
    rows = [vector for token, vector in vectors.vectors.items() if token in vocab]
    with torch.no_grad():
        weight[ids] = torch.from_numpy(np.stack(rows)).to(weight)
    if not trainable:
        weight.register_hook(lambda gradient: gradient.index_fill(0, ids.to(gradient.device), 0.0))


def describe_coverage(vectors: PretrainedVectors, vocab: Iterable[str]) -> dict[str, Any]:
    """Say how much of a vocabulary has vectors.

    Args:
        vectors: The vectors.
        vocab: The tokens; those that neither stand in the training data nor have a vector (padding, the unknown and
            white space) do not count.

    Returns:
        `name` and `size` of the vectors; the `vocabulary`'s number of tokens, and how many of them were found `exact`,
        in `lower_case`, in the `other_width` (ASCII for full-width forms, or these for ASCII) and in the
        `other_script`, and are `missing`; `added`, how many of them the training data lack;
        `running_tokens`, the share of the training data's tokens that have a vector; and `most_frequent_missing`.
    """
    tokens = [token for token in vocab if token in vectors.counts or token in vectors.spelled]
    how = Counter(vectors.spelled.get(token, "missing") for token in tokens)
    missing = sorted((-vectors.counts[token], token) for token in tokens if token not in vectors.spelled)
    covered = sum(vectors.counts[token] for token in tokens if token in vectors.spelled)
    return {
        "name": vectors.name,
        "size": vectors.size,
        "vocabulary": len(tokens),
        **{kind: how[kind] for kind in (*SPELLINGS, "missing")},
        "added": sum(token not in vectors.counts for token in tokens),
        "running_tokens": covered / vectors.counts.total(),
        "most_frequent_missing": [token for _, token in missing[:_MISSING_SHOWN]],
    }


def format_coverage(coverage: Mapping[str, Any]) -> str:
    """Write the numbers of `describe_coverage` as a sentence or two.

    Args:
        coverage: What it gives.

    Returns:
        A line of text.
    """
    found = coverage["vocabulary"] - coverage["missing"]
    ways = "".join(f", {coverage[kind]:,} of them {how}" for kind, how in _WAYS.items() if coverage[kind])
    added = f" {coverage['added']:,} of the tokens are not in the training data." if coverage["added"] else ""
    return (
        f"The token embeddings begin with the vectors of {coverage['name']} ({coverage['size']} numbers each): "
        f"{found:,} of the {coverage['vocabulary']:,} tokens of the vocabulary have one{ways}, and "
        f"{100 * coverage['running_tokens']:.2f} % of the running tokens of the training data.{added}"
    )


def report_coverage(coverage: Mapping[str, Any]) -> None:
    """Log the numbers of `describe_coverage`, and the most frequent tokens that have no vector.

    Args:
        coverage: What it gives.
    """
    without = f" Most frequent without: {' '.join(coverage['most_frequent_missing'])}" if coverage["missing"] else ""
    logger.warning(format_coverage(coverage) + without)


def _spellings(token: str, respell: Callable[[str], str] | None) -> Iterator[tuple[str, str]]:
    """Give the spellings under which a token is looked up, and what each is called."""
    yield "exact", token
    yield "lower_case", token.lower()
    yield "other_width", token.translate(_OTHER_WIDTH)
    if respell is not None:
        yield "other_script", respell(token)


def _converter(script: str | None) -> Callable[[str], str] | None:
    if script is None:
        return None
    if not find_spec("opencc"):
        raise ValueError("vectors_script needs OpenCC: pip install 'hf_bilstm[opencc]'.")
    from opencc import OpenCC

    convert: Callable[[str], str] = OpenCC(_CONVERSIONS[script]).convert
    return convert


def _listed(file: str | None, tokenizer: BiLstmTokenizer) -> list[str]:
    """Read a list of words, as the tokens that the tokenizer makes of each whole word or of its characters."""
    if file is None:
        return []
    words = [[entry.word] for entry in read_word_list(file)]
    return list(count_tokens(words, tokenizer.granularity, tokenizer.backend_tokenizer))


def _is_character(word: str) -> bool:
    return len(word) == 1 and not word.isspace()


def _scaled(vectors: dict[str, NDArray[np.float32]], norm: float) -> dict[str, NDArray[np.float32]]:
    """Scale all vectors by one number: embeddings that are made anew have length 1 on average."""
    length = float(np.sqrt(np.mean([float(vector @ vector) for vector in vectors.values()])))
    factor = np.float32(norm / length if norm and length else 1.0)
    return {token: vector * factor for token, vector in vectors.items()}
