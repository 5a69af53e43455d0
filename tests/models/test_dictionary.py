"""User dictionaries: scores of paths by enumeration, forced words, and what users of other tools found missing."""

import itertools

import pytest
import torch
from helpers_models import legal_paths
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification, BiLstmTokenizer, TaggingPipeline, UserDictionary
from hf_bilstm.models.dictionary import DEFAULT_WEIGHT, DictionaryEntry, bind_dictionary
from hf_bilstm.models.tagging_schemes import state_space, tags_to_spans

LABELS = ["O", "B-X", "I-X", "B-Y", "B-Z", "I-Z"]  # nothing can go on a Y
TYPES = {"X", "Y", "Z"}
SPACE = state_space(LABELS, "bioes")
TOKENIZER = BiLstmTokenizer.from_corpus(["abc"])
CONFIG = BiLstmConfig(vocab_size=len(TOKENIZER), tagging_scheme="bioes", id2label=dict(enumerate(LABELS)))


def spans_of(path):
    return tags_to_spans([SPACE.states[state] for state in path], "bioes")


def gain(span, start, size, weight):
    """What a word of some place and weight adds to a span of its type, as documented."""
    _, first, end = span
    if (first, end) == (start, start + size):
        return weight
    if min(end, start + size) - max(first, start) < 2:
        return 0.0
    return sum(weight / 2 if shared else -weight / 2 for shared in (first == start, end == start + size))


def find(text, words):
    """All places of words, (start, size, word)."""
    starts = range(len(text))
    return [(start, len(word), word) for start in starts for word in words if text.startswith(word, start)]


def apply(dictionary, texts, emissions=None):
    """Emissions with a dictionary, 0 before it unless given, for texts over a, b, c."""
    width = max(map(len, texts)) + 1
    ids = torch.tensor([TOKENIZER(text.ljust(width, "a"))["input_ids"] for text in texts])
    if emissions is None:
        emissions = torch.zeros(*ids.shape, len(SPACE.states))
    scores = bind_dictionary(dictionary, TOKENIZER, SPACE, CONFIG).scores
    return scores(emissions, ids, torch.tensor([len(text) for text in texts]))


words = st.text("abc", min_size=1, max_size=4)
weights = st.sampled_from([-3.0, -1.0, 2.0, 5.0])
tags = st.sampled_from([None, "X", "Z"])
entries = st.lists(st.tuples(words, weights, tags), max_size=6)
texts = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3)


@settings(deadline=None, max_examples=150)
@given(entries=entries, texts=texts)
def test_every_path_gains_what_is_documented(entries, texts):
    result = apply(UserDictionary(entries), texts)
    by_word = {}
    for word, weight, tag in entries:
        for kind in TYPES if tag is None else {tag}:
            if len(word) == 1 or kind != "Y":
                by_type = by_word.setdefault(word, {})
                by_type[kind] = max(weight, by_type.get(kind, weight))
    for text, emissions in zip(texts, result, strict=True):
        found = find(text, by_word)
        counted = [
            (start, size, by_word[word])
            for start, size, word in found
            if not any(
                other <= start and start + size <= other + longer and longer > size and max(by_word[name].values()) > 0
                for other, longer, name in found
            )
        ]
        paths = legal_paths(SPACE, len(text))
        added = emissions[torch.arange(len(text)), paths].sum(dim=1)
        for path, value in zip(paths.tolist(), added.tolist(), strict=True):
            expected = sum(
                gain(span, start, size, of_type[span.label])
                for span in spans_of(path)
                for start, size, of_type in counted
                if span.label in of_type
            )
            assert value == pytest.approx(expected, abs=1e-5)
        assert (emissions[len(text) :] == 0).all()


