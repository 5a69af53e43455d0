"""Characters of words, from the tokenizer's output through every way a model is used."""

import copy
import json
import os
import pickle
import subprocess

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    pipeline,
)
from warm_python import warm_python

from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification, BiLstmTokenizer, TaggingPipeline
from hf_bilstm.data import encode_dataset
from hf_bilstm.models.character_features import distinct_words

WIDTH = 6
SENTENCES = [
    ["Alice", "did", "n't", "see", "Bob", "'s", "internationalization", "."],
    ["bob", "saw", "ALICE", "in", "Quito", "!"],
    ["x", "a\u0301", "\U0001f468\u200d\U0001f469", "Ａ１"],
]
LABELS = ["O", "B-X", "I-X", "B-Y"]
TEXTS = ["Alice didn't see Bob's internationalization.", "", "bob saw ALICE!", "Zed  zooms\tin Quito, Bob? " * 3, " "]


@pytest.fixture(scope="module")
def tokenizer():
    return BiLstmTokenizer.from_corpus(SENTENCES, granularity="word", fold=("lower",), char_width=WIDTH)


def make_model(tokenizer, seed=0, **fields):
    """A tiny tagger whose scores hang on the characters."""
    sizes = {"embedding_size": 3, "hidden_size": 6, "char_embedding_size": 5, "char_hidden_size": 4}
    config = BiLstmConfig(
        **{**sizes, **fields},
        vocab_size=len(tokenizer),
        char_vocab_size=tokenizer.char_vocab_size,
        tagging_scheme="bioes",
        id2label=dict(enumerate(LABELS)),
    )
    torch.manual_seed(seed)
    model = BiLstmForTokenClassification(config).eval()
    for parameter in [*model.classifier.parameters(), *model.crf.parameters()]:
        nn.init.normal_(parameter, std=1.5)
    return model


ENCODERS = pytest.mark.parametrize(
    "fields",
    [{}, {"char_kernel_sizes": [1, 2, 5]}, {"char_encoder": "bilstm"}],
    ids=["cnn", "kernels", "bilstm"],
)


