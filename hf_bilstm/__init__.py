"""BiLSTM taggers and classifiers as first-class Hugging Face models.

Importing the package registers configuration, models and tokenizer with the Auto classes of transformers, for local
use and, as remote code, for whoever loads a pushed checkpoint without this package; the tagging pipeline becomes the
task "bilstm-tagging".
"""

from typing import Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)
from transformers.pipelines import PIPELINE_REGISTRY

from .models.configuration_bilstm import BiLstmConfig
from .models.crf import LinearChainCrf
from .models.dictionary import UserDictionary
from .models.modeling_bilstm import BiLstmForTokenClassification, BiLstmModel
from .models.modeling_pretraining import BiLstmForPreTraining
from .models.modeling_sequence_classification import BiLstmForSequenceClassification
from .models.pipeline_bilstm import TASK, TaggingPipeline
from .models.tokenization_bilstm import BiLstmTokenizer
from .version import __version__

AutoConfig.register(BiLstmConfig.model_type, BiLstmConfig, exist_ok=True)
AutoModel.register(BiLstmConfig, BiLstmModel, exist_ok=True)
AutoModelForPreTraining.register(BiLstmConfig, BiLstmForPreTraining, exist_ok=True)
AutoModelForSequenceClassification.register(BiLstmConfig, BiLstmForSequenceClassification, exist_ok=True)
AutoModelForTokenClassification.register(BiLstmConfig, BiLstmForTokenClassification, exist_ok=True)
AutoTokenizer.register(BiLstmConfig, fast_tokenizer_class=BiLstmTokenizer, exist_ok=True)
PIPELINE_REGISTRY.register_pipeline(TASK, TaggingPipeline, pt_model=AutoModelForTokenClassification)
BiLstmConfig.registered_pipelines |= {TASK}

# Saving one of these also saves its code and names it in `auto_map`, for `trust_remote_code=True`.
BiLstmConfig.register_for_auto_class()
BiLstmModel.register_for_auto_class("AutoModel")
BiLstmForPreTraining.register_for_auto_class("AutoModelForPreTraining")
BiLstmForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
BiLstmForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
BiLstmTokenizer.register_for_auto_class("AutoTokenizer")


def __getattr__(name: str) -> Any:
    """Give the runtime without PyTorch, `NativeTagger` and `NativeClassifier`, where its distribution is installed."""
    if name not in ("NativeTagger", "NativeClassifier"):
        raise AttributeError(f"module 'hf_bilstm' has no attribute {name!r}")
    try:
        import bilstm_native
    except ModuleNotFoundError as error:
        if error.name != "bilstm_native":
            raise
        raise ImportError(
            f"{name} is in bilstm_native, which is not installed: pip install 'hf_bilstm[native]', or, in a "
            "clone of the repository, pip install ./native."
        ) from error
    return getattr(bilstm_native, name)


__all__ = [
    "BiLstmConfig",
    "BiLstmForPreTraining",
    "BiLstmForSequenceClassification",
    "BiLstmForTokenClassification",
    "BiLstmModel",
    "BiLstmTokenizer",
    "LinearChainCrf",
    "TaggingPipeline",
    "UserDictionary",
    "__version__",
]