@settings(deadline=None, max_examples=150)
@given(entries=st.lists(st.tuples(words, st.just(1.0), tags), max_size=6), texts=texts)
def test_forced_words_are_in_every_path_and_nothing_else_is_forbidden(entries, texts):
    result = apply(UserDictionary(entries, force=True), texts)
    by_word = {}
    for word, _, tag in entries:
        by_word.setdefault(word, set()).update(TYPES if tag is None else {tag})
    for text, emissions in zip(texts, result, strict=True):
        chosen = []
        for start, size, word in sorted(find(text, by_word), key=lambda place: (-place[1], place[0])):
            if all(start + size <= other or other + longer <= start for other, longer, _ in chosen):
                chosen.append((start, size, by_word[word]))
        paths = legal_paths(SPACE, len(text))
        allowed = emissions[torch.arange(len(text)), paths].sum(dim=1) == 0
        for path, is_allowed in zip(paths.tolist(), allowed.tolist(), strict=True):
            places = {(first, end): label for label, first, end in spans_of(path)}
            expected = all(places.get((start, start + size)) in types for start, size, types in chosen)
            assert is_allowed == expected
        assert allowed.any()


@settings(deadline=None, max_examples=60)
@given(entries=entries, text=words, force=st.booleans(), data=st.data())
def test_order_and_repetition_of_entries_make_no_difference(entries, text, force, data):
    if force:
        entries = [(word, abs(weight), tag) for word, weight, tag in entries]
    shuffled = data.draw(st.permutations([*entries, *entries[:2]]))
    emissions = torch.randn(1, len(text) + 1, len(SPACE.states))
    results = [apply(UserDictionary(some, force), [text], emissions) for some in (entries, shuffled)]
    torch.testing.assert_close(*results)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([" \t"], r"Entry 0: the word is ' \\t', but it takes a text of more than white space"),
        ([("a", 0)], r"Entry 0: the weight of 'a' is 0, but it takes a finite number other than 0"),
        (["b", ("a", float("nan"))], r"Entry 1: the weight of 'a' is nan"),
        ([("a", True)], r"the weight of 'a' is True"),
        ([("a", 1.0, 3)], r"the tag of 'a' is 3, but it takes None or the name of a type"),
        ([("a", 1.0, "X", 2)], r"Entry 0 is \('a', 1.0, 'X', 2\): it takes a word, or \(word, weight, tag\)"),
        ([5], r"Entry 0 is 5: it takes a word, or"),
    ],
)
def test_a_wrong_entry_is_named(entries, message):
    with pytest.raises(ValueError, match=message):
        UserDictionary(entries)


def test_one_word_is_given_in_a_list():
    """Of a bare string every character would be a word (ltp#585, a word where words are taken, and the reverse)."""
    with pytest.raises(ValueError, match=r"entries is the string '计算机': it takes a list of words, \['计算机'\]"):
        UserDictionary("计算机")


def test_a_forced_word_takes_no_negative_weight():
    with pytest.raises(ValueError, match=r"'a' has the weight -1, but a forced word takes one above 0"):
        UserDictionary([("a", -1)], force=True)


def bind(entries, labels=LABELS, scheme="bioes"):
    config = BiLstmConfig(vocab_size=len(TOKENIZER), tagging_scheme=scheme, id2label=dict(enumerate(labels)))
    return bind_dictionary(UserDictionary(entries), TOKENIZER, state_space(labels, scheme), config)


def test_what_a_tagger_cannot_take_is_named():
    with pytest.raises(ValueError, match=r"gives 'ab' the tag 'LOC', which is not one of the model's: 'X', 'Y', 'Z'"):
        bind([("ab", 1.0, "LOC")])
    with pytest.raises(ValueError, match=r"holds 'ab', which is 2 tokens, but the model has no label .* of type 'Y'"):
        bind([("ab", 1.0, "Y")])
    with pytest.raises(ValueError, match=r"holds 'ab', which is 2 tokens, but the model has no label"):
        bind([("ab", 1.0, "NN")], ["NN", "VB"], "none")
    with pytest.raises(ValueError, match=r"tagging_scheme='iob2': train it with tagging_scheme='bioes'"):
        bind(["ab"], scheme="iob2")


