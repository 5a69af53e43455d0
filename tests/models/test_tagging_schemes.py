"""Schemes into each other, against seqeval's readings and against every short tag sequence there is."""

from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval import scheme as seqeval_scheme

from hf_bilstm.models.tagging_schemes import (
    SCHEMES,
    Span,
    close_labels,
    convert_tags,
    detect_scheme,
    repair_tags,
    spans_to_tags,
    spans_to_words,
    split_tag,
    state_space,
    tags_to_spans,
    words_to_spans,
)

SEQEVAL = {
    "iob1": seqeval_scheme.IOB1,
    "iob2": seqeval_scheme.IOB2,
    "bioes": seqeval_scheme.IOBES,
    "bilou": seqeval_scheme.BILOU,
}
PREFIXES = {"iob1": "BI", "iob2": "BI", "bioes": "BIES", "bmes": "BMES", "bilou": "BILU"}


@st.composite
def sentences(draw, labels=("PER", "ORG", "creative-work", "")):
    """Spans with gaps of 0 to 2 tokens between them, and the sentence's length."""
    spans, position = [], 0
    for label in draw(st.lists(st.sampled_from(labels), max_size=6)):
        start = position + draw(st.integers(0, 2))
        position = start + draw(st.integers(1, 4))
        spans.append(Span(label, start, position))
    return spans, position + draw(st.integers(0, 2))


def any_tags(scheme, labels=("X", "Y")):
    tags = ["O", *(f"{prefix}-{label}" for prefix in PREFIXES[scheme] for label in labels)]
    return st.lists(st.sampled_from(tags), max_size=8)


def allows(space, path):
    steps = all(space.transitions[a][b] for a, b in pairwise(path))
    return steps and space.starts[path[0]] and space.ends[path[-1]]


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(deadline=None)
@given(sentence=sentences())
def test_spans_survive_being_written_as_tags(scheme, sentence):
    spans, length = sentence
    tags = spans_to_tags(spans, length, scheme)
    assert len(tags) == length
    assert tags_to_spans(tags, scheme) == spans


@pytest.mark.parametrize("source", SCHEMES)
@pytest.mark.parametrize("target", SCHEMES)
@settings(deadline=None)
@given(sentence=sentences())
def test_tags_survive_conversion_there_and_back(source, target, sentence):
    tags = spans_to_tags(*sentence, source)
    there = convert_tags(tags, source, target)
    assert there == spans_to_tags(*sentence, target)
    assert convert_tags(there, target, source) == tags


@pytest.mark.parametrize("scheme", SEQEVAL)
@settings(deadline=None)
@given(sentence=sentences(labels=("PER", "ORG", "creative-work")))
def test_spans_are_those_that_seqeval_reads(scheme, sentence):
    tags = spans_to_tags(*sentence, scheme)
    read = [(e.tag, e.start, e.end) for e in seqeval_scheme.Tokens(tags, SEQEVAL[scheme]).entities]
    assert read == tags_to_spans(tags, scheme)


def test_each_scheme_writes_spans_its_own_way():
    spans = [("X", 0, 1), ("X", 1, 4), ("Y", 5, 7)]
    written = {scheme: " ".join(spans_to_tags(spans, 7, scheme)) for scheme in SCHEMES}
    assert written == {
        "iob1": "I-X B-X I-X I-X O I-Y I-Y",
        "iob2": "B-X B-X I-X I-X O B-Y I-Y",
        "bioes": "S-X B-X I-X E-X O B-Y E-Y",
        "bmes": "S-X B-X M-X E-X O B-Y E-Y",
        "bilou": "U-X B-X I-X L-X O B-Y L-Y",
    }


def test_spans_may_come_in_any_order():
    assert spans_to_tags([("Y", 2, 3), ("X", 0, 1)], 3, "iob2") == ["B-X", "O", "B-Y"]


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([("X", 0, 2), ("Y", 1, 3)], "overlap"),
        ([("X", 0, 4)], "does not fit a sentence of 3 tokens"),
        ([("X", -1, 1)], "does not fit"),
        ([("X", 1, 1)], "does not fit"),
    ],
)
def test_spans_no_tags_can_say_are_refused(spans, message):
    with pytest.raises(ValueError, match=message):
        spans_to_tags(spans, 3, "iob2")


