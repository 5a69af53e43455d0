"""Both directions over one text at once: the same answers, and PyTorch's threads as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification, BiLstmTokenizer, TaggingPipeline
from hf_bilstm.models.side_by_side import run_both, side_by_side


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Give PyTorch two threads for a test."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def where() -> int:
    """Tell the thread that runs this."""
    return threading.get_ident()


@pytest.mark.usefixtures("two_threads")
def test_functions_run_at_once_only_where_they_may() -> None:
    first, second = run_both(where, where)
    assert first == second == where()
    with side_by_side():
        assert torch.get_num_threads() == 1
        first, second = run_both(where, where)
    assert first == where() != second
    assert torch.get_num_threads() == 2
    with pytest.raises(ZeroDivisionError), side_by_side():
        run_both(where, lambda: 1 // 0)
    assert torch.get_num_threads() == 2
    assert run_both(where, where)[1] == where()


def test_with_one_thread_nothing_changes() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with side_by_side():
        assert run_both(where, where) == (where(), where())
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_nobody_waits_for_a_busy_helper() -> None:
    busy, release = threading.Event(), threading.Event()

    def occupy() -> None:
        with side_by_side():
            run_both(busy.wait, lambda: (busy.set(), release.wait()))

    occupant = threading.Thread(target=occupy)
    occupant.start()
    assert busy.wait(60)
    torch.set_num_threads(2)  # this thread's number, whatever the other one's setting
    with side_by_side():
        assert run_both(where, where) == (where(), where())
    release.set()
    occupant.join()


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("merge_mode", ["concat", "sum"])
def test_single_texts_are_tagged_as_ever(num_layers: int, merge_mode: str) -> None:
    tokenizer = BiLstmTokenizer.from_corpus(["abcdefghij"])
    config = BiLstmConfig(
        vocab_size=len(tokenizer),
        embedding_size=8,
        hidden_size=8,
        num_hidden_layers=num_layers,
        merge_mode=merge_mode,
        tagging_scheme="bioes",
        id2label=dict(enumerate(["O", "B-X", "I-X"])),
    )
    torch.manual_seed(0)
    model = BiLstmForTokenClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=3.0)
    tagger = TaggingPipeline(model=model, tokenizer=tokenizer, device="cpu")
    for text in ("", "a", "ab", "bad cafe jig " * 30):
        (one_by_one,) = tagger([text], num_workers=1)
        at_once = tagger(text)
        assert at_once == [{**span, "score": pytest.approx(span["score"])} for span in one_by_one]
    assert one_by_one
    assert torch.get_num_threads() == 2