def test_plain_labels_of_single_tokens():
    scores = bind([("a", 2.0, "NN"), ("b", 3.0, "VB")], ["NN", "VB"], "none").scores
    ids = torch.tensor([TOKENIZER("abc")["input_ids"]])
    assert scores(torch.zeros(1, 3, 2), ids, torch.tensor([3])).tolist() == [[[2, 0], [0, 3], [0, 0]]]


def test_an_empty_dictionary_changes_nothing():
    emissions = torch.randn(1, 3, len(SPACE.states))
    for force in (False, True):
        assert apply(UserDictionary([], force), ["ab"], emissions) is emissions


# Segmentation. The tagger splits every text into single characters, and never knows a dictionary's words.


def build_segmenter(corpus="他在计算机学院落日的。", joint=False, single=3.0, **tokenizer_options):
    options = {"white_space": "token", "fold": ("lower", "width"), **tokenizer_options}
    tokenizer = BiLstmTokenizer.from_corpus([corpus], **options)
    labels = ["O", "B-n", "I-n", "B-v", "I-v"] if joint else ["O", "B-WORD", "I-WORD"]
    config = BiLstmConfig(
        vocab_size=len(tokenizer),
        embedding_size=4,
        hidden_size=4,
        tagging_scheme="bmes",
        id2label=dict(enumerate(labels)),
        white_space_token_id=tokenizer.white_space_token_id,
        unk_token_id=tokenizer.unk_token_id,
    )
    model = BiLstmForTokenClassification(config).eval()
    with torch.no_grad():
        model.classifier.weight.zero_()
        for place, state in enumerate(model.crf.space.states):
            model.classifier.bias[place] = single if state.startswith("S") else 0.0
    return TaggingPipeline(model=model, tokenizer=tokenizer)


SEGMENTER = build_segmenter()


def segment(text, entries, force=False, tagger=SEGMENTER):
    return tagger(text, return_words=True, dictionary=UserDictionary(entries, force))


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("text", "entries", "expected"),
    [
        # A word and its characters (HIT-SCIR/ltp#457), in any order; part of a longer one (THULAC-Python#58).
        ("他在计算机学院", ["计", "算", "机", ("计算机", 12.0)], ["他", "在", "计算机", "学", "院"]),
        ("他在计算机学院", [("计算机学院", 20.0), "计算机", "学院"], ["他", "在", "计算机学院"]),
        # Entries that another tool's hunt for a match never ends on (ltp#457), and text beyond the last word.
        ("落日ｌｕòｈｕā", [("落日ｌｕòｈｕā", 40.0)], ["落日ｌｕòｈｕā"]),
        # A word that is the whole text (ltp#466), and a word longer than a window of a few characters (ltp#479, #480).
        ("计算机", [("计算机", 12.0)], ["计算机"]),
        ("在计算机学院落日的机学院", [("计算机学院落日的机学", 60.0)], ["在", "计算机学院落日的机学", "院"]),
        # A word at whose place shorter words begin and go on (baidu/lac#234).
        ("在计算机学的", ["计算", ("计算机学", 20.0), "学院"], ["在", "计算机学", "的"]),
        # Punctuation, digits, Latin letters (jieba#749, #385, #390, #930).
        ("糖类抗原19-9的", [("糖类抗原19-9", 40.0)], ["糖类抗原19-9", "的"]),
        ("他在*ST舜船", [("*ST舜船", 30.0)], ["他", "在", "*ST舜船"]),
        ("C++、<NUM>", [("C++", 12.0), ("<NUM>", 20.0)], ["C++", "、", "<NUM>"]),
        ("迈克尔·乔丹在", [("迈克尔·乔丹", 30.0)], ["迈克尔·乔丹", "在"]),
        ("他[/白眼]的", [("[/白眼]", 30.0)], ["他", "[/白眼]", "的"]),  # jieba#873
        ("在-26.95%、", [("-26.95%", 40.0)], ["在", "-26.95%", "、"]),  # jieba#536
        ("SK-II的5w-30", [("SK-II", 30.0), ("5w-30", 30.0)], ["SK-II", "的", "5w-30"]),  # jieba#626, #468
        # White space inside a word (jieba#300, pkuseg-python#109), any amount of it.
        ("This is an Apple \u3000Macbook。", ["Apple Macbook"], [*"Thisisan", "Apple \u3000Macbook", "。"]),
        ("Edu Trust认证", ["Edu Trust认证"], ["Edu Trust认证"]),
        ("Color OS", ["Color OS", "学院"], ["Color OS"]),
        ("在Color OS学院", ["Color OS", ("学院", 12.0)], ["在", "Color OS", "学院"]),
        # Characters that the model does not know are told apart.
        ("他龘靐齉", [("龘靐", 10.0)], ["他", "龘靐", "齉"]),
        ("他靐龘", [("龘靐", 10.0)], ["他", "靐", "龘"]),
        # Folding is the tokenizer's, and the text stays as it is.
        ("ＭＡＣBook的", [("macＢＯＯＫ", 30.0)], ["ＭＡＣBook", "的"]),
        # Weights of any size (jieba#563), and what no word of a dictionary touches.
        ("在学院落日", [("学院", 1e4), ("落日", 8.0)], ["在", "学院", "落日"]),
        # Nothing to find, and nothing to look in (ltp#681).
        ("他在", ["计算机"], ["他", "在"]),
        ("", ["计算机"], []),
        (" \n", ["计算机"], []),
    ],
)
def test_words_that_other_tools_miss(text, entries, expected, force):
    for some in (entries, entries[::-1]):
        assert segment(text, some, force) == expected