@pytest.mark.parametrize("tag", ["", "BI-X", "B I-X", "M-X", "o", "O-X", "b-X", "-X"])
def test_a_tag_of_no_such_prefix_is_refused(tag):
    with pytest.raises(ValueError, match=r"at position 1 is not one of scheme 'iob2'"):
        tags_to_spans(["O", tag], "iob2")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_empty_tag_and_two_prefixes_in_one_are_in_no_scheme(scheme):
    for tag in ("", PREFIXES[scheme][:2], PREFIXES[scheme][-2:] + "-X"):
        with pytest.raises(ValueError, match="is not one of scheme"):
            tags_to_spans([tag], scheme)


@pytest.mark.parametrize("call", [tags_to_spans, repair_tags, lambda tags, scheme: spans_to_tags([], 1, scheme)])
def test_an_unknown_scheme_is_refused_and_the_known_ones_named(call):
    with pytest.raises(ValueError, match="'iobes'; choose one of 'iob1', 'iob2', 'bioes', 'bmes', 'bilou'"):
        call(["O"], "iobes")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_repair_makes_legal_what_is_not_and_leaves_the_rest(scheme):
    @settings(deadline=None)
    @given(tags=any_tags(scheme))
    def check(tags):
        mended, count = repair_tags(tags, scheme)
        assert tags_to_spans(mended, scheme) == tags_to_spans(tags, scheme)
        assert convert_tags(mended, scheme, scheme) == mended
        assert count == sum(a != b for a, b in zip(tags, mended, strict=True))
        assert [tag == "O" for tag in mended] == [tag == "O" for tag in tags]
        assert [split_tag(tag)[1] for tag in mended] == [split_tag(tag)[1] for tag in tags]

    check()


@pytest.mark.parametrize(
    ("scheme", "tags", "mended", "count"),
    [
        ("iob2", "O I-X I-X", "O B-X I-X", 1),
        ("iob2", "B-X I-Y", "B-X B-Y", 1),
        ("iob1", "B-X I-X", "I-X I-X", 1),
        ("bmes", "M-X M-X E-X", "B-X M-X E-X", 1),
        ("bmes", "B-X M-X O", "B-X E-X O", 1),
        ("bioes", "B-X B-X E-X", "S-X B-X E-X", 1),
        ("bioes", "S-X E-X", "S-X S-X", 1),
        ("bilou", "I-X", "U-X", 1),
        ("bmes", "B M E S O", "B M E S O", 0),
    ],
)
def test_repair_counts_the_tags_it_changes(scheme, tags, mended, count):
    assert repair_tags(tags.split(), scheme) == (mended.split(), count)


def test_conversion_of_illegal_tags_names_the_tag_its_neighbours_and_the_remedy():
    with pytest.raises(
        ValueError, match=r"'I-X' at position 1, between 'O' and 'O', is illegal in scheme 'iob2'"
    ) as e:
        convert_tags(["O", "I-X", "O"], "iob2", "bioes")
    assert "legal would be 'B-X'" in str(e.value)
    assert "repair_tags" in str(e.value)
    with pytest.raises(ValueError, match="between the sentence's start and the sentence's end"):
        convert_tags(["I-X"], "iob2", "bioes")


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(deadline=None)
@given(corpus=st.lists(sentences(labels=("PER", "ORG", "")), max_size=5))
def test_the_scheme_of_a_corpus_is_told_from_its_tags(scheme, corpus):
    tagged = [spans_to_tags(*sentence, scheme) for sentence in corpus]
    found = detect_scheme(tagged)
    if found == "none":
        assert not any(spans for spans, _ in corpus)
    else:  # a small corpus may be the same in two schemes
        assert [convert_tags(tags, found, scheme) for tags in tagged] == tagged
        assert [tags_to_spans(tags, found) for tags in tagged] == [spans for spans, _ in corpus]


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("B-X I-X O", "iob2"),
        ("I-X I-X O", "iob1"),
        ("I-X B-X O", "iob1"),
        ("B-X E-X", "bioes"),
        ("S-X", "bioes"),
        ("B-X M-X E-X", "bmes"),
        ("B-X L-X U-X", "bilou"),
        ("S B E", "bioes"),
        ("S B M E", "bmes"),
        ("NN VV PU", "none"),
        ("n v -LRB- O", "none"),
        ("O O", "none"),
        ("", "none"),
        ("B-X I-X O I-X B-X I-X B-Y", "iob2"),
        ("I-X I-Y O B-X O I-X", "iob1"),
    ],
)
def test_detection_by_prefixes_and_fewest_illegal_tags(tags, scheme):
    assert detect_scheme([tags.split()]) == scheme


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("B-X M-X I-X", "prefixes B, I, M belong to no one scheme"),
        ("B-X I-X 0 O", r"\('B-X', 'I-X'\) and some in none \('0'\)"),
        ("B-X NN", "Correct the latter, or state 'none'"),
    ],
)
def test_detection_refuses_tags_of_no_one_scheme(tags, message):
    with pytest.raises(ValueError, match=message):
        detect_scheme([tags.split()])


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=4), max_size=8))
def test_words_survive_being_spans(words):
    spans = words_to_spans(words)
    assert spans_to_words(spans, "".join(words)) == words
    assert all(span.label == "WORD" for span in spans)


