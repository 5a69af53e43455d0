"""Files and data sets of the Hub into `datasets.Dataset`, and those into model inputs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_bilstm.data.columns import read_columns
    from hf_bilstm.data.encoding import decode_labels, encode_dataset, label_list
    from hf_bilstm.data.hub import from_dataset, load_tagged_dataset
    from hf_bilstm.data.sample import load_sample, read_sample_file

# Module of every public name. They are imported at first use, so that `import hf_bilstm` stays quick.
_MODULES = {
    "decode_labels": "encoding",
    "encode_dataset": "encoding",
    "from_dataset": "hub",
    "label_list": "encoding",
    "load_sample": "sample",
    "load_tagged_dataset": "hub",
    "read_columns": "columns",
    "read_sample_file": "sample",
}

__all__ = [
    "decode_labels",
    "encode_dataset",
    "from_dataset",
    "label_list",
    "load_sample",
    "load_tagged_dataset",
    "read_columns",
    "read_sample_file",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
