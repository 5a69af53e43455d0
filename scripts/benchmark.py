"""Measure every stage from text to spans and from files to a model, side by side with what others do.

    pip install 'hf_bilstm[benchmark]'
    python scripts/benchmark.py configs/resume_ner.yaml --data_dir FOLDER --output_dir outputs/benchmark --flair
    python scripts/benchmark.py configs/wnut17_ner.yaml --data_dir FOLDER --test_file FILE --sections words --flair

The recipe says where the data is; the model is the same for all contenders: tokens of 100 numbers, one layer of 200
units a direction, BIOES states under a CRF. Models of words (the second line) look into their characters. Contenders
of a table take turns, so that noise of the machine meets all of them; figures are medians over the rounds, ratios are
medians of each round's ratio. Written are a table, results.json and plots. `--flair` sets up a virtual environment for
Flair in the output directory.
"""

import sys

sys.path.pop(0)  # this folder, whose evaluate.py would stand in for the library of that name

import argparse
import json
import os
import platform
import resource
import subprocess
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import disable_progress_bars
from torch import nn
from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments, pipeline, set_seed
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.utils import logging

from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification, BiLstmTokenizer, TaggingPipeline
from hf_bilstm.data import encode_dataset, label_list, make_collator
from hf_bilstm.models.crf import LinearChainCrf
from hf_bilstm.models.tagging_schemes import convert_tags, state_space, tags_to_spans
from hf_bilstm.models.tokenization_bilstm import DEFAULT_CHAR_WIDTH
from hf_bilstm.training.recipes import read_data_arguments
from hf_bilstm.training.splits import require_split
from hf_bilstm.training.trainer import TaggerTrainer

EMBEDDING_SIZE, HIDDEN_SIZE, BATCH_SIZE = 100, 200, 16
TEST_COPIES = 4  # the test texts so many times, that what begins and ends a call weighs little
WORD_FEATURES = {"char_embedding_size": 30, "char_hidden_size": 100}
FLAIR = ["torch==2.13.0", "flair==0.15.1", "transformers<5"]
Row = dict[str, Any]


def timed(function: Callable[[], Any]) -> Callable[[], float]:
    """Make a function tell its own seconds."""

    def run() -> float:
        started = time.perf_counter()
        function()
        return time.perf_counter() - started

    return run


def race(
    section: str, contenders: dict[str, Callable[[], float]], rounds: int, amount: float = 0, unit: str = "characters"
) -> list[Row]:
    """Let contenders take turns, and compare each with the first.

    Args:
        section: Name of the table.
        contenders: Runs, each of which tells its seconds.
        rounds: Measured turns of each, after one to warm up.
        amount: How much of the unit a run does, 0 to give seconds alone.
        unit: What is counted.

    Returns:
        A row for each: median, least and most seconds, rate, and speed relative to the first.
    """
    for run in contenders.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            times[name].append(run())
    reference = next(iter(times.values()))
    rows = []
    for name, seconds in times.items():
        row = {"section": section, "name": name, "seconds": median(seconds), "range": [min(seconds), max(seconds)]}
        row["speed"] = median(ours / theirs for ours, theirs in zip(reference, seconds, strict=True))
        if amount:
            row |= {"rate": amount / row["seconds"], "unit": f"{unit} a second"}
        rows.append(row)
        rate = f"{row['rate']:>12,.0f} {row['unit']}" if amount else f"{1e3 * row['seconds']:>12,.2f} ms"
        low, high = (1e3 * seconds for seconds in row["range"])
        print(f"{section:12} {name:44} {rate}  {row['speed']:6.2f} x  ({low:,.2f} to {high:,.2f} ms)", flush=True)
    return rows