def test_words_are_cut_from_tokens_as_from_a_string():
    spans = words_to_spans(["北京", "大学"], label="n")
    assert spans == [("n", 0, 2), ("n", 2, 4)]
    assert spans_to_words(spans, ["北", "京", "大", "学"]) == ["北京", "大学"]


def test_an_empty_word_is_refused():
    with pytest.raises(ValueError, match="Word 1 is empty"):
        words_to_spans(["a", ""])


def test_closing_labels_adds_what_a_type_needs_in_one_order():
    assert close_labels(["I-B", "B-A"]) == ["O", "B-A", "I-A", "B-B", "I-B"]
    assert close_labels({"B-A", "B-B", "O"}) == close_labels(["B-B", "O", "I-A"])
    assert close_labels([]) == ["O"]
    with pytest.raises(ValueError, match="'NN' is neither"):
        close_labels(["O", "NN"])


@pytest.mark.parametrize("scheme", ["iob2", "bioes"])
@pytest.mark.parametrize("labels", [["O", "B-X", "I-X", "B-Y", "I-Y"], ["B-X", "I-X"], ["I-Y", "B-X", "O", "B-Y"]])
def test_a_path_of_states_is_legal_exactly_if_its_tags_are(scheme, labels):
    space = state_space(labels, scheme)
    for length in range(1, 5):
        for path in product(range(len(space.states)), repeat=length):
            by_table = allows(space, path)
            names = [space.states[state] for state in path]
            mended, changed = repair_tags(names, scheme)
            assert by_table == (changed == 0)
            if by_table:
                folded = [labels[space.state_to_label[state]] for state in path]
                assert folded == convert_tags(mended, scheme, "iob2")


def test_every_legal_label_sequence_has_exactly_one_state_path():
    labels = ["O", "B-X", "I-X", "B-Y"]
    space = state_space(labels, "bioes")
    paths = {}
    for path in product(range(len(space.states)), repeat=4):
        if allows(space, path):
            folded = tuple(labels[space.state_to_label[state]] for state in path)
            paths[folded] = paths.get(folded, 0) + 1
    legal = {tags for tags in product(labels, repeat=4) if repair_tags(tags, "iob2")[1] == 0}
    assert paths == dict.fromkeys(legal, 1)


def test_plain_labels_follow_each_other_freely():
    space = state_space(["NN", "VV"], "none")
    assert space.states == ("NN", "VV")
    assert space.state_to_label == (0, 1)
    assert all(map(all, (*space.transitions, space.starts, space.ends)))


@pytest.mark.parametrize(
    ("labels", "scheme", "message"),
    [
        (["O", "B-X", "B-X"], "iob2", "'B-X' occur more than once"),
        (["O", "I-X"], "iob2", r"no 'B-X' to start it.*close_labels"),
        (["O", "B-X", "E-X"], "bioes", r"'E-X' contradicts.*convert_tags"),
        (["NN"], "bioes", "tagging_scheme='none'"),
        (["O"], "bmes", "'none', 'iob2' or 'bioes', not 'bmes'"),
    ],
)
def test_labels_that_contradict_the_scheme_are_refused(labels, scheme, message):
    with pytest.raises(ValueError, match=message):
        state_space(labels, scheme)
