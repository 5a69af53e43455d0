"""What tells the weights that something was computed with from later ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


def module_version(module: nn.Module) -> Any:
    """Tell the present weights and tables of a module from any others, as `weights_version` does.

    Args:
        module: A module.

    Returns:
        What `weights_version` gives.
    """
    return weights_version([*module.parameters(), *module.buffers()])


def weights_version(weights: Sequence[Tensor]) -> Any:
    """Tell the present values of weights from any others.

    Args:
        weights: Parameters or buffers.

    Returns:
        Something that is equal as long as no weight is written to or replaced; None if that cannot be told.
    """
    if any(weight.is_inference() for weight in weights):
        return None
    return [(weight.data_ptr(), weight.dtype, weight._version) for weight in weights]
