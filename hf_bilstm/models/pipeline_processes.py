"""Processes that tag side by side for one pipeline: Python runs one thread at a time, and they are not threads."""

from __future__ import annotations

import multiprocessing
import pickle
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .pipeline_options import TaggingOptions
from .weights_version import module_version

_tagger: Any = None  # in such a process, its pipeline
_dictionary: Any = None  # and the dictionary bound to its model


class TaggerProcesses:
    """Processes of one core each, which hold copies of a tagger and go on until it is gone.

    Args:
        tagger: A `TaggingPipeline` on the CPU.
        count: How many.
        dictionary: A dictionary bound to the model, for calls that want it, or None.
    """

    def __init__(self, tagger: Any, count: int, dictionary: Any) -> None:
        self._count = count
        self._dictionary = dictionary
        self._version = module_version(tagger.model)
        self._is_broken = False
        # As a file, in a folder that nobody else can write to: PyTorch would move the weights to memory that is
        # shared, under the feet of what looks at them, and Python waits for ever to hand much to a process that died.
        self._folder = tempfile.TemporaryDirectory(prefix="hf-bilstm-")
        copy = Path(self._folder.name, "tagger.pickle")
        copy.write_bytes(pickle.dumps((tagger, dictionary)))
        # Not forked: a copy of a process whose threads compute may wait for ever.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, context, initializer=_take, initargs=(copy,))

    def matches(self, tagger: Any, count: int, dictionary: Any) -> bool:
        """Tell whether they are as others made now would be.

        Args:
            tagger: Their pipeline.
            count: How many are wanted.
            dictionary: What they must know, None if nothing.

        Returns:
            False if there are others, they know another dictionary, the model has changed, or may
            have, or one of them has died.
        """
        knows = dictionary is None or dictionary is self._dictionary
        is_current = self._version is not None and self._version == module_version(tagger.model)
        return self._count == count and knows and is_current and not self._is_broken

    def tag(self, batches: list[list[Any]], options: TaggingOptions) -> Iterator[list[Any]]:
        """Tag batches of texts, each in the first process that is free.

        Args:
            batches: Texts, or tokens of texts.
            options: What is wanted of them; its dictionary is the one of these processes, or None.

        Returns:
            The results of each batch, in order.

        Raises:
            RuntimeError: If the processes cannot be started, or one was killed.
        """
        without = replace(options, dictionary=None)  # the processes have it
        wants_dictionary = options.dictionary is not None
        try:
            futures = [self._pool.submit(_tag, batch, without, wants_dictionary) for batch in batches]
            for future in futures:
                yield future.result()
        except BrokenProcessPool as error:
            self._is_broken = True
            raise RuntimeError(
                "num_processes: a process did not start, or was killed (for lack of memory, it may be). New processes "
                "read the main script again, so that what it does must stand under `if __name__ == '__main__':`."
            ) from error

    def close(self) -> None:
        """Let the processes end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _take(copy: Path) -> None:
    """Receive the pipeline, in a new process."""
    global _tagger, _dictionary
    torch.set_num_threads(1)
    _tagger, _dictionary = pickle.loads(copy.read_bytes())


def _tag(batch: list[Any], options: TaggingOptions, wants_dictionary: bool) -> list[Any]:
    if wants_dictionary:
        options = replace(options, dictionary=_dictionary)
    results: list[Any] = _tagger._tag_batch(batch, options)
    return results
