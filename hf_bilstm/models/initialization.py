"""What a new model's weights start from."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .crf import LinearChainCrf
from .dictionary import DictionaryScores
from .embeddings import BiLstmEmbeddings
from .lexicon import LexiconFeatures


def _is_loaded(parameter: Tensor) -> bool:
    # The mark by which `initialization` leaves loaded weights alone; slices and chunks of a parameter do not carry it.
    return getattr(parameter, "_is_hf_initialized", False)


def _init_recurrent(name: str, parameter: Tensor, module: nn.LSTM | nn.GRU) -> None:
    size = module.hidden_size
    if name.startswith("weight_ih"):
        init.xavier_uniform_(parameter)
    elif name.startswith("weight_hh"):
        for gate in parameter.split(size):
            init.orthogonal_(gate)  # Saxe et al. 2014, arXiv:1312.6120
    else:
        init.zeros_(parameter)
        if isinstance(module, nn.LSTM) and name.startswith("bias_ih"):
            init.ones_(parameter[size : 2 * size])  # a forget gate that starts open: Jozefowicz et al. 2015


@torch.no_grad()
def init_weights(module: nn.Module) -> None:
    """Initialise a module's own parameters, but for those that were loaded.

    Args:
        module: Any module of a model.
    """
    if isinstance(module, nn.Embedding):
        bound = math.sqrt(3 / module.embedding_dim)  # unit length on average
        init.uniform_(module.weight, -bound, bound)
        if module.padding_idx is not None and not _is_loaded(module.weight):
            init.zeros_(module.weight[module.padding_idx])
    elif isinstance(module, (nn.LSTM, nn.GRU)):
        for name, parameter in module.named_parameters():
            if not _is_loaded(parameter):
                _init_recurrent(name, parameter, module)
    elif isinstance(module, nn.Linear):
        init.xavier_uniform_(module.weight)
        if module.bias is not None:
            init.zeros_(module.bias)
    elif isinstance(module, (BiLstmEmbeddings, LexiconFeatures, DictionaryScores, LinearChainCrf)):
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            init.zeros_(tensor)
