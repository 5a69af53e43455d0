"""The base of the package's metrics: they need no network and leave no files behind."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate


class OfflineMetric(evaluate.Metric):
    """An `evaluate.Metric` of tag sequences that keeps what it is given in memory.

    Args:
        config_name: As of `evaluate.Metric`.
        **kwargs: As of `evaluate.Metric`. `keep_in_memory` is on unless `num_process` is above 1.
    """

    def __init__(self, config_name: str | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("keep_in_memory", kwargs.get("num_process", 1) == 1)
        super().__init__(config_name, **kwargs)

    def _build_data_dir(self) -> str:
        # The base class makes a folder in the cache, which is of no use here and fails where the cache is read-only.
        return self._data_dir_root if self.keep_in_memory else super()._build_data_dir()


def tag_sequences_info(description: str, inputs_description: str) -> evaluate.MetricInfo:
    """Describe a metric whose predictions and references are lists of tags, one list a sentence.

    Args:
        description: What the metric measures.
        inputs_description: What `compute` takes beside predictions and references, and what it returns.

    Returns:
        What a metric's `_info` returns.
    """
    tags = datasets.Sequence(datasets.Value("string"))
    features = datasets.Features({"predictions": tags, "references": tags})
    return evaluate.MetricInfo(
        description=description, citation="", inputs_description=inputs_description, features=features
    )
