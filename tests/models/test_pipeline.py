"""The tagging pipeline against the stock pipeline, and its scores against looking at every legal path."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_models import LABELS, enumerate_scores
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline
from warm_python import warm_python

from hf_bilstm import (
    BiLstmConfig,
    BiLstmForTokenClassification,
    BiLstmTokenizer,
    LinearChainCrf,
    TaggingPipeline,
    UserDictionary,
)
from hf_bilstm.data import load_sample
from hf_bilstm.models.partition import FORBIDDEN
from hf_bilstm.models.pipeline_options import TaggingOptions
from hf_bilstm.models.pipeline_processes import TaggerProcesses
from hf_bilstm.models.tagging_schemes import convert_tags, state_space, tags_to_spans
from hf_bilstm.models.tokenizer_backend import WHITE_SPACE

ROOT = Path(__file__).parents[2]
SEGMENTATION = ["O", "B-WORD", "I-WORD"]
BLANKS = ["", " ", " \t\r\n\u3000"]
# An emoji family of several code points, a combining accent, full-width letters, line ends, a run of white space.
ODD_TEXT = "去\U0001f468\u200d\U0001f469\u200d\U0001f467了e\u0301北\r\n京ＡＢ１ \u3000龘😀\u200b。"
texts_with_blanks = st.lists(
    st.sampled_from([*BLANKS, "a", "ab c", "decade", ODD_TEXT]) | st.text(max_size=12), max_size=9
)


def build(scheme="bioes", labels=None, seed=0, scale=1.0, granularity="char", white_space="drop", **options):
    """A pipeline around a tiny tagger of random weights; what it finds is arbitrary, but plenty."""
    tokenizer = BiLstmTokenizer.from_corpus(
        ["a b c d e 北 京 去 了 。"], granularity=granularity, white_space=white_space
    )
    labels = LABELS[scheme] if labels is None else labels
    config = BiLstmConfig(
        vocab_size=len(tokenizer),
        embedding_size=8,
        hidden_size=8,
        tagging_scheme=scheme,
        id2label=dict(enumerate(labels)),
        white_space_token_id=tokenizer.white_space_token_id,
    )
    torch.manual_seed(seed)
    model = BiLstmForTokenClassification(config)
    for parameter in [*model.classifier.parameters(), *model.crf.parameters()]:
        torch.nn.init.normal_(parameter, std=scale)
    return TaggingPipeline(model=model, tokenizer=tokenizer, device="cpu", **options)


def stock(tagger, **options):
    return pipeline(
        "token-classification", model=tagger.model.eval(), tokenizer=tagger.tokenizer, device="cpu", **options
    )


def places(spans):
    return [(span["entity_group"], span["start"], span["end"]) for span in spans]


def spans_of(labels, scheme):
    if scheme == "none":
        return [(label, position, position + 1) for position, label in enumerate(labels)]
    return [tuple(span) for span in tags_to_spans(labels, "iob2")]


def enumerate_taggings(tagger, text):
    """Spans and probability of every legal tagging of a text of at least one token without white space."""
    model = tagger.model.eval()
    with torch.inference_mode():
        emissions = model(**tagger.tokenizer(text, return_tensors="pt")).emissions[0]
        paths, scores = enumerate_scores(model.crf, emissions)
        probabilities = (scores - scores.logsumexp(dim=0)).exp().tolist()
    labels = [
        [model.config.labels[model.crf.space.state_to_label[state]] for state in path] for path in paths.tolist()
    ]
    found = [spans_of(path, model.config.tagging_scheme) for path in labels]
    return sorted(zip(probabilities, found, strict=True), key=lambda tagging: -tagging[0])


def span_probability(taggings, span):
    return sum(probability for probability, spans in taggings if span in spans)


@pytest.fixture(scope="module")
def tagger(trained):
    return pipeline("bilstm-tagging", model=str(trained))


@pytest.fixture(scope="module")
def sample():
    return ["".join(tokens) for tokens in load_sample("test")["tokens"]]


@pytest.mark.parametrize("scheme", LABELS)
@settings(max_examples=25, deadline=None)
@given(st.text("abcde", min_size=1, max_size=5), st.integers(0, 99), st.sampled_from([0.3, 1.0, 3.0]))
def test_scores_equal_enumeration(scheme, text, seed, scale):
    tagger = build(scheme, seed=seed, scale=scale)
    taggings = enumerate_taggings(tagger, text)
    found = tagger(text)
    outside = [span for span in taggings[0][1] if span[0] != "O"]
    assert places(found) == outside
    assert [span["score"] for span in found] == pytest.approx(
        [span_probability(taggings, place) for place in places(found)], rel=1e-9
    )
    ranked = tagger(text, n_best=7)
    assert len(ranked) == min(7, len(taggings))
    assert [tagging["score"] for tagging in ranked] == pytest.approx([p for p, _ in taggings[:7]], rel=1e-9, abs=1e-12)
    for tagging in ranked:
        assert [span["score"] for span in tagging["spans"]] == pytest.approx(
            [span_probability(taggings, place) for place in places(tagging["spans"])], rel=1e-9, abs=1e-12
        )


@pytest.mark.parametrize("scheme", LABELS)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_the_likelihood_of_every_span_of_every_path(scheme, scale):
    # Rows of several lengths, one token where a state is forbidden, and gaps at which probabilities underflow.
    torch.manual_seed(0)
    crf = LinearChainCrf(state_space(LABELS[scheme], scheme))
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    lengths = [4, 1, 3, 0]
    emissions = torch.randn(len(lengths), 4, len(crf.space.states), dtype=torch.float64) * scale
    emissions[0, 2, 1] = FORBIDDEN
    by_row = [enumerate_scores(crf, emissions[row, :length]) for row, length in enumerate(lengths) if length]
    count = max(len(paths) for paths, _ in by_row)
    paths = torch.zeros(len(lengths), count, 4, dtype=torch.long)
    spans, expected = [], []
    for row, (row_paths, scores) in enumerate(by_row):
        paths[row, : len(row_paths), : row_paths.shape[1]] = row_paths
        labels = [[LABELS[scheme][crf.space.state_to_label[state]] for state in path] for path in row_paths.tolist()]
        of_path = [spans_of(path, scheme) for path in labels]
        total = scores.logsumexp(dim=0)
        for rank, found in enumerate(of_path):
            for span in found:
                agrees = torch.tensor([span in other for other in of_path])
                spans.append((row, rank, *span[1:]))
                expected.append(torch.logsumexp(scores[agrees], dim=0) - total)
    got = crf.span_log_likelihood(emissions, torch.tensor(lengths), paths.numpy(), np.array(spans))
    assert (got <= 0).all()
    np.testing.assert_allclose(np.exp(got), torch.stack(expected).detach().exp(), rtol=1e-9, atol=1e-12)
    none = np.zeros((0, 4), dtype=np.int64)
    assert len(crf.span_log_likelihood(emissions, torch.tensor(lengths), paths.numpy(), none)) == 0


def test_a_span_neither_begins_earlier_nor_goes_on():
    # Two taggings alike but for the second token: B I and B O. Each span's score is its own tagging's.
    crf = LinearChainCrf(state_space(["O", "B-X", "I-X"], "iob2"), learned=False)
    emissions = torch.tensor([[[0.0, 50.0, 0.0], [1.0, -50.0, 0.0]]])
    paths, spans = np.array([[[1, 0], [1, 2]]]), np.array([[0, 0, 0, 1], [0, 1, 0, 2]])
    got = crf.span_log_likelihood(emissions, torch.tensor([2]), paths, spans)
    assert np.exp(got).tolist() == pytest.approx(torch.tensor([1.0, 0.0]).softmax(dim=0).tolist(), rel=1e-6)


def test_spans_are_those_of_the_stock_pipeline(trained, tagger, sample):
    reference = pipeline("token-classification", model=str(trained), aggregation_strategy="simple")
    expected = [[(e["entity_group"], e["start"], e["end"], e["word"]) for e in found] for found in reference(sample)]
    assert sum(map(len, expected)) > 30
    for batch_size in (1, 3, None):
        found = tagger(sample, batch_size=batch_size)
        assert [[(*places([span])[0], span["word"]) for span in spans] for spans in found] == expected
    assert all(type(span["score"]) is float and 0 < span["score"] <= 1 for spans in found for span in spans)
    json.dumps(found)
    assert places(tagger(sample[0])) == places(found[0])
    made = TaggingPipeline(
        model=AutoModelForTokenClassification.from_pretrained(trained),
        tokenizer=AutoTokenizer.from_pretrained(trained),
    )
    named = pipeline("token-classification", model=str(trained), pipeline_class=TaggingPipeline)
    assert made(sample[0]) == named(sample[0], aggregation_strategy="simple") == tagger(sample[0])


@settings(max_examples=40, deadline=None)
@given(texts_with_blanks, st.integers(1, 4), st.integers(0, 4), st.permutations(["O", "B-X", "I-X"]))
def test_any_text_at_any_place_of_any_batch(texts, batch_size, seed, labels):
    tagger = build(labels=labels, seed=seed)
    reference = stock(tagger, aggregation_strategy="simple")
    found = tagger(texts, batch_size=batch_size)
    assert len(found) == len(texts)
    for text, spans in zip(texts, found, strict=True):
        assert places(spans) == places(reference(text))
        assert [span["word"] for span in spans] == [text[span["start"] : span["end"]] for span in spans]
        alone = tagger(text)
        assert places(spans) == places(alone)
        assert [span["score"] for span in spans] == pytest.approx([span["score"] for span in alone], abs=1e-5)
        assert not spans or text.strip(WHITE_SPACE)


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_blank_texts_give_empty_results(blank, place):
    tagger = build()
    texts = ["abc", "de"]
    texts.insert(place, blank)
    for options in ({}, {"scheme": "bmes"}, {"return_words": True}, {"threshold": 0.1}):
        assert tagger(texts, **options)[place] == tagger(blank, **options) == []
        assert tagger([blank, blank], **options) == [[], []]
    # A text without tokens has one tagging, the empty one.
    assert tagger(texts, n_best=2)[place] == [{"score": 1.0, "spans": []}]
    assert tagger([]) == []


def test_generators_are_read_as_needed_and_keep_the_order(tagger, sample):
    read = 0

    def endless():
        nonlocal read
        for text in itertools.cycle(sample):
            read += 1
            yield text

    found = tagger(endless(), batch_size=2)
    assert isinstance(found, types.GeneratorType)
    assert read == 0
    first = list(itertools.islice(found, 150))
    assert read < 250
    texts = list(itertools.islice(itertools.cycle(sample), 150))
    assert [places(spans) for spans in first] == [places(spans) for spans in tagger(texts)]
    assert [places(spans) for spans in tagger(load_texts(sample))] == [places(spans) for spans in tagger(sample)]


def load_texts(texts):
    """A column of a data set, which is no list."""
    from datasets import Dataset

    return Dataset.from_dict({"text": texts})["text"]


def test_processes_give_what_one_process_does(tagger, sample):
    texts = [*sample, "", " "]
    assert tagger(texts, num_processes=2) == rounded(tagger(texts))
    tags = tagger(itertools.cycle(texts), num_processes=2, batch_size=2, scheme="bmes")
    assert list(itertools.islice(tags, 150)) == [tagger(text, scheme="bmes") for text in [*texts, *texts][:150]]
    with pytest.raises(ValueError, match=r"inputs\[1\] is 5"):
        tagger(["abc", 5], num_processes=2)
    # A dictionary takes new processes.
    texts.append("他去年来过。")
    options = {"dictionary": UserDictionary([("去年", 1.0, "LOC")], force=True), "n_best": 2}
    forced = tagger(texts, num_processes=2, **options)
    assert ("LOC", 1, 3) in places(forced[-1][0]["spans"])
    assert forced == rounded(tagger(texts, **options))
    # So do weights that change, and a process that dies.
    bias = tagger.model.classifier.bias
    with torch.no_grad():
        bias += torch.linspace(0, 5, len(bias))
        changed = tagger(texts)
        assert tagger(texts, num_processes=2) == rounded(changed)
        bias -= torch.linspace(0, 5, len(bias))
    assert changed != tagger(texts)
    processes = TaggerProcesses(tagger, 2, None)
    assert list(processes.tag([["天"]], TaggingOptions())) == [tagger(["天"])]
    assert processes.matches(tagger, 2, None)
    os.kill(next(iter(processes._pool._processes)), signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"num_processes: a process did not start, or was killed"):
        list(processes.tag([["天"]] * 9, TaggingOptions()))
    assert not processes.matches(tagger, 2, None)
    tagger._processes.close()


def test_processes_are_for_the_model_as_it_was():
    tagger = build(scheme="bioes")
    processes = TaggerProcesses(tagger, 2, None)
    assert processes.matches(tagger, 2, None)
    assert not processes.matches(tagger, 3, None)
    tagger.model.set_dictionary(UserDictionary(["ab"]), tagger.tokenizer)
    assert not processes.matches(tagger, 2, None)


def rounded(found):
    """The same, where scores need only be about equal: sums may be taken in another order."""
    if isinstance(found, list):
        return [rounded(item) for item in found]
    if isinstance(found, dict):
        return {name: rounded(value) for name, value in found.items()}
    return pytest.approx(found, abs=1e-6) if isinstance(found, float) else found


def test_processes_of_a_script_that_starts_them_unguarded(tmp_path, trained):
    script = tmp_path / "script.py"
    script.write_text(
        "from transformers import pipeline\nimport hf_bilstm\n"
        f"print(pipeline('bilstm-tagging', model={str(trained)!r}, num_processes=2)(['ab']))\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "RuntimeError: num_processes: a process did not start" in done.stderr
    assert "`if __name__ == '__main__':`" in done.stderr


def test_threshold_drops_the_spans_below_it(tagger, sample):
    everything = tagger(sample)
    scores = sorted(span["score"] for spans in everything for span in spans)
    threshold = sum(scores[len(scores) // 2 :][:2]) / 2
    expected = [[span for span in spans if span["score"] >= threshold] for spans in everything]
    assert tagger(sample, threshold=threshold) == expected
    assert 0 < sum(map(len, expected)) < len(scores)
    # Tags are of the spans that are left.
    tags = [[item["tag"] for item in found] for found in tagger(sample, scheme="iob2", threshold=threshold)]
    assert sum(tag.startswith("B-") for found in tags for tag in found) == sum(map(len, expected))


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bioes", "bmes", "bilou"])
def test_tags_say_the_same_spans(scheme):
    tagger = build("bioes", seed=3)
    text = "abc 北京 dea" + ODD_TEXT
    found = tagger(text, scheme=scheme)
    assert [(item["token"], item["start"], item["end"]) for item in found] == [
        (text[start:end], start, end)
        for start, end in tagger.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    ]
    labels = [item["entity"] for item in stock(tagger, ignore_labels=[])(text)]
    assert [item["tag"] for item in found] == convert_tags(labels, "iob2", scheme)
    assert len(tagger(text)) > 3


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30) | st.text("ab北 \t\r\n\u3000\x1c", max_size=20), st.sampled_from(["drop", "token"]))
def test_words_cover_the_text(text, white_space):
    tagger = build(labels=SEGMENTATION, white_space=white_space)
    words = tagger(text, return_words=True)
    assert all(words)
    assert "".join(words) == re.sub(f"[{WHITE_SPACE}]", "", text)
    assert not any(re.search(f"[{WHITE_SPACE}]", word) for word in words)
    inside = [span["word"] for span in tagger(text)]
    if white_space == "token":  # no span crosses white space, and nothing but white space is outside
        assert words == inside
    else:
        pieces = [piece for word in inside for piece in re.split(f"[{WHITE_SPACE}]+", word)]
        assert [word for word in words if len(word) > 1] == [piece for piece in pieces if len(piece) > 1]


@pytest.mark.parametrize("granularity", ["char", "word"])
def test_given_tokens(granularity):
    tagger = build(labels=["O", "B-X", "I-X"], granularity=granularity)
    reference = stock(tagger, aggregation_strategy="simple")
    batch = [["a", "b c", "北京", "😀", "d"], [], ["e\u0301"], ["去", "了"]]
    expected = [places(reference([tokens], is_split_into_words=True)[0]) if tokens else [] for tokens in batch]
    assert sum(map(len, expected)) > 2
    found = tagger(batch, is_split_into_words=True, batch_size=2)
    assert [places(spans) for spans in found] == expected
    assert places(tagger(batch[0], is_split_into_words=True)) == expected[0]
    assert list(tagger((tokens for tokens in batch), is_split_into_words=True)) == tagger(
        batch, is_split_into_words=True
    )
    for delimiter in ("", "、。"):
        tags = tagger(batch[0], is_split_into_words=True, delimiter=delimiter, scheme="iob2")
        joined = delimiter.join(batch[0])
        pieces = batch[0] if granularity == "word" else list("abc北京😀d")
        assert [item["token"] for item in tags] == pieces
        assert [joined[item["start"] : item["end"]] for item in tags] == pieces
    # Without the option a list of strings is several texts, white space in them or not.
    assert [places(spans) for spans in tagger(["a", "b c"])] == [places(tagger("a")), places(tagger("b c"))]


def test_plain_labels_give_an_item_a_token():
    tagger = build("none", labels=["NN", "O", "B-X"], granularity="word")
    labels = [item["entity"] for item in stock(tagger, ignore_labels=[])("a b c d e b a")]
    assert {"NN", "O", "B-X"} == set(labels)
    found = tagger("a b c d e b a")
    assert places(found) == [(label, 2 * i, 2 * i + 1) for i, label in enumerate(labels) if label != "O"]
    encoded = tagger.tokenizer("a b c d e b a", return_tensors="pt")
    posteriors = tagger.model.posteriors(**encoded)[0]
    for span in found:
        expected = posteriors[span["start"] // 2, tagger.model.config.label2id[span["entity_group"]]]
        assert span["score"] == pytest.approx(expected.item(), rel=1e-5)
    for option in ({"scheme": "bmes"}, {"return_words": True}):
        with pytest.raises(ValueError, match="plain labels"):
            tagger("a b", **option)


def test_a_text_of_200000_characters():
    tagger = build("iob2", labels=["O", "B-X", "I-X"], seed=7)
    period = "abc北京de去了。"
    found = tagger(period * 20_000)
    assert found[-1]["end"] > 199_980
    # Far from both ends every period reads alike, so the scores there are those of a shorter text.
    middle = tagger(period * 20)
    short = [(s["start"] - 100, s["score"]) for s in middle if 100 <= s["start"] < 110]
    long = [(s["start"] - 100_000, s["score"]) for s in found if 100_000 <= s["start"] < 100_010]
    assert short
    assert [start for start, _ in long] == [start for start, _ in short]
    assert [score for _, score in long] == pytest.approx([score for _, score in short], abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "threshold=1.5.*0 to 1"),
        ({"threshold": True}, "threshold=True"),
        ({"n_best": 0}, "n_best=0.*from 1 on"),
        ({"n_best": 2.0}, "n_best=2.0"),
        ({"scheme": "bme"}, "scheme='bme'.*'bmes'"),
        ({"return_words": "yes"}, "return_words='yes'"),
        ({"is_split_into_words": 1}, "is_split_into_words=1"),
        ({"delimiter": None}, "delimiter=None"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"num_processes": 0}, "num_processes=0.*from 1 on"),
        ({"stride": 3}, "stride=3.*options of TaggingPipeline are threshold"),
        ({"aggregation_strategy": "max"}, "aggregation_strategy='max'.*Leave it out"),
        ({"n_best": 2, "scheme": "bmes"}, "n_best and scheme"),
        ({"n_best": 2, "threshold": 0.5}, "threshold drops spans.*n_best"),
    ],
)
def test_wrong_options(options, message):
    tagger = build()
    with pytest.raises(ValueError, match=message):
        tagger("abc", **options)
    with pytest.raises(ValueError, match=message):  # before anything is read
        tagger((text for text in ["abc"]), **options)
    if len(options) == 1 and not options.keys() & {"batch_size", "num_processes"}:
        with pytest.raises(ValueError, match=message):
            TaggingPipeline(model=tagger.model, tokenizer=tagger.tokenizer, **options)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (5, {}, "inputs is a int"),
        ({"text": "abc"}, {}, "inputs is a dict"),
        (["abc", 5], {}, r"inputs\[1\] is 5"),
        ([["a"], ["b"]], {}, r"inputs\[0\] is \['a'\].*is_split_into_words=True"),
        ("abc", {"is_split_into_words": True}, r"inputs\[0\] is 'abc'.*lists of strings"),
        ([["a"], "b"], {"is_split_into_words": True}, r"inputs\[1\] is 'b'"),
    ],
)
def test_wrong_inputs(inputs, options, message):
    with pytest.raises(ValueError, match=message):
        build()(inputs, **options)


def test_options_of_the_pipeline_are_defaults_of_a_call():
    tagger = build(scheme="bioes", n_best=2)
    assert len(tagger("abc")) == 2
    assert tagger("abc", n_best=None) == build()("abc")


def test_a_model_in_training_is_read_in_evaluation_and_left_as_it_was():
    tagger = build()
    expected = tagger("abcde")
    tagger.model.train()
    assert tagger("abcde") == expected
    assert tagger.model.training


def test_other_models_are_refused():
    from transformers import BertConfig, BertForTokenClassification

    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9)
    with pytest.raises(ValueError, match=r"BertForTokenClassification.*takes a BiLstmForTokenClassification"):
        TaggingPipeline(model=BertForTokenClassification(config), tokenizer=build().tokenizer)


# Where hf_bilstm cannot be imported: loads a saved pipeline, saves it again, loads that, and prints what each finds.
STRANGER = """
import json, sys
sys.modules["hf_bilstm"] = None
from transformers import pipeline
folder, again = sys.argv[1:]
texts = json.load(sys.stdin)
found = []
for name in (folder, again):
    tagger = pipeline(model=name, trust_remote_code=True)
    assert type(tagger).__name__ == "TaggingPipeline"
    assert type(tagger).__module__.startswith("transformers_modules"), type(tagger)
    found.append(tagger(texts))
    tagger.save_pretrained(again)
assert tagger(texts, num_processes=2) == found[-1]
print(json.dumps(found))
"""


def test_travels_with_a_checkpoint(tmp_path, tagger, sample):
    tagger.save_pretrained(tmp_path / "saved")
    done = subprocess.run(
        [warm_python(), "-c", STRANGER, str(tmp_path / "saved"), str(tmp_path / "again")],
        input=json.dumps(sample[:20]),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout.strip().splitlines()[-1])
    assert first == second
    assert [places(spans) for spans in first] == [places(spans) for spans in tagger(sample[:20])]
    # Where the package is, its own class reads the folder without running the folder's code.
    read = pipeline("bilstm-tagging", model=str(tmp_path / "saved"))
    assert type(read) is TaggingPipeline
    assert read(sample[:20]) == tagger(sample[:20])
