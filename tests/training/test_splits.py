"""Where a recipe's data comes from."""

import pytest

from hf_bilstm.data import load_sample
from hf_bilstm.training.arguments import DataArguments
from hf_bilstm.training.splits import SPLITS, load_split


@pytest.mark.parametrize("task", ["ner", "pos"])
@pytest.mark.parametrize(("dataset", "language"), [("sample", "zh"), ("sample_en", "en")])
def test_a_recipe_names_either_part_of_the_built_in_corpus(dataset, language, task):
    for split in SPLITS:
        loaded = load_split(DataArguments(task=task, dataset=dataset), split)
        assert loaded.to_dict() == load_sample(split, task, language).to_dict()


def test_a_recipe_of_english_segmentation_is_refused():
    with pytest.raises(ValueError, match="has no task 'segmentation'"):
        load_split(DataArguments(task="segmentation", dataset="sample_en"), "train")