class TestTokenizer:
    def test_ids_are_those_of_the_word_as_written(self, tokenizer):
        ids = {char: place + 2 for place, char in enumerate(tokenizer.characters)}
        assert tokenizer.char_vocab_size == len(ids) + 2
        for words, encoded in (
            (["Alice", "aliZe"], tokenizer(["Alice", "aliZe"], is_split_into_words=True)),
            (["Alice", "aliZe"], tokenizer(" Alice  aliZe")),
        ):
            assert encoded["char_input_ids"] == [[ids.get(char, 1) for char in word] + [0] for word in words]

    def test_long_words_keep_head_and_tail(self, tokenizer):
        (row,) = tokenizer("internationalization")["char_input_ids"]
        assert row == tokenizer("intion")["char_input_ids"][0]
        (narrow,) = BiLstmTokenizer(tokenizer.get_vocab(), granularity="word", characters="abc", char_width=3)(
            "abxxc"
        )["char_input_ids"]
        assert narrow == [2, 3, 4]

    def test_characters_by_frequency_without_the_rare(self):
        made = BiLstmTokenizer.from_corpus(
            ["aab aab A", ["b", "c"]], granularity="word", min_frequency=2, char_width=4
        )
        assert made.characters == "ab"

    @pytest.mark.parametrize("side", ["right", "left"])
    @pytest.mark.parametrize("split", [False, True])
    def test_padding_of_a_call_of_pad_and_of_the_collator(self, tokenizer, side, split):
        inputs = SENTENCES if split else TEXTS
        whole = tokenizer(inputs, padding=True, return_tensors="pt", is_split_into_words=split, padding_side=side)
        rows = [tokenizer(item, is_split_into_words=split) for item in inputs]
        padded = tokenizer.pad(rows, return_tensors="pt", padding_side=side)
        assert whole["char_input_ids"].shape == (*whole["input_ids"].shape, WIDTH)
        assert whole["char_input_ids"].dtype == torch.int64
        for name, values in whole.items():
            assert torch.equal(padded[name], values)
        assert torch.equal(whole["char_input_ids"].any(dim=2), whole["attention_mask"].bool())
        other_side = copy.deepcopy(tokenizer)
        other_side.padding_side = side
        labelled = [{**row, "labels": [0] * len(row["input_ids"])} for row in rows]
        assert torch.equal(
            DataCollatorForTokenClassification(other_side)(labelled)["char_input_ids"], whole["char_input_ids"]
        )

    @pytest.mark.parametrize("tensors", ["pt", "np", None])
    @pytest.mark.parametrize("split", [False, True])
    def test_no_token_at_all(self, tokenizer, tensors, split):
        for item, size in (
            ([] if split else "", 1),
            ([[]] if split else [" "], 1),
            ([[], []] if split else ["", ""], 2),
        ):
            encoded = tokenizer(item, is_split_into_words=split, return_tensors=tensors)
            if tensors:
                assert encoded["char_input_ids"].shape == (size, 0, WIDTH)
            else:
                assert encoded["char_input_ids"] == encoded["input_ids"]

    def test_pairs_and_overflow(self, tokenizer):
        pair = tokenizer("Alice saw", "Bob")
        assert pair["char_input_ids"] == tokenizer("Alice saw Bob")["char_input_ids"]
        pairs = tokenizer([["Alice"], ["x"]], [["Bob"], ["in", "Quito"]], is_split_into_words=True)
        assert pairs["char_input_ids"][1] == tokenizer("x in Quito")["char_input_ids"]
        parts = tokenizer(["Alice saw Bob", "x"], truncation=True, max_length=2, return_overflowing_tokens=True)
        assert parts["char_input_ids"] == tokenizer(["Alice saw", "Bob", "x"])["char_input_ids"]

    def test_saved_and_copied(self, tokenizer, tmp_path):
        tokenizer.save_pretrained(tmp_path)
        for other in (
            AutoTokenizer.from_pretrained(tmp_path),
            pickle.loads(pickle.dumps(tokenizer)),
            copy.deepcopy(tokenizer),
        ):
            assert other.model_input_names == ["input_ids", "attention_mask", "char_input_ids"]
            assert other(TEXTS) == tokenizer(TEXTS)
        generic = PreTrainedTokenizerFast.from_pretrained(tmp_path)
        assert generic(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]

    def test_wrong_tables(self, tokenizer):
        with pytest.raises(ValueError, match="'a' twice"):
            BiLstmTokenizer(tokenizer.get_vocab(), granularity="word", characters="aba")


