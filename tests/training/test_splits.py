"""Where a recipe's data comes from."""

from pathlib import Path

import pytest

from hf_bilstm.data import load_sample
from hf_bilstm.models.tagging_schemes import convert_tags
from hf_bilstm.training.arguments import DataArguments
from hf_bilstm.training.recipes import read_data_arguments
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


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bioes", "bilou"])
def test_the_recipe_of_conll_2003_reads_four_columns_in_any_scheme(scheme, tmp_path):
    recipe = Path(__file__).parents[2] / "configs" / "conll2003_ner.yaml"
    arguments = read_data_arguments(str(recipe), ["--data_dir", str(tmp_path)])
    for split in SPLITS:
        data = load_sample(split, "ner", "en")
        lines = ["-DOCSTART- -X- -X- O", ""]
        for tokens, tags in zip(data["tokens"], data["tags"], strict=True):
            tagged = zip(tokens, convert_tags(tags, "iob2", scheme), strict=True)
            lines += [*(f"{token} NN I-NP {tag}" for token, tag in tagged), ""]
        (tmp_path / getattr(arguments, f"{split}_file")).write_text("\n".join(lines), encoding="utf-8")
        assert load_split(arguments, split).to_dict() == data.to_dict()


def test_a_share_of_the_training_data_is_drawn_from_it_alone():
    whole = load_split(DataArguments(dataset="sample"), "train")
    share = load_split(DataArguments(dataset="sample", train_fraction=0.1), "train")
    assert len(share) == round(0.1 * len(whole))
    rows = [tuple(tokens) for tokens in whole["tokens"]]
    assert {tuple(tokens) for tokens in share["tokens"]} < set(rows)
    assert share.to_dict() == load_split(DataArguments(dataset="sample", train_fraction=0.1), "train").to_dict()
    other = load_split(DataArguments(dataset="sample", train_fraction=0.1, validation_seed=1), "train")
    assert other.to_dict() != share.to_dict()
    validation = load_split(DataArguments(dataset="sample", train_fraction=0.1), "validation")
    assert validation.to_dict() == load_split(DataArguments(dataset="sample"), "validation").to_dict()
    with pytest.raises(ValueError, match="train_fraction must be above 0 and at most 1, got 0"):
        DataArguments(train_fraction=0.0)
