"""Make the classifier's checkpoint of a release, with the answers that every later version must give.

    python tests/data/checkpoints/make_classifier.py tests/data/checkpoints/classifiers/VERSION

A checkpoint is made once, by the release that it is named after, and never again.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch
from make import KEPT, TEXTS
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments, set_seed

from hf_bilstm import BiLstmConfig, BiLstmForSequenceClassification, BiLstmTokenizer
from hf_bilstm.data import encode_dataset, label_list, load_sample


def main(folder: Path) -> None:
    """Train a tiny classifier, and write it and its answers."""
    if folder.exists():
        raise SystemExit(f"{folder} is there already: a release's checkpoint is never made again.")
    set_seed(0)
    data = load_sample("train", "classification")
    tokenizer = BiLstmTokenizer.from_corpus(data["text"], max_vocab_size=300, fold=("lower", "width", "digits"))
    config = BiLstmConfig(
        vocab_size=len(tokenizer),
        embedding_size=12,
        bigram_buckets=50,
        bigram_embedding_size=6,
        hidden_size=8,
        classifier_pooling="attention",
        problem_type="single_label_classification",
        id2label=dict(enumerate(label_list([data]))),
    )
    model = BiLstmForSequenceClassification(config)
    with tempfile.TemporaryDirectory() as work:
        arguments = TrainingArguments(work, num_train_epochs=3, learning_rate=2e-2, report_to="none")
        encoded = encode_dataset(data, tokenizer, config.label2id)
        Trainer(model, arguments, DataCollatorWithPadding(tokenizer), encoded).train()
        model.eval().save_pretrained(work)
        tokenizer.save_pretrained(work)
        folder.mkdir(parents=True)
        for name in KEPT:
            (folder / name).write_bytes(Path(work, name).read_bytes())
    answers = []
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        with torch.inference_mode():
            logits = model(torch.tensor([ids], dtype=torch.long)).logits[0]
        answers.append({"text": text, "ids": ids, "logits": [round(value, 4) for value in logits.tolist()]})
    (folder / "answers.json").write_text(json.dumps(answers, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
