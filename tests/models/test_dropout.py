"""Dropout: its rate, and what a draw decides."""

import pytest
import torch

from hf_bilstm.models.dropout import Dropout, drop
from hf_bilstm.models.rows import JoinedRows, Rows


def test_variational_dropout_draws_once_a_sentence():
    torch.manual_seed(0)
    dropped = Dropout(0.4, variational=True)(torch.ones(50, 6, 40), Rows(torch.full((50,), 6), 6))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert not torch.equal(dropped[0], dropped[1])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.4, abs=0.05)
    assert sorted(dropped.unique().tolist()) == pytest.approx([0, 1 / 0.6], rel=1e-4)


def test_variational_dropout_draws_for_each_sentence_of_a_row():
    torch.manual_seed(0)
    rows = JoinedRows(torch.tensor([9, 4, 4]), 9)
    dropped = rows.part(Dropout(0.5, variational=True)(torch.ones(2, 9, 40), rows))
    draws = []
    for sentence, length in zip(dropped, (9, 4, 4), strict=True):
        assert torch.equal(sentence[:length], sentence[:1].expand(length, -1))
        draws.append(sentence[0].tolist())
    assert draws[0] != draws[1] != draws[2]


def test_element_dropout_draws_for_every_token():
    torch.manual_seed(0)
    dropped = Dropout(0.4, variational=False)(torch.ones(50, 6, 40), Rows(torch.full((50,), 6), 6))
    assert not torch.equal(dropped[:, 0], dropped[:, 1])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_elements_are_dropped_at_the_rate_and_each_by_itself(rate):
    torch.manual_seed(0)
    values = torch.full((40_000, 4), 3.0, requires_grad=True)
    dropped = drop(values, rate)
    dropped.sum().backward()
    assert torch.equal(values.grad * 3, dropped)
    kept = (dropped != 0).float()
    assert kept.mean(dim=0).tolist() == pytest.approx([1 - rate] * 4, abs=0.01)
    assert dropped.unique().tolist() == pytest.approx([0.0, 3 / (1 - rate)], rel=1e-3)
    # Four elements come of one draw, and are as independent as those of two.
    together = kept.T.cov() / (rate * (1 - rate))
    assert torch.allclose(together, torch.eye(4), atol=0.03)
    following = torch.stack((kept[:-1, 3], kept[1:, 0])).cov() / (rate * (1 - rate))
    assert torch.allclose(following, torch.eye(2), atol=0.03)


@pytest.mark.parametrize("shape", [(0, 3), (1,), (7, 3)])
def test_dropout_of_any_shape_type_and_rate(shape):
    values = torch.ones(shape, dtype=torch.bfloat16)
    assert drop(values, 0.5).dtype == torch.bfloat16
    assert torch.equal(drop(values, 0.0), values)
    assert torch.equal(drop(values, 1.0), torch.zeros_like(values))
    assert drop(values, 0.9999999).isfinite().all()
