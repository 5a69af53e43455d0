"""Processes that tag side by side for one pipeline: Python runs one thread at a time, and they are not threads."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any

import torch

from .pipeline_options import TaggingOptions

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
        self.count = count
        self.dictionary = dictionary
        # As bytes: PyTorch would move the weights to memory that is shared, under the feet of what looks at them.
        copy = pickle.dumps((tagger, dictionary))
        # Not forked: a copy of a process whose threads compute may wait for ever.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, context, initializer=_take, initargs=(copy,))

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
            raise RuntimeError(
                "num_processes: a process did not start, or was killed (for lack of memory, it may be). New processes "
                "read the main script again, so that what it does must stand under `if __name__ == '__main__':`."
            ) from error

    def close(self) -> None:
        """Let the processes end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _take(copy: bytes) -> None:
    """Receive the pipeline, in a new process."""
    global _tagger, _dictionary
    torch.set_num_threads(1)
    _tagger, _dictionary = pickle.loads(copy)


def _tag(batch: list[Any], options: TaggingOptions, wants_dictionary: bool) -> list[Any]:
    if wants_dictionary:
        options = replace(options, dictionary=_dictionary)
    results: list[Any] = _tagger._tag_batch(batch, options)
    return results
