"""Raw text split into words: examples of each convention, no text lost, and real text against its treebank."""

from pathlib import Path

import pytest
from conllu import parse_incr
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_bilstm.models.tokenizer_backend import WHITE_SPACE
from hf_bilstm.models.word_splitting import split_as_treebank

TREEBANK = split_as_treebank()


def words(text):
    pieces = TREEBANK.pre_tokenize_str(text)
    assert [text[start:end] for _, (start, end) in pieces] == [piece for piece, _ in pieces]
    return [piece for piece, _ in pieces]


# Words are parted by a space in the text, or by | where it has nothing between them.
@pytest.mark.parametrize(
    "marked",
    [
        "I do|n't know|, it|'s Kim|'s|.",
        "they|’ve gone|; we|’ll see",
        "you can|not|, CAN|NOT|, ca|n't|, do|nt",
        "gon|na|, wan|na|, got|ta|, a|lot",
        "O'Neil of Qa'ida|'s",
        "e-mail|, non-profit|, long|-|term|, state|-|of|-|the|-|art",
        "Mr. Smith vs. Dr. Jones|, Inc. of the U.S. and Co|.",
        "J. Smith arrived at 9 p.m. today",
        "No. 5|, he said no|.",
        "see http://example.org/a?b=c,d|, www.example.org|. Bye",
        "write to first.last+x@example.org|, please",
        "open report_v2.pdf and example.com|!",
        "@user likes #summer :-) ;) ^_^ =D",
        "3.5|% of $|1,000.50 on 4/5/01 at 10:30|, 4th|, 1990s|, 10|k",
        "call 713-555-0199 or 1-800-555-0199",
        "wait|... what|?! -- yes|!!! ***",
        'AT&T (|R&D|) "|quoted|" “|curly|” ‘|single|’',
        "\U0001f468\u200d\U0001f469\u200d\U0001f467|\U0001f44d\U0001f3fd|\U0001f1eb\U0001f1ee",
        "café nai\u0308ve Москва 北京",
    ],
)
def test_conventions(marked):
    assert words(marked.replace("|", "")) == marked.replace("|", " ").split()


@settings(deadline=None)
@given(
    st.text(
        st.sampled_from("aAiImM'’.-!@/:1 \t\n&é\u0301\u200d\U0001f44d北nt") | st.characters(exclude_categories=["Cs"]),
        max_size=30,
    )
)
def test_nothing_but_white_space_is_lost_or_within_a_word(text):
    kept = "".join(words(text))
    assert kept == "".join(char for char in text if char not in WHITE_SPACE)


def test_against_a_treebank(shared_data: Path):
    """Words of UD English EWT dev found by their exact offsets, with and without folding to lower case."""
    found = predicted = gold = 0
    with open(shared_data / "ud_english_ewt" / "en_ewt-ud-dev.conllu", encoding="utf-8") as file:
        for sentence in parse_incr(file):
            text = sentence.metadata["text"]
            spans = set(gold_spans(sentence, text))
            guessed = {span for _, span in TREEBANK.pre_tokenize_str(text)}
            found, predicted, gold = found + len(spans & guessed), predicted + len(guessed), gold + len(spans)
    assert 2 * found / (predicted + gold) > 0.993


def gold_spans(sentence, text):
    """Offsets of the syntactic words; a multiword token is cut where its words spell it."""
    position, ends = 0, {}
    for token in sentence:
        if isinstance(token["id"], tuple) and token["id"][1] == "-":
            ends[token["id"][0]] = (token["id"][2], token["form"])
    last = 0
    for token in sentence:
        key = token["id"]
        if isinstance(key, tuple) or key <= last:
            continue
        forms = [token["form"]]
        if key in ends:
            last, whole = ends[key]
            forms = [other["form"] for other in sentence if other["id"] in range(key, last + 1)]
            forms = forms if "".join(forms) == whole else [whole]
        for form in forms:
            start = text.index(form, position)
            position = start + len(form)
            yield start, position
