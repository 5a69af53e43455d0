"""Options of the tagging pipeline, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .configuration_bilstm import BiLstmConfig
from .dictionary import UserDictionary
from .tagging_schemes import SCHEMES


@dataclass(frozen=True)
class TaggingOptions:
    """What a call asks for, see `TaggingPipeline.__call__`."""

    threshold: float | None = None
    n_best: int | None = None
    scheme: str | None = None
    return_words: bool = False
    is_split_into_words: bool = False
    delimiter: str = " "
    tagset: str | None = None
    dictionary: Any = None  # a UserDictionary, and then the same bound to the model


def is_count(value: Any) -> bool:
    """Tell whether a value is a whole number from 1 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


# What each option takes, as a test and in words.
_CHECKS: dict[str, tuple[Any, str]] = {
    "threshold": (lambda value: value is None or _is_share(value), "None or a probability, 0 to 1"),
    "n_best": (lambda value: value is None or is_count(value), "None or a whole number from 1 on"),
    "scheme": (lambda value: value is None or value in SCHEMES, f"None or one of {', '.join(map(repr, SCHEMES))}"),
    "return_words": (lambda value: isinstance(value, bool), "True or False"),
    "is_split_into_words": (lambda value: isinstance(value, bool), "True or False"),
    "delimiter": (lambda value: isinstance(value, str), "a string"),
    "tagset": (lambda value: value is None or isinstance(value, str), "None or the name of a tag set"),
    "dictionary": (
        lambda value: value is None or isinstance(value, UserDictionary),
        "None, a UserDictionary or a list of its entries",
    ),
}


def check_options(options: dict[str, Any]) -> dict[str, Any]:
    """Check options one by one.

    Args:
        options: Names and values.

    Returns:
        The same, a list of dictionary entries made a `UserDictionary`.

    Raises:
        ValueError: If there is no such option, or a value is wrong.
    """
    if isinstance(options.get("dictionary"), list):
        options = {**options, "dictionary": UserDictionary(options["dictionary"])}
    for name, value in options.items():
        if name not in _CHECKS:
            raise ValueError(f"{name}={value!r}: the options of TaggingPipeline are {', '.join(_CHECKS)}.")
        is_right, what = _CHECKS[name]
        if not is_right(value):
            raise ValueError(f"{name}={value!r}: it takes {what}.")
    return options


def combine_options(options: dict[str, Any], config: BiLstmConfig) -> TaggingOptions:
    """Take options together, and check that they go with each other and with the model.

    Args:
        options: Names and values that `check_options` has let pass.
        config: The model's configuration.

    Returns:
        The options.

    Raises:
        ValueError: If they do not go together.
    """
    combined = TaggingOptions(**options)
    kinds = [name for name in ("n_best", "scheme", "return_words") if getattr(combined, name)]
    if len(kinds) > 1:
        raise ValueError(f"{' and '.join(kinds)} ask for different results: take one of them a call.")
    if combined.threshold is not None and kinds in (["n_best"], ["return_words"]):
        raise ValueError(f"threshold drops spans, and {kinds[0]} needs all of them: leave one of the two out.")
    if kinds in (["scheme"], ["return_words"]) and config.tagging_scheme == "none":
        raise ValueError(
            f"{kinds[0]} needs a tagger of spans, and this one has plain labels (tagging_scheme='none'): without "
            f"it every token comes with its label."
        )
    if combined.tagset is not None:
        known = [name for name in (config.tagset, *(config.tag_mappings or {})) if name]
        if combined.tagset not in known:
            raise ValueError(
                f"tagset={combined.tagset!r}: this model can give its tags in {known}. A model learns of tag sets in "
                f"training, by `tagset` in its recipe."
            )
    return combined