def test_the_model_overrules_a_weight_and_not_a_forced_word():
    assert segment("他在计算机", [("计算机", 1.0)]) == ["他", "在", "计", "算", "机"]
    assert segment("他在计算机", [("计算机", 1.0)], force=True) == ["他", "在", "计算机"]
    eager = build_segmenter(single=-3.0)  # long words, unless spoken against
    assert eager("计算", return_words=True) == ["计算"]
    assert segment("计算", [("计算", -20.0)], tagger=eager) == ["计", "算"]


def test_overlapping_forced_words_are_the_longest_and_then_the_leftmost():
    for entries in itertools.permutations(["计算", "算机", "机学院"]):
        assert segment("计算机学院", entries, force=True) == ["计算", "机学院"]
    assert segment("计算机学", ["计算", "算机", "机学"], force=True) == ["计算", "机学"]


def test_white_space_still_parts_everything_else():
    text = "Apple Mac Apple Macbook"
    assert segment(text, [("Apple Macbook", 1.0)]) == [*"AppleMacApple"[:8], "Apple Macbook"]


def test_many_texts_and_words_at_once_with_empty_ones_among_them():
    """Words added in bulk, then a file tagged text by text (ltp#681, which ends in a panic at an empty line)."""
    words = ["计算机学院", "落日", "计算机", "学院", "的"]
    texts = ["他在计算机学院。", "", "\n", "落日的学院", "、"] * 3
    expected = [["他", "在", "计算机学院", "。"], [], [], ["落日", "的", "学院"], ["、"]] * 3
    assert segment(texts, words, force=True) == expected
    assert [segment(text, words, force=True) for text in texts] == expected


