"""Reading a checkpoint: config.json, tokenizer.json and model.safetensors, of a folder or the Hub."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from tokenizers import Tokenizer

CONFIG, TOKENIZER, WEIGHTS = FILES = ("config.json", "tokenizer.json", "model.safetensors")
TOKENIZER_OPTIONS = "tokenizer_config.json"  # of models that look into words
# Fields of config.json that every model has; others are of features that older ones lack.
_FIELDS = (
    *("id2label", "tagging_scheme", "num_hidden_layers", "rnn_type", "merge_mode", "use_crf", "pad_token_id"),
    *("bigram_buckets", "white_space_token_id"),
)
# bfloat16, which NumPy lacks, is the upper half of a float32.
_NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "BOOL": "?"}


@dataclass(frozen=True)
class Checkpoint:
    """A model as it was saved.

    Args:
        place: Folder that it was read from.
        config: What config.json holds.
        tokenizer: What tokenizer.json holds, which neither truncates nor pads.
        weights: Arrays by their names, those of half precision as float32.
    """

    place: Path
    config: dict[str, Any]
    tokenizer: Tokenizer
    weights: dict[str, np.ndarray]

    def take(self, *names: str) -> list[np.ndarray]:
        """Take weights out.

        Args:
            *names: Their names.

        Returns:
            The arrays.

        Raises:
            ValueError: If the checkpoint lacks one.
        """
        missing = [name for name in names if name not in self.weights]
        if missing:
            raise ValueError(
                f"{self.place / WEIGHTS} lacks {', '.join(missing)}, which its {CONFIG} promises: save the model "
                f"again."
            )
        return [self.weights.pop(name) for name in names]

    def read_tokenizer_options(self) -> dict[str, Any]:
        """Read what the tokenizer was saved with beside tokenizer.json: the characters that a model of words knows.

        Returns:
            `characters` and `char_width`, and what else there is.

        Raises:
            OSError: If the file is missing or damaged.
            ValueError: If it says nothing of characters.
        """
        options = _read_json(self.place / TOKENIZER_OPTIONS)
        if not options.get("characters") or not options.get("char_width"):
            raise ValueError(
                f"{self.place / TOKENIZER_OPTIONS} lacks characters or char_width, which a model that looks into "
                f"words needs: save the tokenizer again."
            )
        return options

    def check_nothing_is_left(self) -> None:
        """See that every weight was taken: another belongs to a feature without which the answers would be wrong.

        Raises:
            ValueError: If one was not.
        """
        if self.weights:
            raise ValueError(
                f"{self.place / WEIGHTS} holds {', '.join(sorted(self.weights)[:5])}, of a feature that this version "
                f"of bilstm_native does not know: install a newer one, or run the model with hf_bilstm."
            )


def find(name: str | Path, revision: str | None = None) -> Path:
    """Find the folder of a model, in the file system or on the Hub.

    Args:
        name: Folder, or repository of the Hub.
        revision: Branch, tag or commit of the repository.

    Returns:
        The folder.

    Raises:
        OSError: If it is not there, or lacks a file.
    """
    place = Path(name) if Path(name).is_dir() else _download(str(name), revision)
    for file in FILES:
        if not (place / file).is_file():
            raise FileNotFoundError(f"{place} holds no {file}: it takes the folder of a saved model.")
    return place


def read_config(place: Path) -> dict[str, Any]:
    """Read the configuration in a model's folder."""
    return _read_json(place / CONFIG)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise OSError(f"{file} is damaged ({error}): save the model again.") from error


def read_checkpoint(name: str | Path, kind: str, revision: str | None = None) -> Checkpoint:
    """Read a checkpoint.

    Args:
        name: Folder, or repository of the Hub.
        kind: Class of the model that it must be of.
        revision: Branch, tag or commit of the repository.

    Returns:
        The checkpoint.

    Raises:
        OSError: If a file is missing or damaged, or the Hub cannot be reached.
        ValueError: If the model is of another kind.
    """
    place = find(name, revision)
    config = read_config(place)
    _check_config(config, kind, place / CONFIG)
    return Checkpoint(place, config, _read_tokenizer(place / TOKENIZER), _read_weights(place / WEIGHTS))


def _download(name: str, revision: str | None) -> Path:
    if name.count("/") > 1 or name.startswith((".", "/")):
        raise FileNotFoundError(f"There is no folder {name}.")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ImportError(
            f"There is no folder {name}, and reading from the Hub takes huggingface_hub: pip install huggingface_hub."
        ) from error
    return Path(snapshot_download(name, revision=revision, allow_patterns=[*FILES, TOKENIZER_OPTIONS]))


def _check_config(config: dict[str, Any], kind: str, file: Path) -> None:
    kinds = config.get("architectures") or [kind]
    if config.get("model_type") != "bilstm" or kinds != [kind]:
        raise ValueError(
            f"{file} is of a {config.get('model_type')} model, {', '.join(kinds)}: it takes a {kind} "
            f"that hf_bilstm has saved."
        )
    missing = [name for name in _FIELDS if name not in config]
    if missing:
        raise ValueError(f"{file} lacks {', '.join(missing)}: save the model again.")


def _read_tokenizer(file: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises no other
        raise OSError(f"{file} is damaged ({error}): save the tokenizer again.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True  # "[PAD]" in a text is text
    return tokenizer


def _read_weights(file: Path) -> dict[str, np.ndarray]:
    try:
        tensors = deserialize(file.read_bytes())
    except SafetensorError as error:
        raise OSError(f"{file} is damaged ({error}): it was cut short or changed; save the model again.") from error
    return {name: _read_array(file, name, **tensor) for name, tensor in tensors}


def _read_array(file: Path, name: str, dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    if dtype not in _NUMBERS:
        raise ValueError(f"{file}: {name} holds {dtype}, but it takes {', '.join(_NUMBERS)}.")
    array = np.frombuffer(data, dtype=_NUMBERS[dtype]).reshape(shape)
    if dtype == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32) if dtype == "F16" else array