class TestFeatures:
    def test_distinct_words(self):
        words = torch.randint(0, 3, (200, 4))
        distinct, codes, index = distinct_words(words)
        assert torch.equal(distinct[index], words)
        assert len(distinct) == len(codes) == len({tuple(row) for row in words.tolist()})

    def test_words_of_one_hash_are_told_apart(self, monkeypatch):
        monkeypatch.setattr("hf_bilstm.models.character_features._multipliers", lambda count: [1] * count)
        words = torch.randint(0, 3, (50, 4))
        distinct, _, index = distinct_words(words)
        assert torch.equal(distinct[index], words)
        assert len(distinct) == len({tuple(row) for row in words.tolist()})

    def test_cnn_equals_a_convolution(self, tokenizer):
        features = make_model(tokenizer, char_kernel_sizes=[3]).bilstm.embeddings.characters
        conv = nn.Conv1d(5, 4, 3, padding=1)
        conv.weight.data = features.encoder.projections[0].weight.view(4, 3, 5).permute(0, 2, 1)
        conv.bias.data = features.encoder.projections[0].bias.data
        for row in ([2, 3, 4, 5, 0, 0], [2, 0, 0, 0, 0, 0], [2, 3, 4, 5, 6, 7]):
            word = torch.tensor(row)
            embedded = features.embeddings(word[word > 0])  # without padding
            expected = conv(embedded.T[None]).amax(dim=2).relu()[0]
            torch.testing.assert_close(features.encode(word[None])[0], expected)

    def test_bilstm_equals_one_over_each_word_alone(self, tokenizer):
        features = make_model(tokenizer, char_encoder="bilstm").bilstm.embeddings.characters
        layer = features.encoder.layer
        for row in ([2, 3, 4, 5, 0, 0], [2, 0, 0, 0, 0, 0]):
            embedded = features.embeddings(torch.tensor([[char for char in row if char]]))
            last = [
                rnn(values)[1][0][0, 0]
                for rnn, values in ((layer.forward_rnn, embedded), (layer.backward_rnn, embedded.flip(1)))
            ]
            torch.testing.assert_close(features.encode(torch.tensor([row]))[0], torch.cat(last))

    @ENCODERS
    @settings(deadline=None, max_examples=15)
    @given(
        st.lists(st.lists(st.text("abcABC.1", min_size=1, max_size=9), min_size=1, max_size=9), min_size=1, max_size=9)
    )
    def test_the_cache_changes_nothing(self, tokenizer, fields, batches):
        """Batches one after the other, with a cache of two places, against computing every word."""
        features = make_model(tokenizer, **fields).bilstm.embeddings.characters
        with pytest.MonkeyPatch.context() as patch, torch.no_grad():
            patch.setattr("hf_bilstm.models.word_cache._PLACE_BITS", 1)
            for words in [*batches, *batches]:
                ids = torch.from_numpy(tokenizer.character_table.look_up(words).astype(np.int64))
                torch.testing.assert_close(features(ids[None])[0], features.encode(ids))

    def test_the_cache_forgets_other_weights(self, tokenizer):
        model = make_model(tokenizer)
        features = model.bilstm.embeddings.characters
        ids = torch.tensor([[[2, 3, 4, 0, 0, 0], [3, 2, 0, 0, 0, 0]]])
        with torch.inference_mode():
            before = features(ids)
            assert torch.equal(features(ids), before)
        optimizer = torch.optim.SGD(features.parameters(), lr=0.5)
        features(ids).sum().backward()
        optimizer.step()
        for mode in (torch.no_grad, torch.inference_mode):
            with mode():
                after = features(ids)
                torch.testing.assert_close(after[0], features.encode(ids[0]))
                assert not torch.allclose(after, before)
                features.embeddings.weight.mul_(2) if mode is torch.no_grad else None
                torch.testing.assert_close(features(ids)[0], features.encode(ids[0]))
        reloaded = make_model(tokenizer, seed=1).bilstm.embeddings.characters
        features.load_state_dict(reloaded.state_dict())
        with torch.inference_mode():
            torch.testing.assert_close(features(ids), reloaded(ids))

    def test_dropout_of_characters_makes_them_unknown_in_training_only(self, tokenizer):
        features = make_model(tokenizer, char_dropout=0.9999).bilstm.embeddings.characters
        words, unknown = torch.tensor([[2, 3, 4, 0, 0, 0]]), torch.tensor([[1, 1, 1, 0, 0, 0]])
        with torch.no_grad():
            assert not torch.allclose(features.encode(words), features.encode(unknown))
            features.train()
            torch.testing.assert_close(features.encode(words), features.encode(unknown))

    def test_gradients_reach_the_characters(self, tokenizer):
        model = make_model(tokenizer).train()
        encoded = tokenizer(["Alice saw Bob", "x"], padding=True, return_tensors="pt")
        model(**encoded, labels=torch.zeros_like(encoded["input_ids"])).loss.backward()
        gradient = model.bilstm.embeddings.characters.embeddings.weight.grad
        assert gradient[0].eq(0).all()
        assert gradient[2:].ne(0).any()


