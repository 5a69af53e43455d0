"""Flair's side of scripts/benchmark.py, which runs it in a virtual environment of its own.

Reads the benchmark's data from a JSON file, then a command a line from standard input, and answers each with the
seconds it took.
"""

import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import flair
import torch
from flair.data import Dictionary, Sentence
from flair.embeddings import CharacterEmbeddings, OneHotEmbeddings, StackedEmbeddings
from flair.models import SequenceTagger
from flair.training_utils import store_embeddings


def sentences(rows: list[dict]) -> list[Sentence]:
    """Make Flair's sentences with their gold spans."""
    made = []
    for row in rows:
        sentence = Sentence(row["tokens"])
        for label, first, end in row["spans"]:
            sentence[first:end].add_label("ner", label)
        made.append(sentence)
    return made


def character_embeddings(train: list[Sentence]) -> CharacterEmbeddings:
    """Make Flair's features of words from their characters, over those of the data."""
    characters = Dictionary()
    for character in sorted({character for sentence in train for token in sentence for character in token.text}):
        characters.add_item(character)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "characters")
        characters.save(file)
        return CharacterEmbeddings(path_to_char_dict=str(file))


def make_tagger(data: dict, train: list[Sentence]) -> SequenceTagger:
    """Make a tagger of the benchmark's sizes."""
    tokens, labels = Dictionary(), Dictionary(add_unk=False)
    for sentence in train:
        for token in sentence:
            tokens.add_item(token.text)
        for label in sentence.get_labels("ner"):
            labels.add_item(label.value)
    labels.span_labels = True
    embeddings = OneHotEmbeddings(tokens, embedding_length=data["embedding_size"])
    return SequenceTagger(
        StackedEmbeddings([embeddings, character_embeddings(train)]) if data["characters"] else embeddings,
        labels,
        "ner",
        hidden_size=data["hidden_size"],
        rnn_layers=1,
        use_crf=True,
        tag_format="BIOES",
        reproject_embeddings=False,
    )


def main() -> None:
    """Answer commands until the input ends."""
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    torch.set_num_threads(data["threads"])
    flair.device = torch.device("cpu")
    logging.getLogger("flair").setLevel(logging.ERROR)  # it logs to standard output
    batches = [sentences(batch) for batch in data["batches"]]
    train, test = sentences(data["train"]), data["test"]
    tagger = make_tagger(data, train)
    optimizer = torch.optim.AdamW(tagger.parameters(), lr=2e-3, fused=True)

    def step(batch: list[Sentence]) -> None:
        optimizer.zero_grad()
        loss, count = tagger.forward_loss(batch)
        (loss / count).backward()
        torch.nn.utils.clip_grad_norm_(tagger.parameters(), 5.0)
        optimizer.step()
        store_embeddings(batch, "none")  # as Flair's trainer does

    def train_steps() -> None:
        tagger.train()
        for batch in batches:
            step(batch)

    def epoch() -> None:
        tagger.train()
        order = torch.randperm(len(train)).tolist()
        for start in range(0, len(order), 16):
            step([train[place] for place in order[start : start + 16]])

    def predict(rows: list[list[str]], batch_size: int) -> None:
        made = [Sentence(row) for row in rows]
        tagger.predict(made, mini_batch_size=batch_size)
        for sentence in made:
            sentence.get_spans("ner")

    commands = {
        "steps": train_steps,
        "epoch": epoch,
        "predict": lambda: predict(test, 32),
        "single": lambda: predict(data["single"], 1),
    }
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        commands[line.strip()]()
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
