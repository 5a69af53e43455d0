"""Networks that forget what they have read: one more input, 1 where a new sentence begins, shuts every gate.

An LSTM whose input, forget and output gates are shut holds 0 and says 0, which is what it starts from. So sentences
can stand end to end in a row, and each is read as if it stood alone, in values and in gradients.

Letters in shape comments: B batch, T tokens, D features, H hidden size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# What a gate adds up to there. The sigmoid of it is 0 in every floating-point type, half precision holds it, and no
# state of a network in use outweighs it.
_SHUT = -3e4


def mark_resets(values: Tensor, between: Tensor) -> Tensor:
    """Add the input that shuts the gates.

    Args:
        values: (B, T, D), 0 between sentences.
        between: (B, T) true there.

    Returns:
        (B, T, D + 1).
    """
    return torch.cat((values, between[:, :, None].to(values.dtype)), dim=2)


def resetting_weights(rnn: nn.Module) -> Tensor:
    """Weights of the inputs, with a column for the one that shuts the gates.

    Args:
        rnn: An `nn.LSTM` or `nn.GRU` of one layer and direction.

    Returns:
        (4H, D + 1) or (3H, D + 1).
    """
    weight: Any = rnn.weight_ih_l0
    column = weight.new_full((len(weight), 1), _SHUT)
    if isinstance(rnn, nn.GRU):
        # With its first two gates shut, reset and update, a GRU says tanh of the third's input, which is to be 0.
        bias: Any = rnn.bias_ih_l0
        column = torch.cat((column[: 2 * rnn.hidden_size], -bias[2 * rnn.hidden_size :, None]))
    return torch.cat((weight, column), dim=1)


def run_resetting(rnn: nn.Module, values: Tensor) -> Tensor:
    """Run a network over rows of several sentences.

    Args:
        rnn: An `nn.LSTM` or `nn.GRU` of one layer and direction, batch first.
        values: (B, T, D + 1), as `mark_resets` gives.

    Returns:
        (B, T, H) what it says at each token, and 0 between sentences.
    """
    network: Any = rnn
    weights = [resetting_weights(rnn), network.weight_hh_l0, network.bias_ih_l0, network.bias_hh_l0]
    start = values.new_zeros(1, values.shape[0], network.hidden_size)
    has_biases, num_layers, dropout, bidirectional, batch_first = True, 1, 0.0, False, True
    options = has_biases, num_layers, dropout, network.training, bidirectional, batch_first
    if isinstance(rnn, nn.GRU):
        outputs: Tensor = torch.gru(values, start, weights, *options)[0]
    else:
        outputs = torch.lstm(values, (start, start), weights, *options)[0]
    return outputs
