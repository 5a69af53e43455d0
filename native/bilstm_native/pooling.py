"""Pooling: the vectors of a sentence's tokens become one vector, many to one. None looks at padding.

Letters in shape comments: T tokens of the longest sentence, B sentences, D size of a vector, H units of one direction.
"""

from __future__ import annotations

import numpy as np

from .recurrence import is_token, merge


def pool_last(forward: np.ndarray, backward: np.ndarray, lengths: np.ndarray, merge_mode: str) -> np.ndarray:
    """Take what each direction says when it has read the whole sentence: at its last token, and at its first.

    Args:
        forward: (T, B, H), `BiRecurrent.directions` of the last layer.
        backward: (T, B, H), the same.
        lengths: (B,) tokens of each sentence.
        merge_mode: How the two become one, as in `merge`.

    Returns:
        (B, 2H) when concatenating, else (B, H); 0 for a sentence without tokens.
    """
    if not len(forward):
        forward = backward = np.zeros((1, *forward.shape[1:]), dtype=forward.dtype)
    has_tokens = (lengths > 0)[:, None]
    at_end = forward[np.maximum(lengths - 1, 0), np.arange(len(lengths))] * has_tokens
    return merge(at_end, backward[0] * has_tokens, merge_mode)


def pool_mean(h: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Take the mean over a sentence's tokens.

    Args:
        h: (T, B, D).
        lengths: (B,).

    Returns:
        (B, D), 0 for a sentence without tokens.
    """
    return np.where(is_token(lengths)[:, :, None], h, 0).sum(axis=0) / np.maximum(lengths, 1)[:, None].astype(h.dtype)


def pool_max(h: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Take of each number the largest over a sentence's tokens.

    Args:
        h: (T, B, D).
        lengths: (B,).

    Returns:
        (B, D), 0 for a sentence without tokens.
    """
    largest = np.where(is_token(lengths)[:, :, None], h, -np.inf).max(axis=0, initial=-np.inf)
    return np.where((lengths > 0)[:, None], largest, 0).astype(h.dtype)


def attention_scores(h: np.ndarray, weight: np.ndarray, bias: np.ndarray, context: np.ndarray) -> np.ndarray:
    """Score how much each token has to say: context . tanh(W h + b) (Yang et al. 2016, equations 5 and 6).

    Args:
        h: (T, B, D).
        weight: (A, D), W.
        bias: (A,), b.
        context: (A,), what an informative token looks like.

    Returns:
        (T, B), for `pool_attention`.
    """
    return np.tanh(h @ weight.T + bias) @ context


def pool_attention(h: np.ndarray, scores: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Take a weighted mean; the weights are a softmax of the tokens' scores (Bahdanau et al. 2015, arXiv:1409.0473).

    Args:
        h: (T, B, D).
        scores: (T, B), how much each token has to say.
        lengths: (B,).

    Returns:
        (B, D), 0 for a sentence without tokens.
    """
    real = is_token(lengths)
    peaks = np.where(real, scores, -np.inf).max(axis=0, initial=np.finfo(scores.dtype).min)
    weights = np.where(real, np.exp(np.minimum(scores - peaks, 0)), 0)  # the peak has weight 1, and none overflows
    weights /= np.maximum(weights.sum(axis=0), np.finfo(scores.dtype).tiny)
    return (weights[:, :, None] * np.where(real[:, :, None], h, 0)).sum(axis=0)
