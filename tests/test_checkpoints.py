"""The checkpoint of every release loads, and answers as it did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer, pipeline

import hf_bilstm  # noqa: F401  (registers the Auto classes)

CHECKPOINTS = Path(__file__).parent / "data" / "checkpoints"
RELEASES = sorted(path.parent for path in CHECKPOINTS.glob("*/answers.json"))
CLASSIFIERS = sorted(path.parent for path in (CHECKPOINTS / "classifiers").glob("*/answers.json"))


def test_every_release_keeps_a_checkpoint():
    assert [folder.name for folder in RELEASES][:1] == ["0.1"]
    assert [folder.name for folder in CLASSIFIERS][:1] == ["0.1"]


@pytest.mark.parametrize("folder", RELEASES, ids=lambda folder: folder.name)
def test_a_release_answers_as_it_did(folder):
    model = AutoModelForTokenClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tagger = pipeline("bilstm-tagging", model=str(folder))
    stock = pipeline("token-classification", model=str(folder), aggregation_strategy="simple")
    for expected in json.loads((folder / "answers.json").read_text(encoding="utf-8")):
        text = expected["text"]
        encoded = tokenizer(text, return_offsets_mapping=True)
        assert encoded["input_ids"] == expected["ids"]
        assert [list(pair) for pair in encoded["offset_mapping"]] == expected["offsets"]
        with torch.inference_mode():
            logits = model(torch.tensor([expected["ids"]], dtype=torch.long)).logits[0]
        torch.testing.assert_close(logits, torch.tensor(expected["logits"]).reshape(logits.shape), atol=1e-3, rtol=0)
        spans = tagger(text)
        places = [[span["entity_group"], span["start"], span["end"]] for span in spans]
        assert places == [span[:3] for span in expected["spans"]]
        assert places == [[span["entity_group"], span["start"], span["end"]] for span in stock(text)]
        assert [span["score"] for span in spans] == pytest.approx([span[3] for span in expected["spans"]], abs=1e-3)


@pytest.mark.parametrize("folder", CLASSIFIERS, ids=lambda folder: folder.name)
def test_a_release_classifies_as_it_did(folder):
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    stock = pipeline("text-classification", model=str(folder))
    for expected in json.loads((folder / "answers.json").read_text(encoding="utf-8")):
        assert tokenizer(expected["text"])["input_ids"] == expected["ids"]
        with torch.inference_mode():
            logits = model(torch.tensor([expected["ids"]], dtype=torch.long)).logits[0]
        torch.testing.assert_close(logits, torch.tensor(expected["logits"]), atol=1e-3, rtol=0)
        scores = {item["label"]: item["score"] for item in stock(expected["text"], top_k=None)}
        shares = dict(zip(model.config.labels, torch.tensor(expected["logits"]).softmax(-1).tolist(), strict=True))
        assert scores == pytest.approx(shares, abs=1e-3)