def test_a_batch_of_texts_and_every_kind_of_result():
    dictionary = UserDictionary([("计算机", 12.0), ("New York", 5.0)])
    texts = ["他在计算机", "", "New York的", "计算机计算机"]
    together = SEGMENTER(texts, return_words=True, dictionary=dictionary)
    assert together == [["他", "在", "计算机"], [], ["New York", "的"], ["计算机", "计算机"]]
    assert together == [SEGMENTER(text, return_words=True, dictionary=dictionary) for text in texts]
    (best, *_) = SEGMENTER("在计算机", n_best=3, dictionary=dictionary)
    assert [span["word"] for span in best["spans"]] == ["在", "计算机"]
    spans = SEGMENTER("在计算机", dictionary=dictionary)
    assert [(span["word"], span["start"], span["end"]) for span in spans] == [("在", 0, 1), ("计算机", 1, 4)]
    assert all(0.5 < span["score"] <= 1 for span in spans)
    tags = SEGMENTER("在计算机", scheme="bmes", dictionary=dictionary)
    assert [tag["tag"] for tag in tags] == ["S-WORD", "B-WORD", "M-WORD", "E-WORD"]
    assert SEGMENTER("在计算机", return_words=True) == [*"在计算机"]  # the next call is without it


def test_a_dictionary_for_all_calls_of_a_pipeline():
    model, tokenizer = SEGMENTER.model, SEGMENTER.tokenizer
    tagger = TaggingPipeline(model=model, tokenizer=tokenizer, dictionary=UserDictionary([("计算机", 12.0)]))
    assert tagger("在计算机", return_words=True) == ["在", "计算机"]
    assert tagger("在计算机", return_words=True, dictionary=None) == [*"在计算机"]
    from_json = ["学院", ["在计", 9.0], ["算", 5, "WORD"]]
    assert tagger("在计算学院", return_words=True, dictionary=from_json) == ["在计", "算", "学院"]
    with pytest.raises(ValueError, match="dictionary='x': it takes None, a UserDictionary or a list of its entries"):
        tagger("在计算机", dictionary="x")


def test_tags_of_a_joint_model():
    tagger = build_segmenter(joint=True)
    entries = [("计算", 12.0, "v"), ("计算", 11.0, "n"), ("学院", 12.0, "n")]
    found = tagger("他计算学院", dictionary=UserDictionary(entries))
    assert [(span["word"], span["entity_group"]) for span in found][1:] == [("计算", "v"), ("学院", "n")]
    found = tagger("他计算", dictionary=UserDictionary([("计算", 1.0, "n")], force=True))
    assert [(span["word"], span["entity_group"]) for span in found][1:] == [("计算", "n")]


def test_words_of_a_word_tagger_in_raw_text_and_given():
    tokenizer = BiLstmTokenizer.from_corpus(["new york u . s ."], granularity="word", fold=("lower",))
    names = dict(enumerate(["O", "B-LOC", "I-LOC"]))
    config = BiLstmConfig(
        vocab_size=len(tokenizer), embedding_size=4, hidden_size=4, tagging_scheme="bioes", id2label=names
    )
    torch.manual_seed(0)
    tagger = TaggingPipeline(model=BiLstmForTokenClassification(config), tokenizer=tokenizer)
    dictionary = UserDictionary(["New York", "U.S.", "Kyjiw-West"], force=True)
    found = tagger("in New York , U.S. and Kyjiw-West", dictionary=dictionary)
    assert {"New York", "U.S.", "Kyjiw-West"} <= {x["word"] for x in found}
    given = ["Kyjiw-West", "U.S.", "New", "York"]
    found = tagger(given, is_split_into_words=True, dictionary=dictionary)
    assert [x["word"] for x in found] == ["Kyjiw-West", "U.S.", "New York"]


# Files


