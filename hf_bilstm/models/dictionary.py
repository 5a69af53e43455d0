"""User dictionaries: words whose scores join the decoder's, so that the model can overrule them, or that are forced.

Letters in shape comments: B rows, T tokens, S states, K nodes of the trie, P profiles, Y span types, N words found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .partition import FORBIDDEN
from .tagging_schemes import StateSpace, split_tag
from .tokenizer_backend import WHITE_SPACE, read_options
from .trie import Matches, Trie, build_trie, find_words
from .word_lists import fold_text, read_word_list, split_words

DEFAULT_WEIGHT = 10.0
_FIRST, _INSIDE, _LAST, _SINGLE = range(4)
_POSITIONS = {"B": _FIRST, "I": _INSIDE, "E": _LAST, "S": _SINGLE}


class DictionaryEntry(NamedTuple):
    """A word, what it adds to the score of a path that holds it, and the type of its span; None for every type."""

    word: str
    weight: float = DEFAULT_WEIGHT
    tag: str | None = None


class UserDictionary:
    """Words that a tagger should know. Neither the order of entries nor their repetition makes a difference.

    A word's weight w is added to the score of every path that has exactly this word as a span. Scores are logarithms:
    w makes such a path exp(w) times as probable against any other. Of several weights for one word and tag the largest
    counts.

        >>> UserDictionary(["计算机", ("北京大学", 8.0, "ORG"), ("大学", -5.0)])

    Args:
        entries: Words, or tuples or lists `(word, weight, tag)` from whose end may be left out what `DictionaryEntry`
            has a default for. White space around a word is dropped. A negative weight speaks against a word.
        force: Whether paths without the word are forbidden wherever it stands in a text. Of words that overlap there
            the longest is forced, then the leftmost.

    Attributes:
        entries: The entries.
        force: As above.

    Raises:
        ValueError: If an entry is wrong, or `entries` is one string.
    """

    def __init__(self, entries: Iterable[str | Sequence[Any]], force: bool = False) -> None:
        if isinstance(entries, str):  # whose characters would each be an entry
            raise ValueError(f"entries is the string {entries!r:.80}: it takes a list of words, [{entries!r:.80}].")
        self.entries: list[DictionaryEntry] = []
        self.force = force
        for number, entry in enumerate(entries):
            given = (entry,) if isinstance(entry, str) else entry
            if not isinstance(given, (tuple, list)) or not 1 <= len(given) <= 3:
                raise ValueError(
                    f"Entry {number} is {entry!r}: it takes a word, or (word, weight, tag) or less of it."
                )
            self.entries.append(DictionaryEntry(*given))
            if fault := _find_fault(self.entries[-1], force):
                raise ValueError(f"Entry {number}: {fault}")

    @classmethod
    def from_file(cls, path: str | Path, force: bool = False) -> UserDictionary:
        """Read a dictionary: `word`, `word weight`, `word tag` or `word weight tag` a line, in UTF-8.

        Where a line has a tab, tabs part its fields, and the word may hold spaces; spaces part them otherwise. Empty
        lines are skipped.

        Args:
            path: The file.
            force: As for the class.

        Returns:
            The dictionary.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If a line is wrong.
        """
        dictionary = cls((), force)
        for line, word, number, tag in read_word_list(path):
            entry = DictionaryEntry(word, DEFAULT_WEIGHT if number is None else number, tag)
            dictionary.entries.append(entry)
            if fault := _find_fault(entry, force):
                raise ValueError(f"{path}, line {line}: {fault}")
        return dictionary

    def __len__(self) -> int:
        return len(self.entries)


def _find_fault(entry: DictionaryEntry, force: bool) -> str | None:
    word, weight, tag = entry
    if not isinstance(word, str) or not word.strip(WHITE_SPACE):
        return f"the word is {word!r}, but it takes a text of more than white space."
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not math.isfinite(weight) or not weight:
        return f"the weight of {word!r} is {weight!r}, but it takes a finite number other than 0."
    if force and weight < 0:
        return f"{word!r} has the weight {weight}, but a forced word takes one above 0."
    if tag is not None and not isinstance(tag, str):
        return f"the tag of {word!r} is {tag!r}, but it takes None or the name of a type."
    return None


class _States(NamedTuple):
    """For each state its position in a span (-1 for `O`), and its place among the types."""

    types: list[str]
    positions: list[int]
    owners: list[int]


def _read_states(space: StateSpace, scheme: str) -> _States:
    if scheme == "iob2":
        raise ValueError(
            "A dictionary needs a tagger that knows where a span ends, and this one reasons in tagging_scheme='iob2': "
            "train it with tagging_scheme='bioes'."
        )
    if scheme == "none":
        return _States(list(space.states), [_SINGLE] * len(space.states), list(range(len(space.states))))
    pairs = [split_tag(state) for state in space.states]
    types = list(dict.fromkeys(kind for prefix, kind in pairs if prefix in _POSITIONS))
    positions = [_POSITIONS.get(prefix, -1) for prefix, _ in pairs]
    return _States(types, positions, [types.index(kind) if prefix in _POSITIONS else 0 for prefix, kind in pairs])


class DictionaryScores(nn.Module):
    """A dictionary as a tagger's decoder takes it: a trie over token ids, and what each word adds to which states.

    Weights are added to the emissions of single states, so that all that decodes emissions knows of them. No sum over
    single states is w for a span of several tokens and 0 for every other; the nearest is added here. A span that has
    two or more tokens of the word gains w/2 for each end that it shares with the word and loses w/2 for each end that
    it does not: w for the word itself, 0 for spans that begin or end with it, -w for those that do neither. A word of
    one token adds exactly w. All other spans, and those of other types than the word's, gain and lose nothing.

    A word inside a longer word of the dictionary does not count there, so that 计, 算 and 机 do not add up against
    计算机; a longer word that has a negative weight hides nothing.

    Args:
        space: States of the tagger.
        scheme: Its `tagging_scheme`.
        num_nodes: Nodes of the trie.
        num_profiles: Different ways in which words count.

    Attributes:
        keys: (K,) the trie's.
        profiles: (K,) number of the profile of the word that ends at each node, from 1 on; 0 where none does.
        weights: (P, Y) what a word adds to a span of each type, 0 where it is no such span.
        forced: (P,) whether other paths are forbidden.
    """

    keys: Tensor
    profiles: Tensor
    weights: Tensor
    forced: Tensor

    def __init__(self, space: StateSpace, scheme: str, num_nodes: int, num_profiles: int) -> None:
        super().__init__()
        self._states = _read_states(space, scheme)
        self.register_buffer("keys", torch.zeros(num_nodes, dtype=torch.long))
        self.register_buffer("profiles", torch.zeros(num_nodes, dtype=torch.long))
        self.register_buffer("weights", torch.zeros(num_profiles, len(self._states.types)))
        self.register_buffer("forced", torch.zeros(num_profiles, dtype=torch.bool))

    def forward(self, emissions: Tensor, input_ids: Tensor, lengths: Tensor) -> Tensor:
        """Let the words of a batch count.

        Args:
            emissions: (B, T, S), right-padded.
            input_ids: (B, T).
            lengths: (B,) real tokens of each row.

        Returns:
            (B, T, S).
        """
        found = find_words(Trie(self.keys, self.profiles), input_ids, lengths)
        if not found.rows.numel():
            return emissions
        profiles = self.profiles[found.nodes] - 1
        counts = (self.weights[profiles] != 0).any(dim=1)  # none does where labels were replaced
        forced = self.forced[profiles] & counts
        hidden = _inside_others(found, (self.weights[profiles] > 0).any(dim=1), emissions.shape[1])
        return self._force(self._add(emissions, found.select(~forced & ~hidden)), found.select(forced))

    def _add(self, emissions: Tensor, found: Matches) -> Tensor:
        """Add the weights of words to the states of their tokens."""
        num_rows, width, _ = emissions.shape
        weights = self.weights[self.profiles[found.nodes] - 1]  # (N, Y)
        added = weights.new_zeros(num_rows * width, 4, weights.shape[1])  # by position in a span and type
        single = found.sizes == 1
        firsts = found.rows * width + found.starts
        _accumulate(added, firsts[single], _SINGLE, weights[single])
        firsts, sizes, halves = firsts[~single], found.sizes[~single], weights[~single] / 2
        lasts = firsts + sizes - 1
        for places, gains, loses in ((firsts, _FIRST, _INSIDE), (lasts, _LAST, _INSIDE)):
            _accumulate(added, places, gains, halves)
            _accumulate(added, places, loses, -halves)
        inner, owners = _spread(firsts + 1, sizes - 2)
        for position in (_FIRST, _LAST):
            _accumulate(added, inner, position, -halves[owners])
        columns = [
            position * len(self._states.types) + owner if position >= 0 else added[0].numel()
            for position, owner in zip(self._states.positions, self._states.owners, strict=True)
        ]
        by_state = nn.functional.pad(added.flatten(1), (0, 1))[:, torch.tensor(columns, device=added.device)]
        return emissions + by_state.reshape(emissions.shape)

    def _force(self, emissions: Tensor, found: Matches) -> Tensor:
        """Leave only the states of the forced words at their tokens."""
        found = found.select(_without_overlaps(found, emissions.shape[1]))
        if not found.rows.numel():
            return emissions
        device = emissions.device
        firsts = found.rows * emissions.shape[1] + found.starts
        tokens, words = _spread(firsts, found.sizes)
        is_first, is_last = tokens == firsts[words], tokens == (firsts + found.sizes - 1)[words]
        positions = torch.full_like(tokens, _INSIDE)
        for position, where in ((_FIRST, is_first), (_LAST, is_last), (_SINGLE, is_first & is_last)):
            positions = positions.masked_fill(where, position)
        types = self.weights[self.profiles[found.nodes] - 1] != 0  # (N, Y)
        legal = torch.tensor(self._states.positions, device=device) == positions[:, None]
        legal &= types[:, torch.tensor(self._states.owners, device=device)][words]
        by_token = emissions.flatten(0, 1).clone()
        scores = by_token[tokens]
        scores = torch.where(
            scores > FORBIDDEN / 2, scores, 0.0
        )  # white space inside a word counts as any token there
        by_token[tokens] = scores.masked_fill(~legal, FORBIDDEN)
        return by_token.reshape(emissions.shape)


def _accumulate(added: Tensor, places: Tensor, position: int, weights: Tensor) -> None:
    added.index_put_((places, torch.full_like(places, position)), weights, accumulate=True)


def _spread(firsts: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """List the places of stretches, and the number of the stretch that each belongs to."""
    owners = torch.repeat_interleave(sizes)
    before = sizes.cumsum(dim=0) - sizes
    return firsts[owners] + torch.arange(len(owners), device=sizes.device) - before[owners], owners


def _inside_others(found: Matches, hides: Tensor, width: int) -> Tensor:
    """Tell which words lie inside a longer one that hides others: (N,) bool."""
    firsts = found.rows * width + found.starts
    ends = firsts + found.sizes
    order = (firsts * (width + 1) - found.sizes).argsort()  # by start, the longer first
    reached = ends.masked_fill(~hides, 0)[order].cummax(dim=0).values  # by words that start no later
    before = nn.functional.pad(reached[:-1], (1, 0))
    return torch.zeros_like(hides).index_put_((order,), before >= ends[order])


def _without_overlaps(found: Matches, width: int) -> Tensor:
    """Choose words that do not overlap, the longest first, then the leftmost: (N,) bool."""
    firsts = found.rows * width + found.starts
    priorities = found.sizes * (width + 1) - found.starts  # of two words that overlap, never the same
    chosen = torch.zeros_like(firsts, dtype=torch.bool)
    left = torch.arange(len(firsts), device=firsts.device)
    while left.numel():  # in every round the first of those that are left is chosen, and more where they lie apart
        tokens, owners = _spread(firsts[left], found.sizes[left])
        of_token = priorities[left][owners]
        best = firsts.new_zeros(int(tokens.max()) + 1).scatter_reduce(0, tokens, of_token, "amax")
        loses = torch.zeros_like(left).index_add_(0, owners, (best[tokens] != of_token).long())
        chosen[left[loses == 0]] = True
        taken = torch.zeros_like(best).index_fill_(0, tokens[(loses == 0)[owners]], 1)
        overlaps = torch.zeros_like(left).index_add_(0, owners, taken[tokens])
        left = left[overlaps == 0]
    return chosen


class BoundDictionary(NamedTuple):
    """A dictionary made ready for a tagger.

    Args:
        scores: What joins the decoder.
        new_ids: Ids, outside of the vocabulary, of tokens that the dictionary holds and the vocabulary lacks.
    """

    scores: DictionaryScores
    new_ids: dict[str, int]


def bind_dictionary(dictionary: UserDictionary, tokenizer: Any, space: StateSpace, config: Any) -> BoundDictionary:
    """Make a dictionary ready for a tagger.

    Args:
        dictionary: The words.
        tokenizer: The tagger's tokenizer.
        space: The tagger's states.
        config: The tagger's configuration.

    Returns:
        The dictionary over token ids, on the CPU.

    Raises:
        ValueError: If the tagger has no such tag as an entry, or can never tag an entry.
    """
    states = _read_states(space, config.tagging_scheme)
    ids = tokenizer.get_vocab()
    vocab_size = config.vocab_size
    new_ids: dict[str, int] = {}
    words: dict[tuple[int, ...], dict[str | None, float]] = {}
    texts: dict[tuple[int, ...], str] = {}
    for entry, tokens in _split_entries(dictionary.entries, tokenizer):
        for token in tokens:
            if token not in ids:
                ids[token] = new_ids[token] = max(vocab_size, len(ids))
        word = tuple([ids[token] for token in tokens])
        weights = words.setdefault(word, {})
        weights[entry.tag] = max(entry.weight, weights.get(entry.tag, -math.inf))
        texts[word] = entry.word
    profiles: dict[tuple[Any, ...], int] = {}
    rows, numbers = [], [0]
    white_space = config.white_space_token_id
    for word, weights in words.items():
        forced = dictionary.force or white_space in word  # only the user can say that a word goes on after white space
        key = (len(word) == 1, forced, frozenset(weights.items()))
        if key not in profiles:
            rows.append(_spell_weights(weights, len(word), states, texts[word]))
            profiles[key] = len(rows)
        numbers.append(profiles[key])
    trie = build_trie(list(words))
    scores = DictionaryScores(space, config.tagging_scheme, len(trie.keys), len(rows))
    scores.keys.copy_(trie.keys)
    scores.profiles.copy_(torch.tensor(numbers)[trie.values])
    scores.weights.copy_(torch.tensor(rows).reshape(scores.weights.shape))
    scores.forced.copy_(torch.tensor([forced for _, forced, _ in profiles], dtype=torch.bool))
    return BoundDictionary(scores, new_ids)


def _split_entries(entries: list[DictionaryEntry], tokenizer: Any) -> Iterator[tuple[DictionaryEntry, list[str]]]:
    words = [entry.word.strip(WHITE_SPACE) for entry in entries]
    yield from zip(entries, split_words(words, tokenizer), strict=True)
    if read_options(tokenizer.backend_tokenizer)["granularity"] == "word":  # a given word is one token in any case
        for entry, word in zip(entries, words, strict=True):
            yield entry, [fold_text(word, tokenizer)]


def _spell_weights(weights: dict[str | None, float], size: int, states: _States, word: str) -> list[float]:
    """Say what a word of some size adds to a span of each type."""
    longer = {owner for position, owner in zip(states.positions, states.owners, strict=True) if position == _FIRST}
    possible = [kind for place, kind in enumerate(states.types) if size == 1 or place in longer]
    by_type: dict[str, float] = {}
    for tag, weight in weights.items():
        if tag is not None and tag not in states.types:
            raise ValueError(
                f"The dictionary gives {word!r} the tag {tag!r}, which is not one of the model's: "
                f"{', '.join(map(repr, states.types))}."
            )
        tagged = possible if tag is None else [kind for kind in possible if kind == tag]
        if not tagged:
            raise ValueError(
                f"The dictionary holds {word!r}, which is {size} tokens, but the model has no label for more than one "
                f"token{'' if tag is None else f' of type {tag!r}'}: take it out."
            )
        for kind in tagged:
            by_type[kind] = max(weight, by_type.get(kind, -math.inf))
    return [by_type.get(kind, 0.0) for kind in states.types]
