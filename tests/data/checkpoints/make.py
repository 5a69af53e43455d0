"""Make the checkpoint of a release, with the answers that every later version must give.

    python tests/data/checkpoints/make.py tests/data/checkpoints/VERSION

A checkpoint is made once, by the release that it is named after, and never again.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch
from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments, pipeline, set_seed

from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification, BiLstmTokenizer
from hf_bilstm.data import encode_dataset, label_list, load_sample

TEXTS = [
    "昨天，周晓岚在广州参加了东海大学的毕业典礼。",
    "今年夏天， 爷爷打算和老李去黄河边钓鱼。",
    "ＡＢＣ 龘😀１２３",
    "",
]
KEPT = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def main(folder: Path) -> None:
    """Train a tiny tagger, and write it and its answers."""
    if folder.exists():
        raise SystemExit(f"{folder} is there already: a release's checkpoint is never made again.")
    set_seed(0)
    data = load_sample("train")
    tokenizer = BiLstmTokenizer.from_corpus(data["tokens"], max_vocab_size=300, fold=("lower", "width", "digits"))
    config = BiLstmConfig(
        vocab_size=len(tokenizer),
        embedding_size=12,
        bigram_buckets=50,
        bigram_embedding_size=6,
        hidden_size=16,
        tagging_scheme="bioes",
        id2label=dict(enumerate(label_list([data]))),
    )
    model = BiLstmForTokenClassification(config)
    with tempfile.TemporaryDirectory() as work:
        arguments = TrainingArguments(work, num_train_epochs=4, learning_rate=2e-2, report_to="none")
        encoded = encode_dataset(data, tokenizer, config.label2id)
        Trainer(model, arguments, DataCollatorForTokenClassification(tokenizer), encoded).train()
        model.eval().save_pretrained(work)
        tokenizer.save_pretrained(work)
        folder.mkdir()
        for name in KEPT:
            (folder / name).write_bytes(Path(work, name).read_bytes())
    text = json.dumps(answers(model, tokenizer), ensure_ascii=False)
    (folder / "answers.json").write_text(text + "\n", encoding="utf-8")


def answers(model: BiLstmForTokenClassification, tokenizer: BiLstmTokenizer) -> list[dict]:
    """What a tagger answers to each text: ids, offsets, logits and spans."""
    tagger = pipeline("bilstm-tagging", model=model, tokenizer=tokenizer)
    answered = []
    for text in TEXTS:
        encoded = tokenizer(text, return_offsets_mapping=True)
        with torch.inference_mode():
            logits = model(torch.tensor([encoded["input_ids"]], dtype=torch.long)).logits[0]
        answered.append(
            {
                "text": text,
                "ids": encoded["input_ids"],
                "offsets": [list(pair) for pair in encoded["offset_mapping"]],
                "logits": [[round(value, 4) for value in row] for row in logits.tolist()],
                "spans": [
                    [span["entity_group"], span["start"], span["end"], round(span["score"], 4)]
                    for span in tagger(text)
                ],
            }
        )
    return answered


if __name__ == "__main__":
    main(Path(sys.argv[1]))
