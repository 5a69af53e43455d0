"""What the interfaces of transformers return is the Viterbi path in float64, with and without the package."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline
from warm_python import warm_python

from hf_bilstm import TaggingPipeline, UserDictionary
from hf_bilstm.data import load_sample, read_columns
from hf_bilstm.models.tagging_schemes import tags_to_spans
from hf_bilstm.training.recipes import read_recipe
from hf_bilstm.training.run import train

# Loads a folder where hf_bilstm cannot be imported, tags every text alone and in batches, and prints the results.
STRANGER = """
import json, sys
sys.modules["hf_bilstm"] = None
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification, AutoTokenizer, pipeline
folder = sys.argv[1]
texts = json.load(sys.stdin)
tagger = pipeline("token-classification", model=folder, trust_remote_code=True, aggregation_strategy="simple")
assert type(tagger.model).__module__.startswith("transformers_modules"), type(tagger.model)
assert type(AutoModel.from_pretrained(folder, trust_remote_code=True)).__name__ == "BiLstmModel"
assert type(AutoConfig.from_pretrained(folder, trust_remote_code=True)).__name__ == "BiLstmConfig"
plain = [[(e["entity_group"], e["start"], e["end"], e["word"]) for e in found] for found in map(tagger, texts)]
batched = [[(e["entity_group"], e["start"], e["end"], e["word"]) for e in f] for f in tagger(texts, batch_size=8)]
print(json.dumps([plain, batched]))
"""


def viterbi_labels(model, input_ids: list[int]) -> list[str]:
    """Decode one text from its emissions with a plain Viterbi in float64."""
    with torch.inference_mode():
        emissions = model(torch.tensor([input_ids])).emissions[0].double().numpy()
    space = model.crf.space
    if model.config.white_space_token_id is not None:  # there `O` alone is legal, and nowhere else
        white = np.array(input_ids)[:, None] == model.config.white_space_token_id
        emissions = np.where(white == [state == "O" for state in space.states], emissions, -np.inf)
    legal = np.array(space.transitions)
    transitions = np.where(legal, model.crf.transitions.detach().double().numpy(), -np.inf)
    start = np.where(space.starts, model.crf.start_transitions.detach().double().numpy(), -np.inf)
    end = np.where(space.ends, model.crf.end_transitions.detach().double().numpy(), -np.inf)
    best, origins = start + emissions[0], []
    for emission in emissions[1:]:
        scores = best[:, None] + transitions
        origins.append(scores.argmax(axis=0))
        best = scores.max(axis=0) + emission
    state = int((best + end).argmax())
    path = [state]
    for origin in reversed(origins):
        state = int(origin[state])
        path.append(state)
    return [model.config.labels[space.state_to_label[state]] for state in reversed(path)]


def triples(found: list[dict]) -> list[tuple[str, int, int, str]]:
    return [(entity["entity_group"], entity["start"], entity["end"], entity["word"]) for entity in found]


@pytest.fixture(scope="module")
def model_and_tokenizer(trained):
    return AutoModelForTokenClassification.from_pretrained(trained).eval(), AutoTokenizer.from_pretrained(trained)


def expected_spans(model, tokenizer, text: str) -> list[tuple[str, int, int, str]]:
    encoded = tokenizer(text, return_offsets_mapping=True)
    if not encoded["input_ids"]:
        return []
    offsets = encoded["offset_mapping"]
    spans = tags_to_spans(viterbi_labels(model, encoded["input_ids"]), "iob2")
    return [
        (label, offsets[start][0], offsets[end - 1][1], text[offsets[start][0] : offsets[end - 1][1]])
        for label, start, end in spans
        if label
    ]


def test_stock_pipeline_gives_the_viterbi_spans(trained, model_and_tokenizer):
    texts = ["".join(tokens) for tokens in load_sample("test")["tokens"]]
    expected = [expected_spans(*model_and_tokenizer, text) for text in texts]
    assert sum(map(len, expected)) > 30
    tagger = pipeline("token-classification", model=str(trained), aggregation_strategy="simple")
    assert [triples(tagger(text)) for text in texts] == expected
    assert [triples(found) for found in tagger(texts, batch_size=16)] == expected
    for strategy in ("first", "max", "average"):
        assert [triples(found) for found in tagger(texts, batch_size=16, aggregation_strategy=strategy)] == expected

    shuffled = list(reversed(texts))
    assert ask_a_stranger(trained, shuffled) == [[list(span) for span in spans] for spans in reversed(expected)]


def ask_a_stranger(folder: Path, texts: list[str]) -> list[list[list]]:
    """What someone without the package finds."""
    stranger = subprocess.run(
        [warm_python(), "-c", STRANGER, str(folder)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        cwd=folder.parent,
    )
    assert stranger.returncode == 0, stranger.stderr
    plain, batched = json.loads(stranger.stdout.strip().splitlines()[-1])
    assert plain == batched
    return plain


def test_a_saved_dictionary_serves_those_without_the_package(trained, tmp_path):
    model, tokenizer = AutoModelForTokenClassification.from_pretrained(trained), AutoTokenizer.from_pretrained(trained)
    model.set_dictionary(UserDictionary([("天去了", 1.0, "ORG")], force=True), tokenizer)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert ["ORG", 1, 4, "天去了"] in ask_a_stranger(tmp_path, ["昨天去了北京。", "北京"])[0]


@pytest.fixture(scope="module", params=["segmentation", "segmentation_pos"])
def segmenter(request, recipe_file, tmp_path_factory):
    """A folder that holds a tagger of words, or of words with their parts of speech, and its task."""
    folder = tmp_path_factory.mktemp(request.param)
    options = ["--task", request.param, "--white_space", "token", "--output_dir", str(folder)]
    train(read_recipe(str(recipe_file), [*options, "--num_train_epochs", "2"]))
    return folder, request.param


def test_stock_pipeline_gives_the_words_and_tags_of_every_sentence(segmenter):
    folder, task = segmenter
    model, tokenizer = AutoModelForTokenClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    sentences = [*load_sample("validation", task)["tokens"], *load_sample("test", task)["tokens"]]
    # White space, which no word crosses, now here, now there.
    texts = [
        "".join(tokens[: place % 7]) + " " + "".join(tokens[place % 7 :]) for place, tokens in enumerate(sentences)
    ]
    expected = [expected_spans(model.eval(), tokenizer, text) for text in texts]
    assert ["".join(word for _, _, _, word in words) for words in expected] == [
        text.replace(" ", "") for text in texts
    ]
    assert len({label for words in expected for label, *_ in words}) > (1 if task == "segmentation_pos" else 0)
    stock = pipeline("token-classification", model=str(folder), aggregation_strategy="simple")
    assert [triples(words) for words in stock(texts, batch_size=16)] == expected
    assert [triples(words) for words in map(stock, texts[:20])] == expected[:20]
    ours = TaggingPipeline(model=model, tokenizer=tokenizer)
    assert [triples(words) for words in ours(texts)] == expected
    by_token = pipeline("token-classification", model=str(folder), ignore_labels=[])
    tags = [[(token["entity"], token["start"]) for token in found] for found in by_token(texts, batch_size=16)]
    assert tags == [[(token["tag"], token["start"]) for token in found] for found in ours(texts, scheme="iob2")]


def test_argmax_of_the_logits_is_the_viterbi_path(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    texts = ["".join(tokens) for tokens in load_sample("test")["tokens"]]
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        best = model(**encoded).logits.argmax(dim=-1)
    for row, text in enumerate(texts):
        ids = tokenizer(text)["input_ids"]
        assert [model.config.labels[label] for label in best[row, : len(ids)]] == viterbi_labels(model, ids)


def test_a_real_test_set(trained, model_and_tokenizer, shared_data):
    model, tokenizer = model_and_tokenizer
    data = read_columns(shared_data / "resume_ner" / "dev.char.bmes", file_scheme="bmes")
    texts = ["".join(tokens) for tokens in data["tokens"]]
    tagger = pipeline("token-classification", model=str(trained), aggregation_strategy="simple")
    found = [triples(entities) for entities in tagger(texts, batch_size=32)]
    assert found == [expected_spans(model, tokenizer, text) for text in texts]


@pytest.mark.parametrize("blank", ["", " ", " \t\n\u3000"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_blank_texts_anywhere_in_a_batch(trained, blank, place):
    tagger = pipeline("token-classification", model=str(trained), aggregation_strategy="simple")
    texts = ["昨天他去了北京。", "我们住在上海。"]
    expected = [triples(found) for found in tagger(texts, batch_size=2)]
    texts.insert(place, blank)
    expected.insert(place, [])
    assert [triples(found) for found in tagger(texts, batch_size=3)] == expected
    assert tagger(blank) == []
    assert tagger([blank, blank], batch_size=2) == [[], []]


def test_a_text_of_200000_characters_is_tagged_whole(trained, model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    text = ("昨天，周晓岚在广州参加了东海大学的毕业典礼。" * 10_000)[:200_000]
    tagger = pipeline("token-classification", model=str(trained), aggregation_strategy="simple")
    found = triples(tagger(text))
    assert found == expected_spans(model, tokenizer, text)
    assert found
    assert found[-1][2] > 199_000


def test_words_read_as_the_text_does(trained):
    tagger = pipeline("token-classification", model=str(trained), aggregation_strategy="simple", ignore_labels=[])
    text = "昨天Ａ班的龘先生😀去了e\u0301北京Abc１２３。"
    found = tagger(text)
    assert [entity["word"] for entity in found] == [text[entity["start"] : entity["end"]] for entity in found]
    assert "".join(entity["word"] for entity in found) == text
