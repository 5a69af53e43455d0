"""What tells the weights that something was computed with from later ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

# Weights of up to so many numbers are looked at whole, of others so many numbers.
_SMALL, _NUM_SAMPLES = 4096, 32
# Whole numbers of as many bytes, for numbers that NumPy does not know.
_SAME_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class SeenWeight:
    """A weight as it was when it was looked at."""

    pointer: int
    dtype: torch.dtype
    num_writes: int
    values: bytes
    numbers: np.ndarray = field(compare=False)  # a view of those that are looked at

    def is_still(self, weight: Tensor) -> bool:
        """Tell whether a weight is this one, and as it was."""
        return (
            weight.data_ptr() == self.pointer
            and weight._version == self.num_writes
            and weight.dtype is self.dtype
            and self.numbers.tobytes() == self.values
        )


def module_version(module: nn.Module) -> list[SeenWeight] | None:
    """Tell the present weights and tables of a module from any others, as `weights_version` does.

    Args:
        module: A module.

    Returns:
        What `weights_version` gives.
    """
    return weights_version(chain(module.parameters(), module.buffers()))


def weights_version(weights: Iterable[Tensor]) -> list[SeenWeight] | None:
    """Tell the present values of weights on the CPU from any others.

    PyTorch counts what is written to a tensor, but not what fused optimizers write, nor what is written to its `data`.
    Such changes are seen by the numbers themselves, those of large weights by some of them: all changes but of a few
    single numbers.

    Args:
        weights: Parameters or buffers.

    Returns:
        Something that is equal as long as no weight is written to or replaced; None if that cannot be told.
    """
    version = []
    for weight in weights:
        if weight.is_inference() or weight.device.type != "cpu":
            return None
        numbers = weight.detach().view(_SAME_SIZE[weight.itemsize]).numpy().reshape(-1)
        if numbers.size > _SMALL:
            numbers = numbers[:: numbers.size // _NUM_SAMPLES]
        version.append(SeenWeight(weight.data_ptr(), weight.dtype, weight._version, numbers.tobytes(), numbers))
    return version


def is_current(version: list[SeenWeight] | None, weights: tuple[Tensor, ...]) -> bool:
    """Tell whether weights are still of a version; as `weights_version` would, and sooner.

    Args:
        version: What `weights_version` gave of as many weights, or None, which nothing is of.
        weights: Parameters or buffers.

    Returns:
        True if none of them was written to or replaced.
    """
    return version is not None and all(seen.is_still(weight) for seen, weight in zip(version, weights, strict=True))
