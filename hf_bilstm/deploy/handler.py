"""The handler of a tagger's or classifier's repository, in the convention of Hugging Face Inference Endpoints.

A trained folder holds a copy of this file as handler.py. A server imports it, makes `EndpointHandler(folder)` once and
calls it with the body of every request. The file stands alone: where hf_bilstm is installed its classes are used, and
no code of the folder but this; elsewhere the folder's own code is.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    TextClassificationPipeline,
    TokenClassificationPipeline,
)
from transformers.dynamic_module_utils import get_class_from_dynamic_module

# What passes to TaggingPipeline as it stands.
_TAGGING = ("threshold", "n_best", "scheme", "return_words", "is_split_into_words", "delimiter", "batch_size")
_TAGGER_OPTIONS = ("aggregation_strategy", "ignore_labels", *_TAGGING)
_CLASSIFIER_OPTIONS = ("top_k", "batch_size")
# All but "none" give the same spans: a tagger's labels are legal, so there is nothing to settle.
_STRATEGIES = (None, "simple", "first", "average", "max", "none")
_MOST_TAGGINGS = 100  # of a text: their memory is the server's


class EndpointHandler:
    """Tags or classifies the texts of requests, as the folder's model does.

    Every score is a probability, unless `aggregation_strategy` is "none".

    Args:
        path: Folder of the model.
    """

    def __init__(self, path: str = "") -> None:
        is_remote = find_spec("hf_bilstm") is None
        pipeline_class = _remote_pipeline(path) if is_remote else _installed_pipeline()
        config = AutoConfig.from_pretrained(path, trust_remote_code=is_remote)
        self._classifier = None
        if "BiLstmForSequenceClassification" in (config.architectures or []):
            self._classifier = TextClassificationPipeline(
                model=AutoModelForSequenceClassification.from_pretrained(path, trust_remote_code=is_remote),
                tokenizer=AutoTokenizer.from_pretrained(path, trust_remote_code=is_remote),
            )
            return
        model = AutoModelForTokenClassification.from_pretrained(path, trust_remote_code=is_remote)
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=is_remote)
        # Requests come side by side; the workers of a call would set the number of threads of all.
        self._tagger = pipeline_class(model=model, tokenizer=tokenizer, num_workers=1)
        self._stock = TokenClassificationPipeline(model=model, tokenizer=tokenizer)

    def __call__(self, data: dict[str, Any]) -> list[Any]:
        """Answer a request.

        Whatever is wrong with a request is a ValueError that says what was got and what is taken. The servers of
        Inference Endpoints answer an exception of a handler with status 400 and {"error": its message}; what a handler
        returns, an error in a dictionary too, goes out with status 200.

        Args:
            data: `inputs`, a text or a list of texts (of tokens, with `is_split_into_words`), and optionally
                `parameters`, a dictionary of any of these:
                aggregation_strategy: "simple" (the default) gives whole spans, and so do "first", "average" and
                    "max"; "none" gives the stock pipeline's answer for every token.
                ignore_labels: Labels to leave out. `O` is no item of the answer unless the strategy is "none" and the
                    list lacks it.
                threshold, n_best, scheme, return_words, is_split_into_words, delimiter, batch_size: As in a call of
                    TaggingPipeline.
                A classifier takes `top_k`, the most labels of an answer (all when absent), and `batch_size`.

        Returns:
            For a text, a list of `{"entity_group", "score", "word", "start", "end"}`, or what `n_best`, `scheme` and
            `return_words` ask for, and of a classifier a list of `{"label", "score"}`, the best first; for a list of
            texts, a list of such. It is fit for JSON.

        Raises:
            ValueError: If the request is wrong.
        """
        inputs, parameters = _read(data, _CLASSIFIER_OPTIONS if self._classifier else _TAGGER_OPTIONS)
        if self._classifier:
            return self._classify(inputs, **parameters)
        strategy = parameters.pop("aggregation_strategy", None)
        ignored = parameters.pop("ignore_labels", None)
        if strategy == "none":
            return self._tag_tokens(inputs, ["O"] if ignored is None else ignored, parameters)
        found: list[Any] = self._tagger(inputs, **parameters)
        left_out = set(ignored or []) - {"O"}
        return _without(found, left_out) if left_out else found

    def _classify(self, inputs: Any, top_k: int | None = None, batch_size: int = 32) -> list[Any]:
        for name, value in (("top_k", top_k), ("batch_size", batch_size)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be a whole number from 1 on; got {value!r:.80}.")
        texts = [inputs] if isinstance(inputs, str) else inputs
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"inputs[{place}] is {text!r:.80}: it takes a text.")
        classifier: Any = self._classifier
        found = classifier(texts, top_k=top_k, batch_size=batch_size) if texts else []
        return found[0] if isinstance(inputs, str) else found

    def _tag_tokens(self, inputs: Any, ignored: list[str], parameters: dict[str, Any]) -> list[Any]:
        given = [name for name, value in parameters.items() if value]
        if given:
            raise ValueError(
                f"aggregation_strategy 'none' gives the label of every token and takes no {given[0]}: leave one of "
                f"the two out."
            )
        if isinstance(inputs, str):
            found: Any = self._stock(inputs, aggregation_strategy="none", ignore_labels=ignored)
            return [{**item, "score": float(item["score"])} for item in found]  # JSON knows no numbers of NumPy
        for place, text in enumerate(inputs):
            if not isinstance(text, str):
                raise ValueError(f"inputs[{place}] is {text!r:.80}: it takes a text.")
        return [self._tag_tokens(text, ignored, parameters) for text in inputs]


def _installed_pipeline() -> Any:
    from hf_bilstm import TaggingPipeline  # whose import registers the Auto classes

    return TaggingPipeline


def _remote_pipeline(path: str) -> Any:
    return get_class_from_dynamic_module("pipeline_bilstm.TaggingPipeline", path)


def _read(data: Any, known: tuple[str, ...]) -> tuple[Any, dict[str, Any]]:
    """Check a request's form and the names of its parameters, and part it."""
    if not isinstance(data, dict) or "inputs" not in data:
        raise ValueError(f"A request is {{'inputs': text or list of texts, 'parameters': {{...}}}}; got {data!r:.80}.")
    unknown = set(data) - {"inputs", "parameters"}
    if unknown:
        raise ValueError(
            f"Unknown key {min(unknown)!r}: a request has inputs and parameters, options go in the latter."
        )
    inputs, parameters = data["inputs"], data.get("parameters") or {}
    if not isinstance(inputs, (str, list)):
        raise ValueError(f"inputs must be a text or a list of texts; got {inputs!r:.80}.")
    if not isinstance(parameters, dict):
        raise ValueError(f"parameters must be a dictionary; got {parameters!r:.80}.")
    if parameters.get("is_split_into_words") and isinstance(inputs, str):
        raise ValueError(f"is_split_into_words takes a list of tokens, or a list of such; got {inputs!r:.80}.")
    for name, value in parameters.items():
        if name not in known and value is not None:
            raise ValueError(
                f"Unknown parameter {name!r}: there are {', '.join(known)}. Texts of any length are read."
            )
    _check_options(parameters)
    _check_unicode(inputs)
    return inputs, {name: value for name, value in parameters.items() if value is not None}


