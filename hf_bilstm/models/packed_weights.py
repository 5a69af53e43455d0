"""Weights of an LSTM as the CPU's kernel reads them, laid out once; PyTorch lays them out anew at every call.

For one short sentence that is much of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .resetting import resetting_weights
from .weights_version import SeenWeight, is_current, weights_version

_CAN_PACK = hasattr(torch.ops.mkldnn, "_reorder_mkldnn_rnn_layer_weight")
_LSTM_MODE = 2  # the number that PyTorch's kernels know the cell by


class PackedWeights:
    """The weights of one LSTM layer's directions, kept as long as they stay as they are."""

    def __init__(self) -> None:
        # By the number of inputs: there is one more where sentences share rows.
        self._kept: dict[int, tuple[list[SeenWeight] | None, list[list[Tensor]]]] = {}

    def __reduce__(self) -> Any:
        return PackedWeights, ()  # copies of a model lay out their own

    def lay_out(self, rnns: Sequence[nn.Module], values: Tensor) -> list[list[Tensor]] | None:
        """Lay weights out, if the kernel is to be run by itself.

        Args:
            rnns: An `nn.LSTM` or `nn.GRU` of one layer and direction, batch first, for each direction.
            values: (B, T, D), what they are to read; (B, T, D + 1) of rows of several sentences.

        Returns:
            The weights of each as `run_kernel` takes them; None where the modules are to be called: with a gradient,
            in other precisions, on other devices, and where changes of weights could not be told.
        """
        if not _are_for_the_kernel(rnns, values):
            return None
        lstms: Any = rnns
        num_inputs = values.shape[2]
        weights = tuple(weight for lstm in lstms for weight in (lstm.weight_ih_l0, lstm.weight_hh_l0))
        version, packed = self._kept.get(num_inputs, (None, []))
        if is_current(version, weights):
            return packed
        version = weights_version(weights)
        if version is None:
            return None
        packed = [
            torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight(
                inputs.detach(), lstm.weight_hh_l0.detach(), lstm.hidden_size, False, True, False
            )
            for lstm in lstms
            for inputs in [lstm.weight_ih_l0 if num_inputs == lstm.input_size else resetting_weights(lstm)]
        ]
        self._kept[num_inputs] = version, packed
        return packed


def run_kernel(lstm: Any, packed: list[Tensor], values: Tensor, start: Tensor, backward: bool) -> Tensor:
    """Run an LSTM over rows without padding.

    Args:
        lstm: An `nn.LSTM` of one layer and direction.
        packed: What `lay_out` gave of it.
        values: (T, B, D), contiguous.
        start: (B, H) zeros.
        backward: Whether to read from the last token to the first.

    Returns:
        (T, B, H) what it says at each token; the same numbers as the module gives.
    """
    outputs: Tensor = torch.ops.aten.mkldnn_rnn_layer(
        values,
        *packed,
        lstm.bias_ih_l0,
        lstm.bias_hh_l0,
        start,
        start,
        reverse=backward,
        batch_sizes=[],
        mode=_LSTM_MODE,
        hidden_size=lstm.hidden_size,
        num_layers=1,
        has_biases=True,
        bidirectional=False,
        batch_first=False,
        train=False,
    )[0]
    return outputs


def is_plain(rnn: nn.Module) -> bool:
    """Tell whether a network is PyTorch's own, with nothing hooked onto it."""
    return type(rnn) in (nn.LSTM, nn.GRU) and not (rnn._forward_hooks or rnn._forward_pre_hooks)


def _are_for_the_kernel(rnns: Sequence[nn.Module], values: Tensor) -> bool:
    """Tell whether PyTorch would run just this kernel."""
    return (
        _CAN_PACK
        and not torch.is_grad_enabled()
        and values.device.type == "cpu"
        and values.dtype == torch.float32
        and all(isinstance(rnn, nn.LSTM) and is_plain(rnn) and rnn.weight_ih_l0.dtype == torch.float32 for rnn in rnns)
        and not (torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_autocast_enabled("cpu"))
        and bool(torch.backends.mkldnn.enabled)
    )
