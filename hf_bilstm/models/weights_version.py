"""What tells the weights that something was computed with from later ones."""

from __future__ import annotations

from typing import Any

from torch import nn


def weights_version(module: nn.Module) -> Any:
    """Tell the present weights and tables of a module from any others.

    Args:
        module: A module.

    Returns:
        Something that is equal as long as no weight is written to or replaced; None if that cannot be told.
    """
    weights = [*module.parameters(), *module.buffers()]
    if any(weight.is_inference() for weight in weights):
        return None
    return [(weight.data_ptr(), weight.dtype, weight._version) for weight in weights]
