"""handler.py of a trained folder, served over HTTP where hf_bilstm is installed and where it is not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline
from warm_python import warm_python

from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification, BiLstmTokenizer, TaggingPipeline
from hf_bilstm.data import label_list, load_sample
from hf_bilstm.deploy.handler import EndpointHandler

SERVER = Path(__file__).with_name("serve_handler.py")
CLIENT = """
import json, sys
from huggingface_hub import InferenceClient
client = InferenceClient(model=sys.argv[1])
texts = json.load(sys.stdin)
found = [client.token_classification(text, aggregation_strategy="simple") for text in texts]
print(json.dumps([[[e.entity_group, e.score, e.word, e.start, e.end] for e in items] for items in found]))
tokens = client.token_classification(texts[0], aggregation_strategy="none")
print(json.dumps([[e.entity, e.word, e.start, e.end] for e in tokens]))
"""


class Endpoint(NamedTuple):
    url: str
    pipeline: str

    def ask(self, data) -> tuple[int, object]:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        try:
            with urlopen(Request(self.url, body, {"Content-Type": "application/json"})) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, json.load(error)

    def tag(self, inputs, **parameters):
        status, answer = self.ask({"inputs": inputs, "parameters": parameters})
        assert status == 200, answer
        return answer


def serve(folder: Path, *options: str):
    environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", "") if options else ""}
    command = [warm_python(), str(SERVER), str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder.parent) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("http://"), "the server did not start"
            yield Endpoint(*line.split())
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def stranger(trained):
    """Where hf_bilstm is not installed."""
    yield from serve(trained)


@pytest.fixture(scope="module")
def installed(trained):
    yield from serve(trained, "installed")


@pytest.fixture(params=["stranger", "installed"])
def endpoint(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def tagger(trained):
    model = AutoModelForTokenClassification.from_pretrained(trained)
    return TaggingPipeline(model=model, tokenizer=AutoTokenizer.from_pretrained(trained))


@pytest.fixture(scope="module")
def texts():
    return ["".join(tokens) for tokens in load_sample("test")["tokens"][:20]]


def rounded(value):
    """Scores to 4 places, for batches differ in the last ones."""
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: round(item, 4) if key == "score" else rounded(item) for key, item in value.items()}
    return value


def test_the_code_is_the_folders_where_the_package_is_absent(stranger, installed):
    assert stranger.pipeline.startswith("transformers_modules.")
    assert installed.pipeline == "hf_bilstm.models.pipeline_bilstm"


def test_what_it_requires_is_what_the_package_does(trained):
    (line,) = (trained / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert f'    "{line}",\n' in (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")


def test_a_text_and_a_batch_are_answered_as_tagging_pipeline_does(endpoint, tagger, texts):
    expected = rounded(tagger(texts))
    assert set(next(filter(None, expected))[0]) == {"entity_group", "score", "word", "start", "end"}
    assert rounded(endpoint.tag(texts)) == expected
    assert [rounded(endpoint.tag(text)) for text in texts[:5]] == expected[:5]
    assert rounded(endpoint.ask({"inputs": texts[0]})) == rounded((200, expected[0]))


@pytest.mark.parametrize("inputs", ["", "  \n", [], [""], ["", "他去了北京。", ""]])
@pytest.mark.parametrize("strategy", ["simple", "none"])
def test_empty_inputs_have_empty_answers(stranger, tagger, inputs, strategy):
    found = stranger.tag(inputs, aggregation_strategy=strategy)
    assert isinstance(found, list)
    assert len(found) == (len(inputs) if isinstance(inputs, list) else 0)
    assert [bool(spans) for spans in found] == [bool(text.strip()) and bool(tagger(text)) for text in inputs][
        : len(found)
    ]


@pytest.mark.parametrize(
    "parameters",
    [
        {"threshold": 0.5},
        {"n_best": 3},
        {"scheme": "bmes"},
        {"return_words": True},
        {"batch_size": 2, "threshold": None},
    ],
    ids=str,
)
def test_options_are_those_of_tagging_pipeline(stranger, tagger, texts, parameters):
    assert rounded(stranger.tag(texts, **parameters)) == rounded(tagger(texts, **parameters))


def test_given_tokens(stranger, tagger):
    tokens = ["昨", "天", "在", "广", "州"]
    options = {"is_split_into_words": True, "delimiter": ""}
    assert rounded(stranger.tag(tokens, **options)) == rounded(tagger(tokens, **options))
    assert rounded(stranger.tag([tokens] * 2, **options)) == rounded(tagger([tokens] * 2, **options))


@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max", None])
def test_strategies_of_spans_give_the_same_spans(stranger, tagger, texts, strategy):
    assert rounded(stranger.tag(texts, aggregation_strategy=strategy)) == rounded(tagger(texts))


def test_strategy_none_is_the_stock_answer_for_every_token(stranger, trained, texts):
    stock = pipeline("token-classification", model=str(trained))
    expected = [[{**item, "score": float(item["score"])} for item in stock(text)] for text in texts]
    assert rounded(stranger.tag(texts, aggregation_strategy="none")) == rounded(expected)
    everything = stranger.tag(texts[0], aggregation_strategy="none", ignore_labels=[])
    assert [item["word"] for item in everything] == list(texts[0])


def test_ignored_labels_are_left_out(stranger, tagger, texts):
    labels = {span["entity_group"] for spans in tagger(texts) for span in spans}
    assert len(labels) > 1
    one = min(labels)
    kept = [[span for span in spans if span["entity_group"] != one] for spans in tagger(texts)]
    assert rounded(stranger.tag(texts, ignore_labels=["O", one])) == rounded(kept)
    assert rounded(stranger.tag(texts[0], ignore_labels=["O", one])) == rounded(kept[0])
    assert stranger.tag(texts[0], ignore_labels=["O"], scheme="iob2")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "A request is {'inputs': text or list of texts"),
        ({}, "A request is {'inputs': text or list of texts"),
        ({"text": "x"}, "A request is"),
        ({"inputs": None}, "inputs must be a text or a list of texts; got None"),
        ({"inputs": 3}, "inputs must be a text or a list of texts; got 3"),
        ({"inputs": {"a": 1}}, "inputs must be a text or a list of texts"),
        ({"inputs": ["a", 3]}, r"inputs[1] is 3: it takes a string"),
        (
            {"inputs": ["a", None], "parameters": {"aggregation_strategy": "none"}},
            "inputs[1] is None: it takes a text",
        ),
        ({"inputs": [["a"]]}, "is_split_into_words=True"),
        ({"inputs": "a", "parameters": {"is_split_into_words": True}}, "is_split_into_words takes a list of tokens"),
        ({"inputs": "a", "parameters": [1]}, "parameters must be a dictionary; got [1]"),
        ({"inputs": "a", "parametres": {}}, "Unknown key 'parametres'"),
        (
            {"inputs": "a", "parameters": {"treshold": 1}},
            "Unknown parameter 'treshold': there are aggregation_strategy",
        ),
        ({"inputs": "a", "parameters": {"stride": 5}}, "Unknown parameter 'stride'"),
        ({"inputs": "a", "parameters": {"threshold": 2}}, "threshold=2: it takes None or a probability, 0 to 1"),
        ({"inputs": "a", "parameters": {"threshold": "0.5"}}, "threshold='0.5': it takes"),
        ({"inputs": "a", "parameters": {"scheme": "bio"}}, "scheme='bio': it takes None or one of"),
        ({"inputs": "a", "parameters": {"scheme": ["iob2"]}}, "scheme=['iob2']: it takes"),
        ({"inputs": "a", "parameters": {"n_best": 0}}, "n_best=0: it takes"),
        ({"inputs": "a", "parameters": {"n_best": 10**9}}, "n_best must be at most 100; got 1000000000"),
        ({"inputs": "a", "parameters": {"n_best": 2, "threshold": 0.5}}, "threshold drops spans"),
        ({"inputs": "a", "parameters": {"batch_size": 0}}, "batch_size=0: it takes"),
        (
            {"inputs": "a", "parameters": {"aggregation_strategy": "best"}},
            "must be one of simple, first, average, max",
        ),
        ({"inputs": "a", "parameters": {"aggregation_strategy": ["none"]}}, "aggregation_strategy must be one of"),
        ({"inputs": "a", "parameters": {"aggregation_strategy": "none", "scheme": "bmes"}}, "takes no scheme"),
        ({"inputs": "a", "parameters": {"ignore_labels": "LOC"}}, "ignore_labels must be a list of labels; got 'LOC'"),
        ({"inputs": "a", "parameters": {"ignore_labels": ["LOC"], "n_best": 2}}, "n_best needs all of them"),
        (rb'{"inputs": "a\ud83d"}', "half of a surrogate pair"),
        (rb'{"inputs": [["\udc00"]], "parameters": {"is_split_into_words": true}}', "half of a surrogate pair"),
        (b'{"inputs": ', "Expecting value"),
    ],
    ids=str,
)
def test_a_bad_request_is_answered_with_what_is_wrong(stranger, data, message):
    status, answer = stranger.ask(data)
    assert status == 400, answer
    assert message in answer["error"]
    assert len(answer["error"]) < 600
    assert stranger.ask({"inputs": "他去了北京。"})[0] == 200


def test_a_tagger_of_words_and_plain_labels(tmp_path):
    data = load_sample("test", "pos")
    tokenizer = BiLstmTokenizer.from_corpus(data["tokens"], granularity="word")
    config = BiLstmConfig(vocab_size=len(tokenizer), hidden_size=8, id2label=dict(enumerate(label_list([data]))))
    model = BiLstmForTokenClassification(config)
    TaggingPipeline(model=model, tokenizer=tokenizer).save_pretrained(tmp_path)
    endpoint = EndpointHandler(str(tmp_path))
    words = ["我们", "去年", "去", "过", "a|b-c"]
    found = endpoint({"inputs": words, "parameters": {"is_split_into_words": True}})
    assert [item["word"] for item in found] == words
    assert {item["entity_group"] for item in found} <= set(config.labels)
    tokens = endpoint({"inputs": "我们 去年 去", "parameters": {"aggregation_strategy": "none"}})
    assert [item["word"] for item in tokens] == words[:3]
    assert [item["entity"] for item in tokens] == [
        item["entity_group"] for item in endpoint({"inputs": "我们 去年 去"})
    ]
    with pytest.raises(ValueError, match="return_words needs a tagger of spans"):
        endpoint({"inputs": "我们", "parameters": {"return_words": True}})


def test_the_client_of_the_hub_understands_the_answers(stranger, trained, tagger, texts):
    done = subprocess.run(
        [warm_python(), "-c", CLIENT, stranger.url],
        input=json.dumps(texts[:5]),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "0"},
    )
    assert done.returncode == 0, done.stderr
    spans, tokens = map(json.loads, done.stdout.splitlines())
    expected = [[[*span.values()] for span in found] for found in tagger(texts[:5])]
    assert [[[a, round(b, 4), c, d, e] for a, b, c, d, e in found] for found in spans] == [
        [[a, round(b, 4), c, d, e] for a, b, c, d, e in found] for found in expected
    ]
    stock = pipeline("token-classification", model=str(trained))(texts[0])
    assert tokens == [[item["entity"], item["word"], item["start"], item["end"]] for item in stock]
