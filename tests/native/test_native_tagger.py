"""Whole taggers in NumPy against those of PyTorch that were saved: every feature of a checkpoint, every text."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_native import dictionary, in_numpy, make_tagger, make_tokenizer, make_word_tokenizer, random_texts
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

import hf_bilstm
from bilstm_native import NativeTagger
from hf_bilstm import BiLstmConfig, TaggingPipeline
from hf_bilstm.data import load_sample, read_columns

RELEASES = sorted(path.parent for path in Path(__file__).parents[1].glob("data/checkpoints/*/answers.json"))
FEATURES = {
    "bigrams": {"bigram_buckets": 7, "bigram_embedding_size": 3},
    "character types": {"character_type_embedding_size": 2},
    "lexicon": {"lexicon_embedding_size": 3, "lexicon_max_length": 3},
    "gru": {"rnn_type": "gru"},
    "layers": {"num_hidden_layers": 3},
    "softmax": {"use_crf": False},
    "no padding token": {"pad_token_id": None, "bigram_buckets": 5},
}
# What decides of training alone, or says what is known elsewhere.
NOT_FOR_INFERENCE = {
    *(
        "vocab_size",
        "embedding_size",
        "bigram_embedding_size",
        "hidden_size",
        "lexicon_size",
        "char_vocab_size",
        "char_hidden_size",
    ),  # the weights' shapes say
    *(
        "token_dropout",
        "embedding_dropout",
        "hidden_dropout",
        "dropout_type",
        "lexicon_dropout",
        "label_weights",
        "char_dropout",
        "softmax_samples",
    ),
    *("unk_token_id", "dictionary_profiles", "tagset", "tag_meanings", "tag_mappings"),
}
# Of a model of another kind.
REFUSED = {
    *("classifier_pooling", "classifier_dropout"),
}
USED = {
    *("bigram_buckets", "character_type_embedding_size", "lexicon_embedding_size", "lexicon_max_length"),
    *("num_hidden_layers", "rnn_type", "merge_mode", "use_crf", "tagging_scheme", "white_space_token_id"),
    *("dictionary_nodes", "pad_token_id", "char_embedding_size", "char_encoder", "char_kernel_sizes"),
}


def places(found):
    return [[(span["entity_group"], span["start"], span["end"], span["word"]) for span in spans] for spans in found]


def assert_same(native, model, tokenizer, texts, tolerance=1e-4):
    """The same spans and probabilities as TaggingPipeline, the same emissions as the model."""
    reference = TaggingPipeline(model=model, tokenizer=tokenizer, num_workers=1)
    found, expected = native(texts), reference(texts)
    assert places(found) == places(expected)
    scores = [[span["score"] for spans in side for span in spans] for side in (found, expected)]
    np.testing.assert_allclose(*scores, atol=tolerance)
    sentences = tokenizer(texts, add_special_tokens=False)["input_ids"]
    for sentence, ours in zip(sentences, native.emissions(sentences), strict=True):
        with torch.inference_mode():
            theirs = model(torch.tensor([sentence], dtype=torch.long)).emissions[0]
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("feature", FEATURES)
def test_every_feature(feature):
    model, tokenizer = make_tagger(**FEATURES[feature])
    assert_same(in_numpy(model, tokenizer), model, tokenizer, random_texts(0))


@pytest.mark.parametrize("scheme", ["none", "iob2", "bioes"])
@pytest.mark.parametrize("use_crf", [True, False])
def test_every_scheme(scheme, use_crf):
    model, tokenizer = make_tagger(scheme=scheme, use_crf=use_crf)
    assert_same(in_numpy(model, tokenizer), model, tokenizer, random_texts(1))


@given(
    st.integers(0, 2**31),
    st.sampled_from(["lstm", "gru"]),
    st.sampled_from(["concat", "sum", "mean", "mul"]),
    st.integers(1, 2),
    st.integers(1, 5),
)
@settings(deadline=None, max_examples=12)
def test_whole_models_of_random_shapes(seed, rnn_type, merge_mode, num_layers, hidden_size):
    every_feature = FEATURES["bigrams"] | FEATURES["character types"] | FEATURES["lexicon"]
    shape = {"rnn_type": rnn_type, "merge_mode": merge_mode, "num_hidden_layers": num_layers}
    model, tokenizer = make_tagger(seed=seed, hidden_size=hidden_size, **shape, **every_feature)
    texts = random_texts(seed)
    assert_same(in_numpy(model, tokenizer), model, tokenizer, texts)

    native = in_numpy(model.double(), tokenizer)  # the encoder in float64
    lengths = sorted({len(ids) for ids in tokenizer(texts)["input_ids"]}, reverse=True)
    ids = np.random.default_rng(seed).integers(0, len(tokenizer), size=sum(lengths))
    rows = torch.nn.utils.rnn.pad_sequence(torch.from_numpy(ids).split(lengths), batch_first=True)
    mask = torch.arange(rows.shape[1]) < torch.tensor(lengths)[:, None]
    with torch.inference_mode():
        expected = model.bilstm(rows, mask).last_hidden_state.numpy()
    got = native.encoder.forward(ids, np.array(lengths)).swapaxes(0, 1)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("scheme", ["none", "bioes"])
@pytest.mark.parametrize("force", [False, True])
def test_the_dictionary_of_a_model(scheme, force):
    words = dictionary()
    if scheme == "none":
        words = hf_bilstm.UserDictionary([("北", 5.0), ("大", 4.0, "VB"), ("a", 9.0, "NN")])
    words.entries = [entry for entry in words.entries if entry.weight > 0 or not force]
    words.force = force
    model, tokenizer = make_tagger(scheme=scheme, dictionary=words)
    texts = [*random_texts(2, 40), "北京大学a北京", "学北京大a大学"]
    assert_same(in_numpy(model, tokenizer), model, tokenizer, texts)


def test_words_of_a_segmentation_model():
    for white_space in ("token", "drop"):
        tokenizer = make_tokenizer(white_space=white_space)
        labels = dict(enumerate(["O", "B-WORD", "I-WORD"]))
        words = hf_bilstm.UserDictionary([("北京 大", 5.0), "学a"])
        for dictionary_of_model in (None, words):
            model, _ = make_tagger(tokenizer, dictionary_of_model, id2label=labels, label2id=None)
            native = in_numpy(model, tokenizer)
            texts = [*random_texts(3, 30), " 北京  大学a\u3000", "北\x1c京", "", " \n"]
            assert_same(native, model, tokenizer, texts)
            segmenter = TaggingPipeline(model=model, tokenizer=tokenizer, return_words=True, num_workers=1)
            assert native.words(texts) == segmenter(texts)
            assert native.words(texts[0]) == segmenter(texts[0])


def test_a_tagger_of_words():
    texts = ["New York's big, big apple. " * n for n in range(4)]
    tokenizer = hf_bilstm.BiLstmTokenizer.from_corpus(texts, granularity="word", fold=("lower",))
    model, _ = make_tagger(tokenizer, bigram_buckets=11)
    assert_same(in_numpy(model, tokenizer), model, tokenizer, texts)


@pytest.mark.parametrize("folder", RELEASES, ids=lambda folder: folder.name)
def test_checkpoints_of_releases(folder):
    native = NativeTagger.from_pretrained(folder)
    for expected in json.loads((folder / "answers.json").read_text(encoding="utf-8")):
        spans = [[span["entity_group"], span["start"], span["end"]] for span in native(expected["text"])]
        assert spans == [span[:3] for span in expected["spans"]]
        scores = [span["score"] for span in native(expected["text"])]
        assert scores == pytest.approx([span[3] for span in expected["spans"]], abs=1e-3)


def load(folder):
    return AutoModelForTokenClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def test_a_trained_tagger_on_every_sentence(trained):
    texts = ["".join(tokens) for split in ("validation", "test") for tokens in load_sample(split)["tokens"]]
    native = NativeTagger.from_pretrained(trained)
    assert any(native(texts))
    assert_same(native, *load(trained), texts)
    stock = pipeline("token-classification", model=str(trained), aggregation_strategy="simple")
    assert [[span[:3] for span in spans] for spans in places(native(texts[:40]))] == [
        [(span["entity_group"], span["start"], span["end"]) for span in spans] for spans in stock(texts[:40])
    ]


def test_a_trained_tagger_on_every_sentence_of_a_real_test_set(trained, shared_data):
    sentences = read_columns(shared_data / "resume_ner" / "test.char.bmes")
    texts = ["".join(tokens) for tokens in sentences["tokens"]]
    assert_same(NativeTagger.from_pretrained(trained), *load(trained), texts)


def test_an_answer_does_not_depend_on_the_batch():
    native = in_numpy(*make_tagger(bigram_buckets=5))
    texts = random_texts(4, 300, longest=60)
    alone = [native(text) for text in texts]
    assert places(native(texts)) == places(alone)
    assert places(native(texts[::-1])) == places(alone[::-1])


@pytest.mark.parametrize("encoder", [{"char_kernel_sizes": [2, 3]}, {"char_encoder": "bilstm"}], ids=["cnn", "bilstm"])
@pytest.mark.parametrize("width", [2, 5, 24])
def test_characters_of_words(encoder, width):
    tokenizer = make_word_tokenizer(width)
    sizes = {"char_embedding_size": 3, "char_hidden_size": 4, "char_vocab_size": tokenizer.char_vocab_size}
    model, tokenizer = make_tagger(tokenizer, **sizes, **encoder, lexicon_embedding_size=3)
    native = in_numpy(model, tokenizer)
    texts = ["", " ", *random_texts(7, 30, longest=40, characters="abcdAB?é 北.")]
    found, expected = native(texts), TaggingPipeline(model=model, tokenizer=tokenizer)(texts)
    assert places(found) == places(expected)
    assert sum(map(len, found)) > 15
    for text in texts:
        inputs = tokenizer(text, return_offsets_mapping=True, return_tensors="pt")
        words = [text[start:stop] for start, stop in inputs.pop("offset_mapping")[0].tolist()]
        (ours,) = native.emissions([inputs["input_ids"][0].tolist()], [words])
        with torch.inference_mode():
            np.testing.assert_allclose(ours, model(**inputs).emissions[0], rtol=1e-4, atol=1e-5)


def test_a_model_of_words_needs_their_texts_and_its_tokenizers_characters(tmp_path):
    tokenizer = make_word_tokenizer(5)
    sizes = {"char_embedding_size": 3, "char_hidden_size": 4, "char_vocab_size": tokenizer.char_vocab_size}
    model, tokenizer = make_tagger(tokenizer, **sizes)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="looks into words: give their texts"):
        NativeTagger.from_pretrained(tmp_path).emissions([[2]])
    file = tmp_path / "tokenizer_config.json"
    options = json.loads(file.read_text(encoding="utf-8"))
    del options["characters"]
    file.write_text(json.dumps(options), encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer_config.json lacks characters or char_width"):
        NativeTagger.from_pretrained(tmp_path)


def test_a_long_text_is_tagged_whole():
    native = in_numpy(*make_tagger())
    text = random_texts(5, 1, longest=20)[0] * 3000 + "北京"
    found = native(text)
    assert found[-1]["end"] > len(text) - 40
    assert all(text[span["start"] : span["end"]] == span["word"] and 0 <= span["score"] <= 1 for span in found)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_read(dtype, tmp_path):
    model, tokenizer = make_tagger()
    model.to(dtype).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    ids = tokenizer("北京大学abc")["input_ids"]
    with torch.inference_mode():
        expected = model.float()(torch.tensor([ids])).emissions[0]
    np.testing.assert_allclose(NativeTagger.from_pretrained(tmp_path).emissions([ids])[0], expected, atol=1e-5)


def test_every_field_of_the_configuration_is_known():
    """A new field must be read by the runtime, be of no concern to it, or make it refuse the checkpoint."""
    own = {field.name for field in dataclasses.fields(BiLstmConfig)}
    inherited = {field.name for field in dataclasses.fields(BiLstmConfig.__base__)}
    assert own - inherited - NOT_FOR_INFERENCE - REFUSED - {"model_type"} == USED - inherited


@pytest.fixture
def folder(tmp_path):
    model, tokenizer = make_tagger(bigram_buckets=5)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def change_config(folder, **values):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **values}), encoding="utf-8")


def test_weights_that_are_missing_or_not_known_are_named(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "bilstm.embeddings.characters.weight": torch.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"holds bilstm.embeddings.characters.weight, of a feature .* not know"):
        NativeTagger.from_pretrained(folder)
    del weights["classifier.bias"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"lacks classifier.bias, which its config.json promises"):
        NativeTagger.from_pretrained(folder)
    save_file({"classifier.bias": torch.zeros(2, dtype=torch.uint8)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"classifier.bias holds U8"):
        NativeTagger.from_pretrained(folder)


def test_models_of_other_kinds_are_refused(folder):
    change_config(folder, architectures=["BiLstmForSequenceClassification"])
    with pytest.raises(ValueError, match="BiLstmForSequenceClassification: it takes a BiLstmForTokenClassification"):
        NativeTagger.from_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["rnn_type"]
    config["architectures"] = ["BiLstmForTokenClassification"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ValueError, match="lacks rnn_type"):
        NativeTagger.from_pretrained(folder)
    change_config(folder, model_type="bert")
    with pytest.raises(ValueError, match="of a bert model"):
        NativeTagger.from_pretrained(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_files_that_are_damaged_or_missing_are_named(folder, name):
    file = folder / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(OSError, match=f"{name} is damaged"):
        NativeTagger.from_pretrained(folder)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=f"holds no {name}"):
        NativeTagger.from_pretrained(folder)


def test_wrong_calls_are_named(folder):
    native = NativeTagger.from_pretrained(folder)
    with pytest.raises(ValueError, match=r"texts\[1\] is 3"):
        native(["北", 3])
    with pytest.raises(ValueError, match="Token ids must be 0 to"):
        native.emissions([[1, 10_000]])
    with pytest.raises(ValueError, match="plain labels"):
        in_numpy(*make_tagger(scheme="none")).words("北")
    with pytest.raises(FileNotFoundError, match=r"There is no folder \./nowhere"):
        NativeTagger.from_pretrained("./nowhere")
    assert native([]) == []
    assert native("") == []
    shutil.rmtree(folder)
    assert native("北京") is not None  # nothing is read later