class TestModel:
    @ENCODERS
    @pytest.mark.parametrize("side", ["right", "left"])
    def test_the_answer_does_not_depend_on_the_batch(self, tokenizer, fields, side):
        model = make_model(tokenizer, **fields)
        batch = tokenizer(TEXTS, padding=True, return_tensors="pt", padding_side=side)
        with torch.inference_mode():
            together = model(**batch).logits
            for row, text in enumerate(TEXTS):
                alone = model(**tokenizer(text, return_tensors="pt")).logits[0]
                real = batch["attention_mask"][row].bool()
                torch.testing.assert_close(together[row][real], alone, atol=1e-5, rtol=0)

    def test_case_matters_though_words_are_folded(self, tokenizer):
        model = make_model(tokenizer)
        lower, upper = (tokenizer(text, return_tensors="pt") for text in ("alice saw bob", "ALICE SAW BOB"))
        assert torch.equal(lower["input_ids"], upper["input_ids"])
        assert not torch.allclose(model(**lower).emissions, model(**upper).emissions)

    @ENCODERS
    def test_every_method_takes_characters(self, tokenizer, fields, tmp_path):
        model = make_model(tokenizer, **fields)
        model.save_pretrained(tmp_path)
        loaded = AutoModelForTokenClassification.from_pretrained(tmp_path)
        batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
        with torch.no_grad():
            best = model(**batch).logits.argmax(dim=2)
        for tagger in (model, loaded):
            posteriors = tagger.posteriors(**batch)
            paths, scores = tagger.n_best(n=2, **batch)
            likelihood = tagger.label_log_likelihood(labels=best, **batch)
            real = batch["attention_mask"].bool()
            assert torch.equal(paths[:, 0][real], best[real])
            torch.testing.assert_close(posteriors.sum(dim=2), real.float())
            torch.testing.assert_close(likelihood, scores[:, 0].to(likelihood.dtype), atol=1e-5, rtol=0)

    def test_copies_and_pickles(self, tokenizer):
        model = make_model(tokenizer)
        batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
        with torch.no_grad():
            expected = model(**batch).logits
            for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
                assert torch.equal(other(**batch).logits, expected)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda ids: None, "char_input_ids is missing.*trust_remote_code"),
            (lambda ids: ids[0], r"\(batch, tokens, characters\).*got \(3, 6\)"),
            (lambda ids: ids[:, :2], r"input_ids \(1, 3\), got \(1, 2, 6\)"),
            (lambda ids: ids + 500, "char_input_ids hold 5.*tokenizer saved"),
            (lambda ids: ids.float(), "char_input_ids must be integers"),
        ],
    )
    def test_wrong_characters_are_named(self, tokenizer, change, message):
        encoded = tokenizer("Alice saw Bob", return_tensors="pt")
        with pytest.raises(ValueError, match=message):
            make_model(tokenizer)(encoded["input_ids"], char_input_ids=change(encoded["char_input_ids"]))

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"char_embedding_size": 4}, "char_embedding_size=4 needs char_vocab_size, got 0.*char_width"),
            ({"char_kernel_sizes": []}, "char_kernel_sizes"),
            ({"char_kernel_sizes": [3, 0]}, r"char_kernel_sizes.*\[3, 0\]"),
            ({"char_dropout": 1.0}, "char_dropout must be at least 0 and below 1, got 1.0"),
            ({"char_hidden_size": 0}, "char_hidden_size must be at least 1, got 0"),
            ({"char_encoder": "lstm"}, "char_encoder"),
        ],
    )
    def test_wrong_settings_are_named(self, fields, message):
        with pytest.raises(Exception, match=message):
            BiLstmConfig(**fields)


