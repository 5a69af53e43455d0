"""Files and data sets of the Hub into `datasets.Dataset`, and those into model inputs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_bilstm.data.collation import make_collator
    from hf_bilstm.data.columns import read_columns
    from hf_bilstm.data.conllu import read_conllu
    from hf_bilstm.data.encoding import decode_labels, encode_dataset, label_list
    from hf_bilstm.data.hub import from_dataset, load_labelled_dataset, load_tagged_dataset
    from hf_bilstm.data.labelled_texts import read_csv, read_labelled_lines, read_tsv
    from hf_bilstm.data.sample import load_sample, read_sample_file
    from hf_bilstm.data.segmented import read_segmented
    from hf_bilstm.data.sentences import split_sentences
    from hf_bilstm.data.static_vectors import load_vectors
    from hf_bilstm.data.vectors import read_vectors
    from hf_bilstm.data.word_pos import read_word_pos, write_word_pos
    from hf_bilstm.data.words import words_of

# Module of every public name. They are imported at first use, so that `import hf_bilstm` stays quick.
_MODULES = {
    "decode_labels": "encoding",
    "encode_dataset": "encoding",
    "from_dataset": "hub",
    "label_list": "encoding",
    "load_labelled_dataset": "hub",
    "load_sample": "sample",
    "load_tagged_dataset": "hub",
    "load_vectors": "static_vectors",
    "make_collator": "collation",
    "read_columns": "columns",
    "read_conllu": "conllu",
    "read_csv": "labelled_texts",
    "read_labelled_lines": "labelled_texts",
    "read_sample_file": "sample",
    "read_segmented": "segmented",
    "read_tsv": "labelled_texts",
    "read_vectors": "vectors",
    "read_word_pos": "word_pos",
    "split_sentences": "sentences",
    "words_of": "words",
    "write_word_pos": "word_pos",
}

__all__ = [
    "decode_labels",
    "encode_dataset",
    "from_dataset",
    "label_list",
    "load_labelled_dataset",
    "load_sample",
    "load_tagged_dataset",
    "load_vectors",
    "make_collator",
    "read_columns",
    "read_conllu",
    "read_csv",
    "read_labelled_lines",
    "read_sample_file",
    "read_segmented",
    "read_tsv",
    "read_vectors",
    "read_word_pos",
    "split_sentences",
    "words_of",
    "write_word_pos",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