class PackedTagger(nn.Module):
    """What everyone writes: a packed bidirectional nn.LSTM under pytorch-crf."""

    def __init__(self, vocab_size: int, num_tags: int) -> None:
        super().__init__()
        from torchcrf import CRF

        self.embeddings = nn.Embedding(vocab_size, EMBEDDING_SIZE, 0)
        self.dropout = nn.Dropout(0.3)
        self.lstm = nn.LSTM(EMBEDDING_SIZE, HIDDEN_SIZE, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(2 * HIDDEN_SIZE, num_tags)
        self.crf = CRF(num_tags, batch_first=True)

    def forward(self, input_ids: Any, attention_mask: Any, labels: Any = None, **_: Any) -> dict[str, Any]:
        """Give the loss, or the best tags."""
        lengths = attention_mask.sum(dim=1).cpu()
        embedded = self.dropout(self.embeddings(input_ids))
        packed = nn.utils.rnn.pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        outputs, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        emissions = self.classifier(self.dropout(outputs))
        mask = attention_mask.bool()
        if labels is None:
            return {"tags": self.crf.decode(emissions, mask)}
        return {"loss": -self.crf(emissions, labels.clamp(min=0), mask, reduction="token_mean")}


class FreeTagger(BiLstmForTokenClassification):
    """A tagger that remembers its answers and computes nothing twice: what the stock pipeline itself takes.

    Args:
        model: The tagger whose answers it gives.
    """

    def __init__(self, model: BiLstmForTokenClassification) -> None:
        super().__init__(model.config)
        self.load_state_dict(model.state_dict())
        self.answers: dict[bytes, torch.Tensor] = {}

    def forward(self, input_ids: Any = None, **inputs: Any) -> TokenClassifierOutput:  # type: ignore[override]
        """Give the logits that the first call with these ids gave."""
        key = input_ids.numpy().tobytes()
        if key not in self.answers:
            self.answers[key] = super().forward(input_ids, **inputs).logits
        return TokenClassifierOutput(logits=self.answers[key])


class Setting:
    """Data, tokenizer and models that the measurements share.

    Args:
        own: The command line.
        overrides: Arguments of the data.
    """

    def __init__(self, own: argparse.Namespace, overrides: list[str]) -> None:
        arguments = read_data_arguments(own.recipe, overrides)
        data = require_split(arguments, "train"), require_split(arguments, "test")
        self.train_data, self.test_data = data
        self.rounds, self.folder = own.rounds, Path(own.output_dir)
        self.has_words = arguments.granularity == "word"
        self.tokenizer = BiLstmTokenizer.from_corpus(
            self.train_data["tokens"],
            granularity=arguments.granularity,
            min_frequency=arguments.min_frequency,
            fold=tuple(arguments.fold),
            char_width=DEFAULT_CHAR_WIDTH if self.has_words else 0,
        )
        self.labels = label_list(data)
        set_seed(0)
        self.model = self.new_model()
        label2id = self.model.config.label2id
        self.train = encode_dataset(self.train_data, self.tokenizer, label2id)
        self.test_tokens = TEST_COPIES * self.test_data["tokens"][:]
        self.texts = [(" " if self.has_words else "").join(tokens) for tokens in self.test_tokens]
        self.characters = sum(map(len, self.texts))
        states = self.model.crf.space.states
        self.states = {state: number for number, state in enumerate(states)}
        self.collate = DataCollatorForTokenClassification(self.tokenizer)
        order = torch.randperm(len(self.train)).tolist()
        self.batch_places = [order[start : start + BATCH_SIZE] for start in range(0, 20 * BATCH_SIZE, BATCH_SIZE)]
        self.fit(self.model, epochs=own.train_epochs)

    def new_model(self, **changes: Any) -> BiLstmForTokenClassification:
        """Make an untrained model of the benchmark's sizes."""
        config = BiLstmConfig(
            **{
                "vocab_size": len(self.tokenizer),
                "embedding_size": EMBEDDING_SIZE,
                "hidden_size": HIDDEN_SIZE,
                "tagging_scheme": "bioes",
                "id2label": dict(enumerate(self.labels)),
                "char_vocab_size": self.tokenizer.char_vocab_size,
                **(WORD_FEATURES if self.has_words else {}),
                **changes,
            }
        )
        return BiLstmForTokenClassification(config)

    def arguments(self, **changes: Any) -> TrainingArguments:
        """Training arguments that do nothing but train."""
        return TrainingArguments(
            **{
                "output_dir": str(self.folder / "trainer"),
                "per_device_train_batch_size": BATCH_SIZE,
                "num_train_epochs": 1,
                "learning_rate": 2e-3,
                "max_grad_norm": 5.0,
                "save_strategy": "no",
                "report_to": "none",
                "logging_strategy": "no",
                "disable_tqdm": True,
                "dataloader_pin_memory": False,
                "use_cpu": True,
                **changes,
            }
        )

    def fit(self, model: nn.Module, epochs: int) -> None:
        """Train, so that what is measured is a tagger that finds spans."""
        arguments = self.arguments(num_train_epochs=epochs, train_sampling_strategy="group_by_length")
        TaggerTrainer(model, arguments, self.collate, self.train).train()
        model.eval()

    def in_states(self, dataset: Any) -> Any:
        """Relabel encoded data with the BIOES states, which the peers predict directly."""
        names = self.model.config.id2label

        def relabel(row: Row) -> Row:
            tags = convert_tags([names[number] for number in row["labels"]], "iob2", "bioes")
            return {"labels": [self.states[tag] for tag in tags]}

        return dataset.map(relabel)

    def length(self, place: int) -> int:
        """Number of tokens of a training sentence."""
        return len(self.train_data[place]["tokens"])

    def sorted_batches(self, batch_size: int) -> list[list[str]]:
        """Part the test texts into batches of similar length."""
        texts = sorted(self.texts, key=len)
        return [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]


class FlairPeer:
    """Flair in its own environment and process, which runs what it is told and says how long it took.

    Args:
        setting: What the measurements share.
    """

    def __init__(self, setting: Setting) -> None:
        folder = setting.folder / "flair"
        python = folder / "bin" / "python"
        if not (folder / "installed").exists():
            venv.create(folder, with_pip=True)
            for requirement in (FLAIR[:1], FLAIR):
                subprocess.run([python, "-m", "pip", "install", "--quiet", *requirement], check=True)
            (folder / "installed").touch()

        def rows(data: Any) -> list[Row]:
            return [{"tokens": row["tokens"], "spans": tags_to_spans(row["tags"], "iob2")} for row in data]

        data = {
            "threads": torch.get_num_threads(),
            "embedding_size": EMBEDDING_SIZE,
            "hidden_size": HIDDEN_SIZE,
            "characters": setting.has_words,
            "batches": [rows(setting.train_data.select(places)) for places in setting.batch_places],
            "train": rows(setting.train_data),
            "test": setting.test_tokens,
            "single": [text.split() if setting.has_words else list(text) for text in singles(setting)],
        }
        file = setting.folder / "flair.json"
        file.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        script = Path(__file__).with_name("benchmark_flair.py")
        self.process = subprocess.Popen(
            [python, script, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        while (line := self.process.stdout.readline().strip()) != "ready":
            if not line and self.process.poll() is not None:
                raise RuntimeError(f"Flair did not start: {python} {script} {file}")

    def run(self, command: str) -> float:
        """Run a command once."""
        print(command, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def singles(setting: Setting) -> list[str]:
    """Cut two hundred texts of 30 characters."""
    return [text[:30] for text in setting.texts if len(text) >= 30][:200]


def training(setting: Setting, flair: FlairPeer | None) -> list[Row]:
    """Training steps over the same sentences in random batches of 16, and in batches by length as the recipes have it.

    Then whole epochs, each with its own Trainer's batches.
    """
    states = setting.in_states(setting.train)
    by_state = setting.in_states(setting.train.select([place for batch in setting.batch_places for place in batch]))
    label_batches = [setting.collate([setting.train[place] for place in places]) for places in setting.batch_places]
    state_batches = [
        setting.collate([by_state[place] for place in range(start, start + BATCH_SIZE)])
        for start in range(0, len(by_state), BATCH_SIZE)
    ]

    def steps(model: nn.Module, batches: list[Any]) -> Callable[[], float]:
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, fused=True)  # the Trainer's default

        def run() -> None:
            model.train()
            for batch in batches:
                optimizer.zero_grad()
                model(**batch)["loss"].backward()
                nn.utils.clip_grad_norm_(model.parameters(), 5.0)
                optimizer.step()

        return timed(run)

    def epoch(
        trainer: type[Trainer], model: nn.Module, data: Any, collate: Any, **arguments: Any
    ) -> Callable[[], float]:
        return timed(lambda: trainer(model, setting.arguments(**arguments), collate, data).train())

    packed = PackedTagger(len(setting.tokenizer), len(setting.states))
    by_length = sorted((place for places in setting.batch_places for place in places), key=setting.length)
    length_batches = [
        setting.collate([setting.train[place] for place in by_length[start : start + BATCH_SIZE]])
        for start in range(0, len(by_length), BATCH_SIZE)
    ]
    contenders = {"hf_bilstm": steps(setting.new_model(), label_batches)}
    contenders["hf_bilstm, batches by length"] = steps(setting.new_model(), length_batches)
    contenders["hf_bilstm, GRU"] = steps(setting.new_model(rnn_type="gru"), label_batches)
    contenders["packed nn.LSTM + pytorch-crf"] = steps(packed, state_batches)
    if flair:
        contenders["Flair SequenceTagger"] = lambda: flair.run("steps")
    real = sum(int(batch["attention_mask"].sum()) for batch in label_batches)
    rows = race("step", contenders, setting.rounds, real)

    own_collator = make_collator(setting.tokenizer)
    contenders = {
        "hf_bilstm, recipe (batches by length)": epoch(
            TaggerTrainer,
            setting.new_model(),
            setting.train,
            own_collator,
            train_sampling_strategy="group_by_length",
        )
    }
    contenders["hf_bilstm, stock Trainer, random batches"] = epoch(
        Trainer, setting.new_model(), setting.train, setting.collate
    )
    contenders["packed nn.LSTM + pytorch-crf, stock Trainer"] = epoch(
        Trainer, packed, states, setting.collate, remove_unused_columns=False
    )
    if flair:
        contenders["Flair SequenceTagger"] = lambda: flair.run("epoch")
    real = sum(map(len, setting.train["input_ids"]))
    return rows + race("epoch", contenders, max(2, setting.rounds // 2), real)


def inference(setting: Setting, flair: FlairPeer | None) -> list[Row]:
    """From test texts to spans, beside the bare kernel and the peers."""
    model, tokenizer, texts = setting.model, setting.tokenizer, setting.texts
    batches = setting.sorted_batches(32)
    encoded = [tokenizer(batch, padding=True, return_tensors="pt") for batch in batches]
    kernel = nn.LSTM(EMBEDDING_SIZE, HIDDEN_SIZE, batch_first=True, bidirectional=True).eval()
    with torch.no_grad():
        embedded = [model.bilstm.embeddings.token_embeddings(batch["input_ids"]) for batch in encoded]
    packed = PackedTagger(len(tokenizer), len(setting.states)).eval()
    tagger = TaggingPipeline(model=model, tokenizer=tokenizer)
    half = TaggingPipeline(model=setting.new_model().eval(), tokenizer=tokenizer, dtype=torch.bfloat16)
    half.model.load_state_dict(model.state_dict())
    half.model.to(torch.bfloat16)

    def inference_mode(function: Callable[[], Any]) -> Callable[[], float]:
        return timed(torch.inference_mode()(function))

    def each(function: Callable[[Any], Any], items: list[Any]) -> Callable[[], float]:
        return inference_mode(lambda: [function(item) for item in items])

    with torch.inference_mode():
        emitted = [model._emit(batch["input_ids"], batch["attention_mask"]) for batch in encoded]
    contenders = {
        "bare nn.LSTM, batches of 32 by length": each(kernel, embedded),
        "TaggingPipeline, text to spans": timed(lambda: tagger(texts)),
        "TaggingPipeline, one worker": timed(lambda: tagger(texts, num_workers=1)),
        "TaggingPipeline, two processes": timed(lambda: tagger(texts, num_processes=2)),
        "TaggingPipeline, bfloat16": timed(lambda: half(texts)),
        "model to logits, batches of 32 by length": each(lambda batch: model(**batch), encoded),
        "decoding alone (max-marginals)": each(lambda e: model.crf.max_marginals(e[2], e[0].lengths), emitted),
        "tokenizing alone": timed(lambda: tokenizer(texts, return_offsets_mapping=True)),
        "packed nn.LSTM + pytorch-crf, ids to tags": each(lambda batch: packed(**batch), encoded),
    }
    if flair:
        contenders["Flair predict, batches of 32"] = lambda: flair.run("predict")
    rows = race("inference", contenders, setting.rounds, setting.characters)

    options = {"tokenizer": tokenizer, "aggregation_strategy": "simple", "batch_size": 32}
    stock = pipeline("token-classification", model=model, **options)
    free = pipeline("token-classification", model=FreeTagger(model).eval(), **options)
    stock_rows = race(
        "stock",
        {
            "stock pipeline, model that costs nothing": timed(lambda: free(texts)),
            "stock pipeline": timed(lambda: stock(texts)),
        },
        setting.rounds,
        setting.characters,
    )
    return rows + stock_rows


def latency(setting: Setting, flair: FlairPeer | None) -> list[Row]:
    """One text of 30 characters at a time."""
    texts = singles(setting)
    model, tokenizer = setting.model, setting.tokenizer
    tagger = TaggingPipeline(model=model, tokenizer=tokenizer)
    stock = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="simple")
    kernels = {
        layout: nn.LSTM(EMBEDDING_SIZE, HIDDEN_SIZE, batch_first=layout == "batch first", bidirectional=True).eval()
        for layout in ("batch first", "tokens first")
    }
    rows: dict[str, torch.Tensor] = {"batch first": torch.randn(1, 30, EMBEDDING_SIZE)}
    rows["tokens first"] = rows["batch first"].transpose(0, 1).contiguous()

    def bare(layout: str, num_threads: int) -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(num_threads)
        with torch.inference_mode():
            for _ in texts:
                kernels[layout](rows[layout])
        torch.set_num_threads(before)

    contenders: dict[str, Callable[[], float]] = {}
    for layout, num_threads in product(kernels, sorted({1, torch.get_num_threads()})):
        name = f"bare nn.LSTM, {layout}, {num_threads} thread{'s' * (num_threads > 1)}"
        contenders[name] = timed(partial(bare, layout, num_threads))
    contenders["TaggingPipeline"] = timed(lambda: [tagger(text) for text in texts])
    contenders["TaggingPipeline, one worker"] = timed(lambda: [tagger(text, num_workers=1) for text in texts])
    contenders["stock pipeline"] = timed(lambda: [stock(text) for text in texts])
    if flair:
        contenders["Flair predict"] = lambda: flair.run("single")
    found = race("single", contenders, setting.rounds, len(texts), "texts")
    for name, function in (("TaggingPipeline", tagger), ("stock pipeline", stock)):
        one = timed(lambda function=function: function(texts[0]))
        seconds = sorted(one() for _ in range(300))
        found.append({"section": "percentiles", "name": name, "p50": seconds[150], "p99": seconds[297]})
        print(f"{'percentiles':12} {name:44} p50 {1e3 * seconds[150]:.2f} ms, p99 {1e3 * seconds[297]:.2f} ms")
    return found


def words(setting: Setting, flair: FlairPeer | None) -> list[Row]:
    """A tagger of words that looks into their characters, beside the same without, and Flair's with characters."""
    if not setting.has_words:
        return []
    given = setting.test_tokens
    plain = setting.new_model(char_embedding_size=0)
    plain.load_state_dict(
        {
            name: value[:, :EMBEDDING_SIZE] if name.endswith("weight_ih_l0") else value
            for name, value in setting.model.state_dict().items()
            if ".characters." not in name
        }
    )
    tagger = TaggingPipeline(model=setting.model, tokenizer=setting.tokenizer)
    without = TaggingPipeline(model=plain.eval(), tokenizer=setting.tokenizer)
    contenders = {
        "TaggingPipeline, text to spans": timed(lambda: tagger(setting.texts)),
        "TaggingPipeline, given words": timed(lambda: tagger(given, is_split_into_words=True)),
        "TaggingPipeline, given words, no characters": timed(lambda: without(given, is_split_into_words=True)),
        "TaggingPipeline, text to spans, no characters": timed(lambda: without(setting.texts)),
    }
    if flair:
        contenders["Flair predict, batches of 32, given words"] = lambda: flair.run("predict")
    return race("words", contenders, setting.rounds, sum(map(len, given)), "words")


def crf(setting: Setting, flair: FlairPeer | None) -> list[Row]:
    """The CRF alone, beside pytorch-crf over as many states; 32 rows of 48 tokens."""
    from torchcrf import CRF

    del flair
    rows = []
    for num_types in (1, 4, 8, 25, 100):
        labels = ["O", *(f"{prefix}-{number}" for number in range(num_types) for prefix in "BI")]
        space = state_space(labels, "bioes")
        ours, theirs = LinearChainCrf(space), CRF(len(space.states), batch_first=True)
        nn.init.zeros_(theirs.transitions)
        emissions = torch.randn(32, 48, len(space.states), requires_grad=True)
        lengths = torch.full((32,), 48)
        path = ours.viterbi(emissions.detach(), lengths)[0]
        observed = nn.functional.one_hot(path, len(space.states)).bool()

        def our_loss(
            ours: Any = ours, emissions: Any = emissions, lengths: Any = lengths, seen: Any = observed
        ) -> None:
            (-ours.log_likelihood(emissions, lengths, seen).sum()).backward()

        def their_loss(theirs: Any = theirs, emissions: Any = emissions, path: Any = path) -> None:
            (-theirs(emissions, path)).backward()

        fixed = emissions.detach()
        contenders = {
            "hf_bilstm, loss and gradient": timed(our_loss),
            "pytorch-crf, loss and gradient": timed(their_loss),
            "hf_bilstm, max-marginals": timed(lambda ours=ours, e=fixed, n=lengths: ours.max_marginals(e, n)),
            "hf_bilstm, posteriors": timed(lambda ours=ours, e=fixed, n=lengths: ours.marginals(e, n)),
            "pytorch-crf, best tags": timed(lambda theirs=theirs, e=fixed: theirs.decode(e)),
        }
        rows += race(f"crf {len(labels)} labels", contenders, setting.rounds)
    return rows


def scaling(setting: Setting, flair: FlairPeer | None) -> list[Row]:
    """How TaggingPipeline's speed goes with batch size, length of text and workers."""
    del flair
    tagger = TaggingPipeline(model=setting.model, tokenizer=setting.tokenizer)
    rows = race(
        "batch size",
        {str(size): timed(lambda size=size: tagger(setting.texts, batch_size=size)) for size in (1, 4, 16, 64, 256)},
        setting.rounds,
        setting.characters,
    )
    counts = [n for n in (1, 2, 4) if n <= os.cpu_count()]
    rows += race(
        "workers",
        {str(n): timed(lambda n=n: tagger(setting.texts, num_workers=n)) for n in counts},
        setting.rounds,
        setting.characters,
    )
    rows += race(
        "processes",
        {str(n): timed(lambda n=n: tagger(setting.texts, num_processes=n, num_workers=1)) for n in counts},
        setting.rounds,
        setting.characters,
    )
    everything = "".join(setting.texts * 5)[:100_000]
    for length in (10, 100, 1_000, 10_000, 100_000):
        texts = [everything[start : start + length] for start in range(0, min(len(everything), 64 * length), length)]
        run = timed(lambda texts=texts: tagger(texts))
        rows += race("text length", {str(length): run}, setting.rounds, sum(map(len, texts)))
    return rows


START = """
import time
started = time.perf_counter()
import transformers.models.auto, transformers.pipelines
between = time.perf_counter()
import hf_bilstm
imported = time.perf_counter()
tagger = transformers.pipeline("bilstm-tagging", model={folder!r})
loaded = time.perf_counter()
tagger("她去年在北京大学工作。")
answered = time.perf_counter()
import json
print(json.dumps(dict(transformers=between - started, package=imported - between, load=loaded - imported,
    first_answer=answered - loaded)))
"""


def start_up(setting: Setting, flair: FlairPeer | None) -> list[Row]:
    """From nothing to the first answer, in new processes."""
    del flair
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        setting.model.save_pretrained(folder)
        setting.tokenizer.save_pretrained(folder)
        for _ in range(setting.rounds):
            command = [sys.executable, "-c", START.format(folder=folder)]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            runs.append(json.loads(output.strip().splitlines()[-1]))
    row = {"section": "start-up", "name": "seconds"} | {key: median(run[key] for run in runs) for key in runs[0]}
    print(json.dumps(row))
    return [row]


def stream(setting: Setting, flair: FlairPeer | None, count: int = 1_000_000) -> list[Row]:
    """Memory over a long stream of texts."""
    del flair
    tagger = TaggingPipeline(model=setting.model, tokenizer=setting.tokenizer)
    short = [text[:15] for text in setting.texts]

    def texts() -> Iterator[str]:
        for number in range(count):
            yield short[number % len(short)]

    rows = []
    for number, _ in enumerate(tagger(texts()), start=1):
        if number in (count // 100, count // 10, count // 2, count):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            rows.append({"section": "stream", "name": f"after {number:,} texts", "peak_memory_mb": peak})
            print(f"{'stream':12} {rows[-1]['name']:44} peak memory {peak:,.0f} MB", flush=True)
    return rows


def plot(rows: list[Row], folder: Path) -> None:
    """Draw what was measured."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for section in ("step", "epoch", "inference", "single", "words"):
        found = [row for row in rows if row["section"] == section and "alone" not in row["name"]]
        if not found:
            continue
        figure, axes = plt.subplots(figsize=(9, 0.45 * len(found) + 1.2), layout="constrained")
        ours = ["#1f6f8b" if "hf_bilstm" in row["name"] or "Pipeline" in row["name"] else "#b9c4c9" for row in found]
        bars = axes.barh([row["name"] for row in found], [row["rate"] for row in found], color=ours)
        axes.bar_label(bars, [f"{row['rate']:,.0f}" for row in found], padding=4)
        axes.invert_yaxis()
        axes.margins(x=0.2)
        axes.set_xlabel(found[0]["unit"])
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(folder / f"benchmark_{section}.png", dpi=110)
        plt.close(figure)
    lines = [section for section in ("batch size", "text length") if any(row["section"] == section for row in rows)]
    if lines:
        figure, several = plt.subplots(
            1, len(lines), figsize=(4.5 * len(lines), 3.2), layout="constrained", squeeze=False
        )
        for section, axes in zip(lines, several[0], strict=True):
            found = [row for row in rows if row["section"] == section]
            axes.plot([int(row["name"]) for row in found], [row["rate"] for row in found], "o-", color="#1f6f8b")
            axes.set(xscale="log", xlabel=section, ylabel="characters a second", ylim=(0, None))
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(folder / "benchmark_scaling.png", dpi=110)
        plt.close(figure)


SECTIONS = {f.__name__: f for f in (training, inference, latency, words, crf, scaling, start_up, stream)}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="YAML file that names the data; its keys can be overridden by further options")
    parser.add_argument("--output_dir", default="outputs/benchmark", help="folder of results (default: %(default)s)")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="default: all")
    parser.add_argument("--rounds", type=int, default=7, help="measured turns of each contender (default: 7)")
    parser.add_argument("--train_epochs", type=int, default=3, help="training of the tagger measured (default: 3)")
    parser.add_argument("--flair", action="store_true", help="measure Flair too")
    own, overrides = parser.parse_known_args()

    logging.set_verbosity(logging.CRITICAL)  # the stock pipeline calls every class that is not its own unsupported
    disable_progress_bars()
    folder = Path(own.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    setting = Setting(own, overrides)
    flair = FlairPeer(setting) if own.flair else None
    rows = [row for section in own.sections for row in SECTIONS[section](setting, flair)]
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    text = json.dumps({"machine": machine, "rows": rows}, indent=2, ensure_ascii=False)
    (folder / "results.json").write_text(text, encoding="utf-8")
    plot(rows, folder)


if __name__ == "__main__":
    main()
