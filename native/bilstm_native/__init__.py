"""BiLSTM taggers in plain NumPy: the recurrence written out to be read, and trained models run without a framework.

Two doors. `LstmCell`, `GruCell` and `BiRecurrent` are the equations; `NativeTagger.from_pretrained` loads a tagger
that hf_bilstm has trained, `NativeClassifier.from_pretrained` a classifier. Neither torch nor transformers is
imported.
"""

from .cells import GruCell, LstmCell, sigmoid
from .classifier import NativeClassifier
from .crf import Crf
from .loading import load
from .pooling import attention_scores, pool_attention, pool_last, pool_max, pool_mean
from .recurrence import BiRecurrent, merge
from .tagger import NativeTagger

__all__ = [
    "BiRecurrent",
    "Crf",
    "GruCell",
    "LstmCell",
    "NativeClassifier",
    "NativeTagger",
    "attention_scores",
    "load",
    "merge",
    "pool_attention",
    "pool_last",
    "pool_max",
    "pool_mean",
    "sigmoid",
]
