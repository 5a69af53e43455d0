"""What several tests of the models need: small label sets, and paths found by looking at every one of them."""

import itertools

import torch

from hf_bilstm.models.rows import Rows

LABELS = {
    "none": ["NN", "VB", "JJ"],
    "iob2": ["O", "B-X", "I-X", "B-Y"],  # nothing can go on a Y
    "bioes": ["O", "B-X", "I-X", "B-Y"],
}


def run_layers(encoder, values, lengths, rows=None):
    """Each layer's output (B, T, D) of sentences, arranged in rows as the encoder likes unless they are given."""
    rows = rows or encoder.arrange(values, lengths)
    outputs, _ = encoder(rows.join(values), rows)
    return [rows.part(output) for output in outputs]


def as_they_come(encoder, values, lengths):
    """The same of sentences in rows of their own, for comparison."""
    return run_layers(encoder, values, lengths, Rows(lengths, values.shape[1]))


def is_legal(space, path):
    """Whether a state space allows a path of at least one state."""
    moves = itertools.pairwise(path)
    return space.starts[path[0]] and space.ends[path[-1]] and all(space.transitions[i][j] for i, j in moves)


def legal_paths(space, length):
    """All legal paths of a length, (paths, length)."""
    paths = itertools.product(range(len(space.states)), repeat=length)
    return torch.tensor([path for path in paths if is_legal(space, path)]).reshape(-1, length)


def enumerate_scores(crf, emissions):
    """All legal paths of one row of emissions (T, S), T at least 1, and their scores in float64."""
    paths = legal_paths(crf.space, len(emissions))
    scores = emissions.double()[torch.arange(len(emissions)), paths].sum(dim=1)
    if crf.learned:
        scores = scores + crf.start_transitions.double()[paths[:, 0]] + crf.end_transitions.double()[paths[:, -1]]
        scores = scores + crf.transitions.double()[paths[:, :-1], paths[:, 1:]].sum(dim=1)
    return paths, scores
