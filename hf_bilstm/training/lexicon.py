"""Lexicons of new models: words learned from training data, and from a word list."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import torch
from transformers.utils import logging

from hf_bilstm.models.tagging_schemes import OUTSIDE, split_tag, tags_to_spans
from hf_bilstm.models.trie import Trie, build_trie
from hf_bilstm.models.word_lists import read_word_list, split_words

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

# Most sets of several labels that are told apart; words with others count as having their commonest label alone.
_MOST_LABEL_SETS = 200
# The labels of each word over token ids, and how often it has each.
_Words = dict[tuple[int, ...], Counter[str]]
logger = logging.get_logger(__name__)


class Lexicon(NamedTuple):
    """W words over token ids, as `LexiconFeatures.fill` takes them.

    Args:
        trie: The words.
        frequencies: (W,) how often each occurs, at least 1.
        held_out: (W,) 1 for words of the training data, 0 for others.
        label_sets: (W,) number of the set of labels that each has in the training data, from 1 on, 0 for no label.
        held_out_label_sets: (W,) of the labels that each has at least twice: those that are left where a sentence has
            not been counted.
    """

    trie: Trie
    frequencies: torch.Tensor
    held_out: torch.Tensor
    label_sets: torch.Tensor
    held_out_label_sets: torch.Tensor

    @property
    def num_label_sets(self) -> int:
        """Number of the last set."""
        return int(torch.cat((self.label_sets, self.held_out_label_sets, torch.zeros(1))).max())


def learn_lexicon(
    data: Dataset, tokenizer: PreTrainedTokenizerBase, min_frequency: int = 1, word_list: str | None = None
) -> Lexicon:
    """Collect the words (or entities: whatever the spans are) of training data, and those of a word list.

    Words with tokens that are not in the vocabulary are left out.

    Args:
        data: Columns `tokens` and `tags`, the tags in IOB2.
        tokenizer: The model's tokenizer.
        min_frequency: Least number of times a word of the data occurs in it, at least 1.
        word_list: File of `word [frequency]` a line, or None; a frequency left out is 1, and each adds to the data's.

    Returns:
        The lexicon.

    Raises:
        ValueError: If the tags mark no spans, or a line of the file is wrong.
    """
    if min_frequency < 1:
        raise ValueError(f"lexicon_min_frequency must be at least 1, got {min_frequency}.")
    seen = _count_spans(data, tokenizer)
    learned = {word: labels.total() for word, labels in seen.items() if labels.total() >= min_frequency}
    given = _read_frequencies(word_list, tokenizer) if word_list else Counter()
    words = sorted(learned.keys() | given.keys())
    frequencies = torch.tensor([learned.get(word, 0) + given[word] for word in words], dtype=torch.long)
    held_out = torch.tensor([int(word in learned) for word in words], dtype=torch.long)
    label_sets = _number_label_sets([seen[word] if word in learned else Counter() for word in words])
    return Lexicon(build_trie(words), frequencies, held_out, *label_sets)


def _number_label_sets(labels: list[Counter[str]]) -> torch.Tensor:
    """Number the labels, the commonest first, that each word has at least once, and at least twice: (2, W)."""
    ranked = [sorted(of.items(), key=lambda item: (-item[1], item[0])) for of in labels]
    sets = [[tuple(name for name, count in of if count >= least) for of in ranked] for least in (1, 2)]
    counts = Counter(names for of_words in sets for names in of_words if len(names) > 1)
    singles = sorted({names[:1] for names in sets[0] if names})
    known = [*singles, *sorted(names for names, _ in counts.most_common(_MOST_LABEL_SETS))]
    numbers = {names: number for number, names in enumerate(known, start=1)} | {(): 0}
    return torch.tensor(
        [[numbers[names if names in numbers else names[:1]] for names in of_words] for of_words in sets],
        dtype=torch.long,
    )


def _count_spans(data: Dataset, tokenizer: PreTrainedTokenizerBase) -> _Words:
    encoded = tokenizer(data["tokens"][:], is_split_into_words=True)
    words: _Words = {}
    for row, (ids, tags) in enumerate(zip(encoded["input_ids"], data["tags"], strict=True)):
        foreign = [tag for tag in tags if tag != OUTSIDE and split_tag(tag)[0] not in ("B", "I")]
        if foreign:
            raise ValueError(
                f"a lexicon is learned from spans, and the tag {foreign[0]!r} marks none: leave "
                f"lexicon_embedding_size at 0 for these data."
            )
        owners = encoded.word_ids(row)
        for label, start, end in tags_to_spans(tags, "iob2"):
            word = tuple(ids[bisect_left(owners, start) : bisect_left(owners, end)])
            if tokenizer.unk_token_id not in word:
                words.setdefault(word, Counter())[label] += 1
    return words


def _read_frequencies(word_list: str, tokenizer: PreTrainedTokenizerBase) -> Counter[tuple[int, ...]]:
    entries = list(read_word_list(word_list))
    vocab = tokenizer.get_vocab()
    frequencies: Counter[tuple[int, ...]] = Counter()
    unknown = 0
    for entry, tokens in zip(entries, split_words([entry.word for entry in entries], tokenizer), strict=True):
        frequency = 1 if entry.number is None else entry.number
        if frequency < 1 or frequency != int(frequency):
            raise ValueError(
                f"{word_list}, line {entry.line}: the frequency of {entry.word!r} takes a whole number from 1 on, "
                f"got {frequency}."
            )
        if all(token in vocab for token in tokens):
            frequencies[tuple(vocab[token] for token in tokens)] += int(frequency)
        else:
            unknown += 1
    if unknown:
        logger.warning(f"{word_list}: {unknown} words hold characters that the training data lack; they are left out.")
    return frequencies