def test_a_file_of_entries(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeff计算机\r\n学院 3 n\r\n\r\nEdu Trust认证\t2000\r\n糖类抗原19-9 -1\r\n".encode())
    assert UserDictionary.from_file(path).entries == [
        DictionaryEntry("计算机", DEFAULT_WEIGHT, None),
        DictionaryEntry("学院", 3.0, "n"),
        DictionaryEntry("Edu Trust认证", 2000.0, None),
        DictionaryEntry("糖类抗原19-9", -1.0, None),
    ]
    with pytest.raises(ValueError, match=r"words.txt, line 5: '糖类抗原19-9' has the weight -1.0, but a forced word"):
        UserDictionary.from_file(path, force=True)
    with pytest.raises(FileNotFoundError, match=r"nothing.txt"):
        UserDictionary.from_file(tmp_path / "nothing.txt")
    for line in ("我的测试 test 1000", "Edu Trust认证 2000", "计算机 0"):
        path.write_text(f"计算机\n{line}\n", encoding="utf-8")
        with pytest.raises(ValueError, match=r"words.txt, line 2: "):
            UserDictionary.from_file(path)


# A dictionary of the model's own


def test_a_dictionary_saved_with_the_model(tmp_path):
    text = "他在计算机Mac x的"
    expected = ["他", "在", "计算机", "Mac x", "的"]
    tagger = build_segmenter("他在计算机的 macx")
    tagger.model.set_dictionary(UserDictionary([("计算机", 12.0), ("mac x", 1.0)]), tagger.tokenizer)
    tagger.save_pretrained(tmp_path)
    for dtype in (torch.float32, torch.bfloat16):
        model = AutoModelForTokenClassification.from_pretrained(tmp_path, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path)
        assert TaggingPipeline(model=model, tokenizer=tokenizer)(text, return_words=True) == expected
        assert model.dictionary.weights.dtype == torch.float32
    for reader in (tokenizer, None):  # the stock pipeline knows nothing of dictionaries
        stock = pipeline("token-classification", str(tmp_path), tokenizer=reader, aggregation_strategy="simple")
        assert [text[span["start"] : span["end"]] for span in stock(text)] == expected
    # A call's own dictionary comes on top.
    tagger = TaggingPipeline(model=model, tokenizer=tokenizer, dictionary=UserDictionary([("机Mac x的", 1.0)], True))
    assert tagger(text, return_words=True) == ["他", "在", "计", "算", "机Mac x的"]
    model.set_dictionary(None)
    model.save_pretrained(tmp_path)
    without = AutoModelForTokenClassification.from_pretrained(tmp_path)
    assert without.dictionary is None
    assert TaggingPipeline(model=without, tokenizer=tokenizer)("计算机", return_words=True) == [*"计算机"]


def test_training_goes_on_as_if_there_were_no_dictionary():
    tagger = build_segmenter()
    ids = torch.tensor([tagger.tokenizer("在计算机")["input_ids"]])
    labels = torch.ones_like(ids)
    before = tagger.model(ids, labels=labels)
    tagger.model.set_dictionary(UserDictionary(["计算机"], force=True), tagger.tokenizer)
    after = tagger.model(ids, labels=labels)
    assert torch.equal(before.loss, after.loss)
    assert torch.equal(before.emissions, after.emissions)
    assert not torch.equal(before.logits, after.logits)


def test_a_model_cannot_tell_unknown_characters_apart():
    tagger = build_segmenter()
    with pytest.raises(ValueError, match=r"'龘', '靐' of the dictionary: the model's vocabulary lacks 2 such tokens"):
        tagger.model.set_dictionary(UserDictionary(["龘靐", "计算"]), tagger.tokenizer)
    with pytest.raises(ValueError, match=r"write set_dictionary\(dictionary, tokenizer\)"):
        tagger.model.set_dictionary(UserDictionary(["计算"]))


def test_new_labels_do_without_the_dictionary_of_the_old_ones(tmp_path):
    tagger = build_segmenter()
    tagger.model.set_dictionary(UserDictionary(["计算机"], force=True), tagger.tokenizer)
    tagger.save_pretrained(tmp_path)
    labels = ["O", "B-n", "I-n", "B-v", "I-v"]
    maps = {"id2label": dict(enumerate(labels)), "label2id": {label: place for place, label in enumerate(labels)}}
    model = AutoModelForTokenClassification.from_pretrained(tmp_path, ignore_mismatched_sizes=True, **maps)
    ids = torch.tensor([tagger.tokenizer("在计算机")["input_ids"]])
    posteriors = model.posteriors(ids)
    model.set_dictionary(None)
    assert torch.equal(posteriors, model.posteriors(ids))
