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

logger = logging.get_logger(__name__)


class Lexicon(NamedTuple):
    """W words over token ids, as `LexiconFeatures.fill` takes them.

    Args:
        trie: The words.
        frequencies: (W,) how often each occurs, at least 1.
        held_out: (W,) 1 for words of the training data, 0 for others.
    """

    trie: Trie
    frequencies: torch.Tensor
    held_out: torch.Tensor


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
    counts = _count_spans(data, tokenizer)
    learned = Counter({word: count for word, count in counts.items() if count >= min_frequency})
    given = _read_frequencies(word_list, tokenizer) if word_list else Counter()
    words = sorted(learned.keys() | given.keys())
    frequencies = torch.tensor([learned[word] + given[word] for word in words], dtype=torch.long)
    held_out = torch.tensor([int(word in learned) for word in words], dtype=torch.long)
    return Lexicon(build_trie(words), frequencies, held_out)


def _count_spans(data: Dataset, tokenizer: PreTrainedTokenizerBase) -> Counter[tuple[int, ...]]:
    encoded = tokenizer(data["tokens"][:], is_split_into_words=True)
    counts: Counter[tuple[int, ...]] = Counter()
    for row, (ids, tags) in enumerate(zip(encoded["input_ids"], data["tags"], strict=True)):
        foreign = [tag for tag in tags if tag != OUTSIDE and split_tag(tag)[0] not in ("B", "I")]
        if foreign:
            raise ValueError(
                f"a lexicon is learned from spans, and the tag {foreign[0]!r} marks none: leave "
                f"lexicon_embedding_size at 0 for these data."
            )
        owners = encoded.word_ids(row)
        for _, start, end in tags_to_spans(tags, "iob2"):
            word = tuple(ids[bisect_left(owners, start) : bisect_left(owners, end)])
            if tokenizer.unk_token_id not in word:
                counts[word] += 1
    return counts


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
