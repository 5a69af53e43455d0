"""A linear-chain conditional random field (Lafferty et al. 2001) over the legal paths of a state space.

A path y over T tokens scores `start[y_1] + sum_t emission[t, y_t] + sum_t transition[y_t-1, y_t] + end[y_T]`; illegal
transitions score minus infinity, whether transition scores are learned or not. All rows of a batch move together, one
step of Python a token.

Letters in shape comments: N rows (B sentences, or several copies of them), T tokens, S states.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .partition import FORBIDDEN, at_last, log_partition
from .recurrence import reversal_index
from .tagging_schemes import StateSpace

# What a caller sees in place of a forbidden score: finite in float32, and softmax turns it into 0.
FORBIDDEN_LOGIT = -1e9


def _work_dtype(device: torch.device) -> torch.dtype:
    # Sums over 100,000 tokens must still tell two paths apart; Apple's GPUs have no float64.
    return torch.float32 if device.type == "mps" else torch.float64


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
        num_states = len(space.states)
        if learned:
            self.transitions = nn.Parameter(torch.zeros(num_states, num_states))
            self.start_transitions = nn.Parameter(torch.zeros(num_states))
            self.end_transitions = nn.Parameter(torch.zeros(num_states))
        self.learned = learned
        self._penalties: dict[torch.device, tuple[Tensor, Tensor, Tensor]] = {}

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
        start, transitions, end = (
            torch.where(penalty < 0, penalty, scores.to(penalty.dtype))
            for penalty, scores in zip(penalties, learned, strict=True)
        )
        return start, transitions, end

    def _prepare(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Raise emissions to the working dtype and zero them at padding."""
        if emissions.dim() != 3 or emissions.shape[2] != len(self.space.states):
            raise ValueError(
                f"emissions must have shape (batch, tokens, {len(self.space.states)}), got {tuple(emissions.shape)}."
            )
        if lengths.shape != emissions.shape[:1]:
            raise ValueError(f"lengths must have shape ({emissions.shape[0]},), got {tuple(lengths.shape)}.")
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

    def marginals(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Posterior probability of every state at every token.

        Args:
            emissions: (B, T, S).
            lengths: (B,).

        Returns:
            (B, T, S), summing to 1 at each token and 0 at padding.
        """
        # The gradient of the log partition with respect to an emission is the state's posterior.
        with torch.inference_mode(False), torch.enable_grad():
            emissions = emissions.detach().clone().requires_grad_()
            total = self.log_partition(emissions, lengths.clone()).sum()
            (gradient,) = torch.autograd.grad(total, emissions)
        return gradient

    def _best_scores(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score of the best path up to each state, and of the best path after it, each up to a constant per token.

        Args:
            emissions: (B, T, S) as prepared.
            lengths: (B,).

        Returns:
            Best scores up to and with each token (B, T, S), best scores after it (B, T, S), and the best path (B, T).
        """
        start, transitions, end = self._scores(emissions.device)
        reversal = reversal_index(lengths, emissions.shape[1])[:, :, None].expand_as(emissions)
        steps = (
            torch.stack((emissions, emissions.gather(1, reversal))).permute(2, 0, 1, 3).contiguous()
        )  # (T, 2, B, S)
        # Entry [direction, to, from], so that the maximum runs over the last, contiguous dimension.
        moves = torch.stack((transitions.T, transitions))[:, None]  # (2, 1, S, S)
        incoming = torch.stack((start, end))[:, None, :].expand(-1, emissions.shape[0], -1)  # (2, B, S)
        arrived, reached = [], []
        for step in steps:
            arrived.append(incoming)
            current = incoming + step
            current = current - current.amax(dim=2, keepdim=True)  # keeps the numbers small over any length
            reached.append(current)
            incoming = (current[:, :, None, :] + moves).amax(dim=3)
        after = torch.stack([pair[1] for pair in arrived], dim=1).gather(1, reversal)
        up_to = [pair[0] for pair in reached]
        path = self._trace_back(up_to, lengths, transitions, end)
        return torch.stack(up_to, dim=1), after, path

    def _trace_back(self, up_to: list[Tensor], lengths: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
        """Follow the best path from each row's last token to its first: (B, T), 0 at padding."""
        into = transitions.T.contiguous()  # row j: scores of moving into state j
        state = torch.zeros_like(lengths)
        path = []
        for position in range(len(up_to) - 1, -1, -1):
            scores = torch.where((lengths == position + 1)[:, None], end, into[state])  # (B, S)
            state = (up_to[position] + scores).argmax(dim=1)
            path.append(state)
        states = torch.stack(path[::-1], dim=1)
        padding = torch.arange(states.shape[1], device=lengths.device) >= lengths[:, None]
        return states.masked_fill(padding, 0)

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
        start, transitions, end = self._scores(emissions.device)
        real = torch.arange(paths.shape[1], device=lengths.device) < lengths[:, None]
        paths = paths.masked_fill(~real, 0)
        emitted = emissions.gather(2, paths[:, :, None]).squeeze(2).sum(dim=1)
        moved = (transitions[paths[:, :-1], paths[:, 1:]] * real[:, 1:]).sum(dim=1)
        total = emitted + moved + start[paths[:, 0]] + end[at_last(paths, lengths)]
        return total.masked_fill(lengths == 0, 0.0)

    @torch.no_grad()
    def viterbi(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Best legal path of each row (Viterbi 1967).

        Args:
            emissions: (B, T, S).
            lengths: (B,).

        Returns:
            Paths (B, T), 0 at padding, and their scores (B,).
        """
        prepared = self._prepare(emissions, lengths)
        if prepared.numel() == 0:
            return lengths.new_zeros(prepared.shape[:2]), prepared.new_zeros(prepared.shape[0])
        _, _, paths = self._best_scores(prepared, lengths)
        return paths, self.path_scores(prepared, lengths, paths)

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
        prepared = self._prepare(emissions, lengths)
        if prepared.numel() == 0:
            return emissions.new_zeros(prepared.shape, dtype=torch.float32)
        up_to, after, paths = self._best_scores(prepared, lengths)
        best = up_to + after
        best = best - best.amax(dim=2, keepdim=True)
        logits = best.float().clamp(min=FORBIDDEN_LOGIT, max=-1e-6).scatter(2, paths[:, :, None], 0.0)
        padding = torch.arange(logits.shape[1], device=lengths.device) >= lengths[:, None]
        return logits.masked_fill(padding[:, :, None], 0.0)

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
        batch_size, num_tokens, num_states = emissions.shape
        if emissions.numel() == 0:
            scores = emissions.new_full((batch_size, n), -math.inf)
            scores[:, :1] = 0.0
            return lengths.new_zeros(batch_size, n, num_tokens), scores
        start, transitions, end = self._scores(emissions.device)
        into = transitions.T[:, :, None]  # (S to, S from, 1)
        current = emissions.new_full((batch_size, num_states, n), FORBIDDEN)
        current[:, :, 0] = start + emissions[:, 0]
        origins = []
        for position, emission in enumerate(emissions.unbind(dim=1)[1:], start=1):
            candidates = (current[:, None] + into).flatten(2)  # (B, S to, S from * n)
            moved, origin = candidates.topk(n, dim=2)
            current = torch.where((lengths > position)[:, None, None], moved + emission[:, :, None], current)
            origins.append(origin.int())
        last = current + end[:, None]  # (B, S, n), at each row's last token
        scores, place = last.flatten(1).topk(n, dim=1)  # place = state * n + rank
        places = []
        for position in range(num_tokens - 1, -1, -1):
            if position < num_tokens - 1:
                moved = origins[position].flatten(1).gather(1, place).long()
                place = torch.where((lengths > position + 1)[:, None], moved, place)
            places.append(place // n)
        paths = torch.stack(places[::-1], dim=2)  # (B, n, T)
        padding = torch.arange(num_tokens, device=lengths.device) >= lengths[:, None]
        scores = scores.masked_fill(scores < FORBIDDEN / 2, -math.inf)
        empty = (lengths == 0)[:, None] & (torch.arange(n, device=lengths.device) > 0)
        scores = scores.masked_fill((lengths == 0)[:, None], 0.0).masked_fill(empty, -math.inf)
        return paths.masked_fill(padding[:, None, :], 0), scores

    @torch.no_grad()
    def span_log_likelihood(self, emissions: Tensor, lengths: Tensor, paths: Tensor, spans: Tensor) -> Tensor:
        """Log-probability of stretches of given paths: of just these states there, and of nothing going on after them.

        It is the posterior of the first state, times that of each further state given the one before it, times that of
        a state that starts anew after the last.

        Args:
            emissions: (B, T, S).
            lengths: (B,).
            paths: (B, K, T) states of K legal paths a row.
            spans: (N, 4) integers: row, place among the row's paths, first token, token after the last.

        Returns:
            (N,), at most 0.
        """
        rows, ranks, starts, ends = spans.unbind(dim=1)
        if spans.shape[0] == 0:
            return emissions.new_zeros(0, dtype=_work_dtype(emissions.device))
        emissions = self._prepare(emissions, lengths)
        posterior = self.marginals(emissions, lengths)[rows, starts, paths[rows, ranks, starts]]
        _, transitions, end = self._scores(emissions.device)
        after = end.expand(emissions.shape[0], -1)
        # Summed scores of what may come from each token on, and after it, up to one constant a token: (B, T, S).
        onwards, afters = torch.empty_like(emissions), torch.empty_like(emissions)
        for position in range(emissions.shape[1] - 1, -1, -1):
            onward = emissions[:, position] + after
            onward = onward - onward.amax(dim=1, keepdim=True)  # keeps the numbers small over any length
            onwards[:, position], afters[:, position] = onward, after
            after = torch.logsumexp(transitions + onward[:, None], dim=2)
            after = torch.where((lengths > position)[:, None], after, end)
        steps = paths.transpose(1, 2)  # (B, T, K)
        moved = transitions[steps[:, :-1], steps[:, 1:]] + onwards[:, 1:].gather(2, steps[:, 1:])
        moved = moved - afters[:, :-1].gather(2, steps[:, :-1])
        real = torch.arange(1, emissions.shape[1], device=lengths.device) < lengths[:, None]
        summed = nn.functional.pad(moved.masked_fill(~real[:, :, None], 0.0).cumsum(dim=1), (0, 0, 1, 0))  # (B, T, K)
        inside = summed[rows, ends - 1, ranks] - summed[rows, starts, ranks]
        following = transitions[paths[rows, ranks, ends - 1]]  # (N, S)
        following = following + onwards[rows, ends.clamp(max=emissions.shape[1] - 1)]
        anew = torch.tensor(self.space.starts, device=emissions.device)
        closed = torch.logsumexp(following.masked_fill(~anew, FORBIDDEN), 1) - torch.logsumexp(following, 1)
        return (posterior.log() + inside + closed.masked_fill(ends == lengths[rows], 0.0)).clamp(max=0.0)
