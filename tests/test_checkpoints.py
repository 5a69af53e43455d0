"""The checkpoint of every release loads, and answers as it did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

import hf_bilstm  # noqa: F401  (registers the Auto classes)

RELEASES = sorted(path.parent for path in (Path(__file__).parent / "data" / "checkpoints").glob("*/answers.json"))


def test_every_release_keeps_a_checkpoint():
    assert [folder.name for folder in RELEASES][:1] == ["0.1"]


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
