"""What a checkpoint must be before its weights are believed: not pickled, undamaged, and whole."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_NAME, cached_file, has_file

# Buffers of integers: tables of the lexicon, the dictionary and the character types.
_TABLES = ("character_types", "forced", "frequencies", "held_out", "keys", "profiles")
_HUB_OPTIONS = ("cache_dir", "local_files_only", "proxies", "revision", "token")


def check_weights(name: str, **options: Any) -> None:
    """Look at the file of a checkpoint's weights before it is loaded.

    Args:
        name: Folder or repository of the Hub.
        **options: What `from_pretrained` was given.

    Raises:
        OSError: If the file is damaged, or the checkpoint cannot be reached.
        ValueError: If the weights are pickled, are no numbers of the right kind, or lie outside of the checkpoint.
    """
    hub = {option: options[option] for option in _HUB_OPTIONS if option in options}
    place = {"subfolder": options.get("subfolder", ""), "force_download": options.get("force_download", False)}
    try:
        files: list[Any] = [
            cached_file(name, file, **hub, **place, _raise_exceptions_for_missing_entries=False)
            for file in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)
        ]
    except (OSError, ValueError):
        raise  # these say what is wrong
    except Exception as error:  # of whichever library the Hub's client speaks HTTP with
        raise OSError(f"The download of the weights of {name} broke off ({error}): try again.") from error
    if files[0] is not None:
        _check_numbers(files[0])
    elif files[1] is not None:
        _check_index(files[1])
    else:
        if has_file(name, "/".join(filter(None, (place["subfolder"], WEIGHTS_NAME))), **hub):
            raise ValueError(
                f"{name} has its weights in {WEIGHTS_NAME}, a pickle, which can run code when it is read: it is not "
                f"loaded. If you trust it, write {SAFE_WEIGHTS_NAME} from it: safetensors.torch.save_file(torch.load("
                f"'{WEIGHTS_NAME}', weights_only=True), '{SAFE_WEIGHTS_NAME}', metadata={{'format': 'pt'}})."
            )
        raise OSError(f"{name} holds no {SAFE_WEIGHTS_NAME}: save the model again, or push it with `hf-bilstm push`.")


def _check_numbers(file: str) -> None:
    try:
        with safe_open(file, framework="pt") as weights:
            kinds = {key: weights.get_slice(key).get_dtype() for key in weights.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise OSError(
            f"{file} is damaged ({error}): it was cut short or changed. Where it came from the Hub, load it with "
            f"force_download=True; otherwise save the model again."
        ) from error
    for key, kind in kinds.items():
        is_table = key.rpartition(".")[2] in _TABLES
        if is_table == kind.startswith(("F", "BF")):
            what = "a table holds integers" if is_table else "weights are floating-point numbers"
            raise ValueError(f"{file}: {key} holds {kind}, but {what}; save the model again.")


def _check_index(file: str) -> None:
    """See that an index names files beside it, and none elsewhere on the machine."""
    with open(file, encoding="utf-8") as index:
        shards = json.load(index)["weight_map"].values()
    for shard in shards:
        if PurePath(shard).name != shard:
            raise ValueError(f"{file} names the file {shard!r}: it takes files of its own folder only.")


def check_complete(missing: set[str], promised: set[str]) -> None:
    """See that a checkpoint lacks nothing that its own configuration promises.

    Args:
        missing: Weights that it lacked.
        promised: Weights of the model that it was saved from.

    Raises:
        ValueError: If it does: a warning would leave a tagger with random weights.
    """
    lacking = missing & promised
    if lacking:
        raise ValueError(
            f"The checkpoint lacks {', '.join(sorted(lacking))}: it is damaged, or its config.json is that of another "
            f"model. Save it again; to begin with random weights there, make the model by from_config and give it the "
            f"others by load_state_dict(..., strict=False)."
        )