class TestPipelines:
    @ENCODERS
    @pytest.mark.parametrize("batch_size", [1, 3])
    def test_the_stock_pipeline_and_ours_agree(self, tokenizer, fields, batch_size):
        model = make_model(tokenizer, **fields)
        stock = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="simple")
        ours = TaggingPipeline(model=model, tokenizer=tokenizer)
        expected = [ours(text) for text in TEXTS]
        for found in (ours(TEXTS, batch_size=batch_size), stock(TEXTS, batch_size=batch_size)):
            assert [[(e["entity_group"], e["start"], e["end"]) for e in text] for text in found] == [
                [(e["entity_group"], e["start"], e["end"]) for e in text] for text in expected
            ]
        assert any(expected)

    def test_given_words(self, tokenizer):
        model = make_model(tokenizer)
        ours = TaggingPipeline(model=model, tokenizer=tokenizer)
        found = ours(SENTENCES, is_split_into_words=True, scheme="iob2")
        encoded = tokenizer(SENTENCES, is_split_into_words=True, padding=True, return_tensors="pt")
        with torch.no_grad():
            best = model(**encoded).logits.argmax(dim=2)
        for row, words in enumerate(SENTENCES):
            assert [item["token"] for item in found[row]] == words
            assert [item["tag"] for item in found[row]] == [LABELS[i] for i in best[row][: len(words)]]

    def test_a_tokenizer_without_characters_is_refused(self, tokenizer, tmp_path):
        tokenizer.save_pretrained(tmp_path)
        generic = PreTrainedTokenizerFast.from_pretrained(tmp_path)
        with pytest.raises(ValueError, match=r"gives no characters.*import hf_bilstm"):
            TaggingPipeline(model=make_model(tokenizer), tokenizer=generic)("Alice")


def test_training_with_the_stock_trainer_and_collator(tokenizer, tmp_path):
    """A tag that only capitals tell, of words folded to lower case, is learned."""
    rows = [["alice", "Alice", "saw", "Saw"], ["Quito", "in", "quito"], ["In", "Zed", "zed"]] * 4
    tags = [["O", "B-X", "O", "B-X"], ["B-X", "O", "O"], ["B-X", "I-X", "O"]] * 4
    data = Dataset.from_dict({"tokens": rows, "tags": tags})
    model = make_model(tokenizer, char_hidden_size=16)
    encoded = encode_dataset(data, tokenizer, model.config.label2id)
    arguments = TrainingArguments(
        str(tmp_path), num_train_epochs=30, learning_rate=2e-2, per_device_train_batch_size=4, report_to="none",
        disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    collator = DataCollatorForTokenClassification(tokenizer)
    trainer = Trainer(model, arguments, collator, encoded, eval_dataset=encoded, processing_class=tokenizer)
    trainer.train()
    output = trainer.predict(encoded)
    found = np.where(output.label_ids == -100, -100, output.predictions.argmax(axis=-1))
    assert (found == output.label_ids).all()
    trainer.save_model(str(tmp_path / "saved"))
    tagger = pipeline("token-classification", model=str(tmp_path / "saved"), aggregation_strategy="simple")
    assert [(found["start"], found["end"]) for found in tagger("In Zed zed")] == [(0, 6)]


def test_remote_code(tokenizer, tmp_path):
    """Where the package cannot be imported, a saved folder answers as it does here."""
    folder = tmp_path / "saved"
    model = make_model(tokenizer, char_encoder="bilstm")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    script = (
        "import json, sys\n"
        "sys.modules['hf_bilstm'] = None\n"
        "from transformers import pipeline\n"
        "texts = json.loads(sys.argv[2])\n"
        "found = []\n"
        "for task in ('token-classification', None):\n"
        "    options = {} if task is None else {'aggregation_strategy': 'simple'}\n"
        "    tagger = pipeline(task, model=sys.argv[1], trust_remote_code=True, **options)\n"
        "    assert type(tagger.tokenizer).__module__.startswith('transformers_modules')\n"
        "    found.append([[(e['entity_group'], e['start'], e['end']) for e in text] for text in tagger(texts)])\n"
        "sys.stdout.write(json.dumps(found))\n"
    )
    run = subprocess.run(
        [warm_python(), "-c", script, str(folder), json.dumps(TEXTS)],
        env={**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    ours = TaggingPipeline(model=model, tokenizer=tokenizer)(TEXTS)
    expected = [[[e["entity_group"], e["start"], e["end"]] for e in text] for text in ours]
    assert json.loads(run.stdout) == [expected, expected]
