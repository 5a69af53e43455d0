"""A linear-chain conditional random field (Lafferty et al. 2001) over the legal paths of a state space.

A path y over T tokens scores `start[y_1] + sum_t emission[t, y_t] + sum_t transition[y_t-1, y_t] + end[y_T]`; illegal
transitions score minus infinity, whether transition scores are learned or not. All rows of a batch move together, one
step of Python a token.

Letters in shape comments: N rows (B sentences, or several copies of them), T tokens, S states.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .best_paths import best_scores, find_moves, n_best_paths, trace_back
from .decoding import Chain, PathSums, best_paths, make_chain, score_paths, span_log_probabilities
from .decoding import sum_paths as sum_in_numpy
from .partition import FORBIDDEN, at_last, log_partition, sum_paths
from .tagging_schemes import OUTSIDE, StateSpace
from .weights_version import SeenWeight, is_current, weights_version

# What a caller sees in place of a forbidden score: finite in float32, and softmax turns it into 0.
FORBIDDEN_LOGIT = -1e9


def _work_dtype(device: torch.device) -> torch.dtype:
    # Sums over 100,000 tokens must still tell two paths apart; Apple's GPUs have no float64.
    return torch.float32 if device.type == "mps" else torch.float64


def _to_numpy(values: Tensor) -> np.ndarray:
    """Give scores in at least float32, and whole numbers as they are."""
    return (values.float() if values.dtype in (torch.float16, torch.bfloat16) else values).cpu().numpy()


def _state_table(space: StateSpace) -> np.ndarray:
    """State of each label before each other, and before the end, (L, L + 1); -1 where there is not just one."""
    owners = np.eye(max(space.state_to_label) + 1)[list(space.state_to_label)]  # (S, L)
    leads = np.column_stack((np.array(space.transitions) @ owners > 0, space.ends))  # (S, L + 1)
    counts = owners.T @ leads
    states = (owners * np.arange(len(owners))[:, None]).T @ leads
    return np.where(counts == 1, states, -1).astype(np.int64)


class LinearChainCrf(nn.Module):
    """Scores, sums and finds paths over the legal transitions of a state space.

    All methods take emissions right-padded to (B, T, S) and the number of real tokens of each row; a state is
    forbidden at a token by an emission of `FORBIDDEN`. Computation is in float64 (float32 where the device has none),
    whatever the dtype of the emissions.

    Args:
        space: States and legal transitions.
        learned: Whether to learn scores of transitions, starts and ends; otherwise legal ones score 0.
    """

    def __init__(self, space: StateSpace, learned: bool = True) -> None:
        super().__init__()
        self.space = space
        self.begins = np.array(space.starts)  # (S,) whether a state is the first of a span, or of no span
        self.outside = np.array([state == OUTSIDE for state in space.states])  # (S,) whether it is of no span
        self._moves = find_moves(space)
        num_states = len(space.states)
        if learned:
            self.transitions = nn.Parameter(torch.zeros(num_states, num_states))
            self.start_transitions = nn.Parameter(torch.zeros(num_states))
            self.end_transitions = nn.Parameter(torch.zeros(num_states))
        self.learned = learned
        self._penalties: dict[torch.device, tuple[Tensor, Tensor, Tensor]] = {}
        self._state_of: dict[torch.device, Tensor] = {}
        self._kept: tuple[list[SeenWeight], tuple[Tensor, Tensor, Tensor]] | None = None
        self._chain_of: tuple[tuple[Tensor, Tensor, Tensor], Chain] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out of copies what is kept by where the weights are."""
        return {**self.__dict__, "_kept": None, "_chain_of": None}

    def extra_repr(self) -> str:
        """Name the arguments in the module's printed form."""
        return f"num_states={len(self.space.states)}, learned={self.learned}"

    def _scores(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of starts (S,), transitions (S, S) and ends (S,), forbidden ones at `FORBIDDEN`."""
        if device not in self._penalties:  # made at first use: models are built on the meta device and filled later
            dtype = _work_dtype(device)
            with torch.inference_mode(False):  # tensors made in it could not serve training later
                self._penalties[device] = tuple(  # type: ignore[assignment]
                    torch.tensor(legal, device=device).logical_not().to(dtype) * FORBIDDEN
                    for legal in (self.space.starts, self.space.transitions, self.space.ends)
                )
        penalties = self._penalties[device]
        if not self.learned:
            return penalties
        learned = (self.start_transitions, self.transitions, self.end_transitions)
        may_keep = not torch.is_grad_enabled()
        if may_keep and self._kept is not None and is_current(self._kept[0], learned):
            return self._kept[1]
        version = weights_version(learned) if may_keep else None
        start, transitions, end = (
            torch.where(penalty < 0, penalty, scores.to(penalty.dtype))
            for penalty, scores in zip(penalties, learned, strict=True)
        )
        if version is not None:
            self._kept = version, (start, transitions, end)
        return start, transitions, end

    def _check(self, emissions: Tensor, lengths: Tensor) -> None:
        if emissions.dim() != 3 or emissions.shape[2] != len(self.space.states):
            raise ValueError(
                f"emissions must have shape (batch, tokens, {len(self.space.states)}), got {tuple(emissions.shape)}."
            )
        if lengths.shape != emissions.shape[:1]:
            raise ValueError(f"lengths must have shape ({emissions.shape[0]},), got {tuple(lengths.shape)}.")

    def _prepare(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Raise emissions to the working dtype and zero them at padding."""
        self._check(emissions, lengths)
        padding = torch.arange(emissions.shape[1], device=lengths.device) >= lengths[:, None]
        return emissions.to(_work_dtype(emissions.device)).masked_fill(padding[:, :, None], 0.0)

    def log_partition(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Log of the summed exponentiated scores of all legal paths.

        Args:
            emissions: (B, T, S).
            lengths: (B,).

        Returns:
            (B,), 0 for an empty row. Differentiable once.
        """
        emissions = self._prepare(emissions, lengths)
        if emissions.numel() == 0:
            return emissions.sum(dim=(1, 2))  # zeros that a training step can still go back from
        start, transitions, end = self._scores(emissions.device)
        return log_partition(emissions, start, transitions, end, lengths)

    def log_likelihood(
        self, emissions: Tensor, lengths: Tensor, observed: Tensor, rival_costs: Tensor | None = None
    ) -> Tensor:
        """Log-probability that a path agrees with what was observed.

        Args:
            emissions: (B, T, S).
            lengths: (B,).
            observed: (B, T, S) bool, the states that agree with the observation at each token; all of them where
                nothing was observed.
            rival_costs: (B, T, S) added to the emissions of the paths in the denominator, or None. With log w at every
                state that disagrees this is the softmax margin (Gimpel and Smith 2010).

        Returns:
            (B,), at most 0 without `rival_costs`; 0 for an empty row.
        """
        rivals = emissions if rival_costs is None else emissions + rival_costs
        both = torch.cat((emissions.masked_fill(~observed, FORBIDDEN), rivals))  # (2B, T, S)
        agreeing, total = self.log_partition(both, lengths.repeat(2)).chunk(2)
        return agreeing - total if rival_costs is not None else (agreeing - total).clamp(max=0.0)

    def path_log_likelihood(
        self, emissions: Tensor, lengths: Tensor, paths: Tensor, rival_costs: Tensor | None = None
    ) -> Tensor:
        """Log-probability of one path a row; as `log_likelihood` of observations that leave no other, at less cost.

        Args:
            emissions: (B, T, S).
            lengths: (B,).
            paths: (B, T) states; what stands at padding is ignored.
            rival_costs: As in `log_likelihood`.

        Returns:
            (B,), at most 0 without `rival_costs`; 0 for an empty row.
        """
        if rival_costs is not None:
            return self.path_scores(emissions, lengths, paths) - self.log_partition(emissions + rival_costs, lengths)
        emissions = self._prepare(emissions, lengths)  # once for both
        if emissions.numel() == 0:
            return emissions.sum(dim=(1, 2))  # zeros that a training step can still go back from
        scores = self._scores(emissions.device)
        found = self._path_scores(emissions, lengths, paths, *scores)
        return (found - log_partition(emissions, *scores, lengths)).clamp(max=0.0)

    def marginals(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Posterior probability of every state at every token.

        Args:
            emissions: (B, T, S).
            lengths: (B,).

        Returns:
            (B, T, S), summing to 1 at each token and 0 at padding.
        """
        prepared = self._prepare(emissions, lengths)
        if prepared.numel() == 0:
            return prepared
        with torch.no_grad():
            sums = sum_paths(prepared, *self._scores(prepared.device), lengths)
        if sums.is_exact:
            padding = torch.arange(prepared.shape[1], device=lengths.device) >= lengths[:, None]
            return (sums.posterior / sums.overlap).masked_fill(padding[:, :, None], 0.0)
        # The gradient of the log partition with respect to an emission is the state's posterior.
        with torch.inference_mode(False), torch.enable_grad():
            emissions = emissions.detach().clone().requires_grad_()
            total = self.log_partition(emissions, lengths.clone()).sum()
            (gradient,) = torch.autograd.grad(total, emissions)
        return gradient

    def _best(self, emissions: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Score of the best path through each state at each token, (B, T, S), and the best path of all, (B, T).

        Scores are up to a constant a token. What stands at padding is arbitrary; the third is where it is not, (B, T).
        """
        chain = self._chain()
        best = best_scores(emissions, lengths, chain, self._moves)
        real = np.arange(emissions.shape[1]) < lengths[:, None]
        # Best states spell the best path unless paths tie, when they may belong to different ones.
        paths = np.zeros(real.shape, dtype=np.int64)
        paths[real] = best.through[real].argmax(axis=1)
        found = score_paths(paths.T, emissions.transpose(1, 0, 2), real.T, chain)
        mixed = (found < best.total - 1e-6 - 1e-9 * np.abs(best.total)) & (lengths > 0)
        if mixed.any():
            paths[mixed] = trace_back(best.up_to[mixed], lengths[mixed], chain)
        return best.through, paths, real

    def only_paths(self, labels: Tensor, lengths: Tensor) -> Tensor | None:
        """Find the one path of each row that can agree with its labels, where they leave no choice.

        The state of a label follows from the label after it: `B-X` before `I-X` opens a span, before others it is one.

        Args:
            labels: (B, T) label ids, negative where unknown; what stands at padding is ignored.
            lengths: (B,).

        Returns:
            (B, T) states, arbitrary at padding; None if a label is unknown, or more than one state is possible.
        """
        if labels.device not in self._state_of:
            with torch.inference_mode(False):  # as in `_scores`
                self._state_of[labels.device] = torch.tensor(_state_table(self.space), device=labels.device)
        table = self._state_of[labels.device]  # (L, L + 1)
        real = torch.arange(labels.shape[1], device=labels.device) < lengths[:, None]
        # Nothing comes after the last label, which is the last column.
        following = torch.where(real, labels, -1)[:, 1:].clamp(min=-1)
        states = table[labels.clamp(min=0), nn.functional.pad(following, (0, 1), value=-1)]
        is_known = (labels >= 0) & (states >= 0)
        return states if bool((is_known | ~real).all()) else None

    def path_scores(self, emissions: Tensor, lengths: Tensor, paths: Tensor) -> Tensor:
        """Score of one path a row.

        Args:
            emissions: (B, T, S).
            lengths: (B,).
            paths: (B, T) states; what stands at padding is ignored.

        Returns:
            (B,), 0 for an empty row.
        """
        emissions = self._prepare(emissions, lengths)
        if emissions.numel() == 0:
            return emissions.new_zeros(emissions.shape[0])
        return self._path_scores(emissions, lengths, paths, *self._scores(emissions.device))

    def _path_scores(
        self, emissions: Tensor, lengths: Tensor, paths: Tensor, start: Tensor, transitions: Tensor, end: Tensor
    ) -> Tensor:
        real = torch.arange(paths.shape[1], device=lengths.device) < lengths[:, None]
        paths = paths.masked_fill(~real, 0)
        emitted = emissions.gather(2, paths[:, :, None]).squeeze(2).sum(dim=1)
        moved = (transitions[paths[:, :-1], paths[:, 1:]] * real[:, 1:]).sum(dim=1)
        total = emitted + moved + start[paths[:, 0]] + end[at_last(paths, lengths)]
        return total.masked_fill(lengths == 0, 0.0)

    @torch.no_grad()
    def viterbi(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Best legal path of each row.

        Args:
            emissions: (B, T, S).
            lengths: (B,).

        Returns:
            Paths (B, T), 0 at padding, and their scores (B,).
        """
        paths = torch.from_numpy(self.decode(emissions, lengths)[0]).to(emissions.device)
        return paths, self.path_scores(emissions, lengths, paths)

    @torch.no_grad()
    def decode(self, emissions: Tensor, lengths: Tensor) -> tuple[np.ndarray, PathSums | None]:
        """Best legal path of each row, with the sums over all paths, as `span_log_likelihood` takes them.

        Args:
            emissions: (B, T, S).
            lengths: (B,).

        Returns:
            Paths (B, T), 0 at padding, and the sums, None where there is nothing to sum.
        """
        self._check(emissions, lengths)
        if emissions.numel() == 0:
            return np.zeros(emissions.shape[:2], dtype=np.int64), None
        sums = self._sum(emissions, lengths)
        found, unknown = best_paths(sums)
        paths = np.where(sums.real, found, 0).T
        rows = unknown.nonzero()[0]
        if len(rows):
            _, best, real = self._best(sums.emissions[:, rows].transpose(1, 0, 2), sums.lengths[rows])
            paths[rows] = np.where(real, best, 0)
        return paths, sums

    def _sum(self, emissions: Tensor, lengths: Tensor) -> PathSums:
        return sum_in_numpy(_to_numpy(emissions), _to_numpy(lengths), self._chain())

    def _chain(self) -> Chain:
        """Scores of starts, transitions and ends, and what sums need of them, in NumPy."""
        scores = self._scores(torch.device("cpu") if not self.learned else self.transitions.device)
        if self._chain_of is None or self._chain_of[0] is not scores:
            self._chain_of = scores, make_chain(*(values.double().cpu().numpy() for values in scores))
        return self._chain_of[1]

    @torch.no_grad()
    def max_marginals(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Score of the best legal path through each state at each token, relative to the best of all.

        Args:
            emissions: (B, T, S).
            lengths: (B,).

        Returns:
            (B, T, S) float32: 0 for the state of the one best path, below 0 for every other state even where paths
            tie, and `FORBIDDEN_LOGIT` for states that no legal path visits; 0 at padding.
        """
        self._check(emissions, lengths)
        if emissions.numel() == 0:
            return emissions.new_zeros(emissions.shape, dtype=torch.float32)
        through, paths, real = self._best(_to_numpy(emissions).astype(np.float64), _to_numpy(lengths))
        best = through[real]  # (N, S), of N tokens
        best -= best.max(axis=1, keepdims=True)
        np.clip(best, FORBIDDEN_LOGIT, -1e-6, out=best)
        np.put_along_axis(best, paths[real][:, None], 0.0, axis=1)
        logits = np.zeros(through.shape, dtype=np.float32)
        logits[real] = best
        return torch.from_numpy(logits).to(emissions.device)

    @torch.no_grad()
    def n_best(self, emissions: Tensor, lengths: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The n best legal paths of each row.

        Args:
            emissions: (B, T, S).
            lengths: (B,).
            n: Paths wanted, at least 1.

        Returns:
            Paths (B, n, T), 0 at padding, and their scores (B, n) in falling order; a row that has fewer legal paths
            has scores of minus infinity in the places left over.

        Raises:
            ValueError: If n is below 1.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}.")
        emissions = self._prepare(emissions, lengths)
        if emissions.numel() == 0:
            scores = emissions.new_full((emissions.shape[0], n), -math.inf)
            scores[:, :1] = 0.0
            return lengths.new_zeros(emissions.shape[0], n, emissions.shape[1]), scores
        return n_best_paths(emissions, *self._scores(emissions.device), lengths, n)

    @torch.no_grad()
    def span_log_likelihood(
        self, emissions: Tensor, lengths: Tensor, paths: np.ndarray, spans: np.ndarray, sums: PathSums | None = None
    ) -> np.ndarray:
        """Log-probability of stretches of given paths: of just these states there, and of nothing going on after them.

        Args:
            emissions: (B, T, S).
            lengths: (B,).
            paths: (B, K, T) states of K legal paths a row.
            spans: (N, 4) integers: row, place among the row's paths, first token, token after the last.
            sums: Of the same emissions, if `decode` has made them.

        Returns:
            (N,) float64, at most 0.
        """
        if len(spans) == 0:
            return np.zeros(0)
        if sums is None:
            self._check(emissions, lengths)
            sums = self._sum(emissions, lengths)
        return span_log_probabilities(sums, paths, spans, self.begins)
