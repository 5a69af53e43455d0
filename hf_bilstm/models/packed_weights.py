"""Weights of an LSTM as the CPU's kernel reads them, laid out once; PyTorch lays them out anew at every call.

For one short sentence that is much of the time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .weights_version import SeenWeight, is_current, weights_version

_CAN_PACK = hasattr(torch.ops.mkldnn, "_reorder_mkldnn_rnn_layer_weight")
_LSTM_MODE = 2  # the number that PyTorch's kernels know the cell by


class PackedWeights:
    """The weights of one LSTM of one layer and direction, kept as long as they stay as they are."""

    def __init__(self) -> None:
        self._kept: tuple[list[SeenWeight] | None, list[Tensor]] = (None, [])

    def __reduce__(self) -> Any:
        return PackedWeights, ()  # copies of a model lay out their own

    def run(self, rnn: nn.Module, values: Tensor) -> Tensor:
        """Run a recurrent network, by the kernel itself where that can be and no gradient is wanted.

        Args:
            rnn: An `nn.LSTM` or `nn.GRU` of one layer and direction, batch first.
            values: (B, T, D).

        Returns:
            (B, T, H), the same numbers as `rnn` gives.
        """
        packed = self._pack(rnn) if _is_for_the_kernel(rnn, values) else None
        if packed is None:
            outputs: Tensor = rnn(values)[0]
            return outputs
        lstm: Any = rnn
        start = values.new_zeros(values.shape[0], lstm.hidden_size)
        outputs = torch.ops.aten.mkldnn_rnn_layer(
            values.transpose(0, 1).contiguous(),
            *packed,
            lstm.bias_ih_l0,
            lstm.bias_hh_l0,
            start,
            start,
            reverse=False,
            batch_sizes=[],
            mode=_LSTM_MODE,
            hidden_size=lstm.hidden_size,
            num_layers=1,
            has_biases=True,
            bidirectional=False,
            batch_first=False,
            train=False,
        )[0]
        return outputs.transpose(0, 1)

    def _pack(self, rnn: Any) -> list[Tensor] | None:
        """Give the weights for inputs and for states, laid out; None where their changes could not be told."""
        weights = rnn.weight_ih_l0, rnn.weight_hh_l0
        version, packed = self._kept
        if is_current(version, weights):
            return packed
        version = weights_version(weights)
        if version is None:
            return None
        packed = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight(
            *(weight.detach() for weight in weights), rnn.hidden_size, False, True, False
        )
        self._kept = version, packed
        return packed


def _is_for_the_kernel(rnn: nn.Module, values: Tensor) -> bool:
    """Tell whether PyTorch would run just this kernel."""
    return (
        _CAN_PACK
        and type(rnn) is nn.LSTM
        and not (torch.is_grad_enabled() or rnn._forward_hooks or rnn._forward_pre_hooks)
        and values.device.type == "cpu"
        and values.dtype == rnn.weight_ih_l0.dtype == torch.float32
        and not (torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_autocast_enabled("cpu"))
        and bool(torch.backends.mkldnn.enabled)
    )
