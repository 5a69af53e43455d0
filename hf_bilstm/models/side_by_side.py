"""The two directions over one text at once: each of its steps is too small to be shared out among threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import torch

_T = TypeVar("_T")


class _Here(threading.local):
    is_allowed = False


_here = _Here()


@contextmanager
def side_by_side() -> Iterator[None]:
    """Have `run_both` take a second core in place of PyTorch, which works with one thread until the end.

    Holds for the thread that enters it. Where PyTorch has one thread only, nothing changes.
    """
    num_threads = torch.get_num_threads()
    if num_threads == 1:
        yield
        return
    torch.set_num_threads(1)
    _here.is_allowed = True
    try:
        yield
    finally:
        _here.is_allowed = False
        torch.set_num_threads(num_threads)


def run_both(first: Callable[[], _T], second: Callable[[], _T]) -> tuple[_T, _T]:
    """Run two functions that take no gradient, at once within `side_by_side`, else one after the other.

    Args:
        first: A function.
        second: Another.

    Returns:
        What they return.
    """
    if not _here.is_allowed:
        return first(), second()
    future = _helper().submit(torch.no_grad()(second))
    done = first()
    # One that has not begun is taken back: the helper may be busy, or lost in a copy of the process.
    return done, second() if future.cancel() else future.result()


@cache
def _helper() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "direction", initializer=torch.set_num_threads, initargs=(1,))
