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

from .best_paths import best_path_among, best_scores, find_moves, n_best_paths, trace_back
from .partition import FORBIDDEN, Sums, at_last, log_onwards, log_partition, sum_paths
from .tagging_schemes import StateSpace

# What a caller sees in place of a forbidden score: finite in float32, and softmax turns it into 0.
FORBIDDEN_LOGIT = -1e9
_ROUNDING = 1e-6  # more than what rounding adds to the score of a path
_LIKELIEST = 8  # states of a token among which the best path is looked for first


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
        self._moves = find_moves(space)
        num_states = len(space.states)
        if learned:
            self.transitions = nn.Parameter(torch.zeros(num_states, num_states))
            self.start_transitions = nn.Parameter(torch.zeros(num_states))
            self.end_transitions = nn.Parameter(torch.zeros(num_states))
        self.learned = learned
        self._penalties: dict[torch.device, tuple[Tensor, Tensor, Tensor]] = {}
        self._kept: tuple[list[tuple[int, int]], tuple[Tensor, Tensor, Tensor]] | None = None

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
        state = [(scores.data_ptr(), scores._version) for scores in learned]
        if torch.is_grad_enabled() or self._kept is None or self._kept[0] != state:
            start, transitions, end = (
                torch.where(penalty < 0, penalty, scores.to(penalty.dtype))
                for penalty, scores in zip(penalties, learned, strict=True)
            )
            if torch.is_grad_enabled():
                return start, transitions, end
            self._kept = state, (start, transitions, end)  # until the parameters change
        return self._kept[1]

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

    def _best(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Score of the best path through each state at each token, (T, S, B), and the best path of all, (B, T).

        Scores are up to a constant a token; emissions are as prepared.
        """
        start, transitions, end = self._scores(emissions.device)
        best = best_scores(emissions, start, transitions, end, lengths, self._moves)
        # Best states spell the best path unless paths tie, when they may belong to different ones.
        paths = best.through.max(dim=1).indices.T.contiguous()
        scores = self._path_scores(emissions, lengths, paths, start, transitions, end)
        mixed = (scores < best.total - 1e-6 - 1e-9 * best.total.abs()) & (lengths > 0)
        if bool(mixed.any()):
            paths[mixed] = trace_back(best.up_to[:, :, mixed], lengths[mixed], transitions, end)
        padding = torch.arange(paths.shape[1], device=lengths.device) >= lengths[:, None]
        return best.through, paths.masked_fill_(padding, 0)

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
        paths, _ = self.decode(emissions, lengths)
        return paths, self.path_scores(emissions, lengths, paths)

    @torch.no_grad()
    def decode(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Sums | None]:
        """Best legal path of each row, with the sums over all paths, which `span_log_likelihood` takes.

        The sums cost less than the maxima over all paths would (a step is a matrix product), and tell where the best
        path must be: none of probability p visits a state of smaller posterior. So the path of the likeliest states is
        the best one if it has more than half of the probability; otherwise the best path through the few likeliest
        states of each token is, if it is likelier than every state left out. Other rows are searched whole.

        Args:
            emissions: (B, T, S).
            lengths: (B,).

        Returns:
            Paths (B, T), 0 at padding, and the sums, None where there is nothing to sum.
        """
        emissions = self._prepare(emissions, lengths)
        if emissions.numel() == 0:
            return lengths.new_zeros(emissions.shape[:2]), None
        scores = self._scores(emissions.device)
        sums = sum_paths(emissions, *scores, lengths)
        if not sums.is_exact:
            return self._best(emissions, lengths)[1], sums
        padding = torch.arange(emissions.shape[1], device=lengths.device) >= lengths[:, None]
        paths = sums.posterior.argmax(dim=2).masked_fill_(padding, 0)
        log_probabilities = self._path_scores(emissions, lengths, paths, *scores) - sums.total
        (unsure,) = (log_probabilities < math.log(0.5) + _ROUNDING).nonzero(as_tuple=True)
        if len(unsure):
            few, few_lengths = emissions[unsure], lengths[unsure]
            posterior = (sums.posterior / sums.overlap)[unsure].masked_fill_(padding[unsure][:, :, None], 0.0)
            likeliest, states = posterior.topk(min(_LIKELIEST + 1, posterior.shape[2]), dim=2)
            found, margin = best_path_among(few, *scores, few_lengths, states[:, :, :_LIKELIEST])
            log_probabilities = self._path_scores(few, few_lengths, found, *scores) - sums.total[unsure]
            left_out = likeliest[:, :, _LIKELIEST:].sum(dim=2).amax(dim=1).log()  # log 0 where there is no more
            paths[unsure] = found.masked_fill_(padding[unsure], 0)
            unsure = unsure[(log_probabilities < left_out + _ROUNDING) | (margin < _ROUNDING)]
        if len(unsure):
            paths[unsure] = self._best(emissions[unsure], lengths[unsure])[1]
        return paths, sums

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
        best, paths = self._best(prepared, lengths)
        best = (best - best.amax(dim=1, keepdim=True)).float().clamp_(min=FORBIDDEN_LOGIT, max=-1e-6)
        logits = best.permute(2, 0, 1).contiguous().scatter_(2, paths[:, :, None], 0.0)
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
        if emissions.numel() == 0:
            scores = emissions.new_full((emissions.shape[0], n), -math.inf)
            scores[:, :1] = 0.0
            return lengths.new_zeros(emissions.shape[0], n, emissions.shape[1]), scores
        return n_best_paths(emissions, *self._scores(emissions.device), lengths, n)

    @torch.no_grad()
    def span_log_likelihood(
        self, emissions: Tensor, lengths: Tensor, paths: Tensor, spans: Tensor, sums: Sums | None = None
    ) -> Tensor:
        """Log-probability of stretches of given paths: of just these states there, and of nothing going on after them.

        It is the posterior of the first state, times that of each further state given the one before it, times that of
        a state that starts anew after the last.

        Args:
            emissions: (B, T, S).
            lengths: (B,).
            paths: (B, K, T) states of K legal paths a row.
            spans: (N, 4) integers: row, place among the row's paths, first token, token after the last.
            sums: Of the same emissions, if `decode` has made them.

        Returns:
            (N,), at most 0.
        """
        rows, ranks, starts, ends = spans.unbind(dim=1)
        if spans.shape[0] == 0:
            return emissions.new_zeros(0, dtype=_work_dtype(emissions.device))
        start, transitions, end = self._scores(emissions.device)
        if sums is None:
            sums = sum_paths(self._prepare(emissions, lengths), start, transitions, end, lengths)
        steps = paths.transpose(1, 2)  # (B, T, K)
        moved = transitions[steps[:, :-1], steps[:, 1:]]  # (B, T - 1, K)
        last = ends.clamp(max=emissions.shape[1] - 1)
        if sums.is_exact:
            posterior = sums.posterior[rows, starts, paths[rows, ranks, starts]] / sums.overlap[rows, starts, 0]
            onwards = sums.onwards.gather(2, steps).log()  # (B, T, K)
            afters = (transitions.exp()[steps[:, :-1]] * sums.onwards[:, 1:, None]).sum(dim=3).log()  # (B, T - 1, K)
            following = sums.onwards[rows, last].log()  # (N, S)
        else:
            emissions = self._prepare(emissions, lengths)
            posterior = self.marginals(emissions, lengths)[rows, starts, paths[rows, ranks, starts]]
            all_onwards, all_afters = log_onwards(emissions, transitions, end, lengths)
            onwards, afters = all_onwards.gather(2, steps), all_afters[:, :-1].gather(2, steps[:, :-1])
            following = all_onwards[rows, last]
        onwards, afters, following = (  # finite, so that differences are
            logs.clamp(min=FORBIDDEN_LOGIT) for logs in (onwards, afters, following)
        )
        moved = moved + onwards[:, 1:] - afters
        real = torch.arange(1, emissions.shape[1], device=lengths.device) < lengths[:, None]
        summed = nn.functional.pad(moved.masked_fill(~real[:, :, None], 0.0).cumsum(dim=1), (0, 0, 1, 0))  # (B, T, K)
        inside = summed[rows, ends - 1, ranks] - summed[rows, starts, ranks]
        following = transitions[paths[rows, ranks, ends - 1]] + following
        anew = torch.tensor(self.space.starts, device=emissions.device)
        closed = torch.logsumexp(following.masked_fill(~anew, FORBIDDEN), 1) - torch.logsumexp(following, 1)
        return (posterior.log() + inside + closed.masked_fill(ends == lengths[rows], 0.0)).clamp(max=0.0)