def _check_options(parameters: dict[str, Any]) -> None:
    """Check the options that are not TaggingPipeline's, and what a server must bound."""
    strategy, ignored = parameters.get("aggregation_strategy"), parameters.get("ignore_labels")
    if strategy not in _STRATEGIES:
        raise ValueError(f"aggregation_strategy must be one of {', '.join(_STRATEGIES[1:])}; got {strategy!r:.80}.")
    if ignored is not None and not (isinstance(ignored, list) and all(isinstance(label, str) for label in ignored)):
        raise ValueError(f"ignore_labels must be a list of labels; got {ignored!r:.80}.")
    others = [name for name in ("n_best", "scheme", "return_words") if parameters.get(name)]
    if others and set(ignored or []) - {"O"}:
        raise ValueError(
            f"ignore_labels leaves out spans, and {others[0]} needs all of them: leave one of the two out."
        )
    n_best = parameters.get("n_best")
    if isinstance(n_best, int) and n_best > _MOST_TAGGINGS:
        raise ValueError(f"n_best must be at most {_MOST_TAGGINGS}; got {n_best}.")


def _check_unicode(inputs: Any) -> None:
    """Refuse half of a surrogate pair, which JSON can say and no text holds."""
    for item in inputs if isinstance(inputs, list) else [inputs]:
        if isinstance(item, list):
            _check_unicode(item)
        elif isinstance(item, str) and any("\ud800" <= character <= "\udfff" for character in item):
            raise ValueError(f"inputs hold half of a surrogate pair, which is no character: {item!r:.80}.")


def _without(found: list[Any], ignored: set[str]) -> list[Any]:
    """Leave out spans by their label, of one text or several."""
    if found and isinstance(found[0], list):
        return [_without(spans, ignored) for spans in found]
    return [span for span in found if span["entity_group"] not in ignored]
