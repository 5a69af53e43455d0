"""Tagging of raw texts or given tokens: spans with their probabilities, n-best taggings, tags or words.

Letters in shape comments: B rows of a batch, K taggings of a row, T tokens, S states, N spans.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import chain, pairwise
from typing import Any

import numpy as np
import torch
from tokenizers import Encoding
from transformers import TokenClassificationPipeline

from .characters import CharacterTable
from .dictionary import BoundDictionary, UserDictionary, bind_dictionary
from .pipeline_batches import part_batches, read_windows
from .pipeline_options import TaggingOptions, check_options, combine_options, is_count
from .pipeline_processes import TaggerProcesses
from .pipeline_results import Row, Spans, find_spans, write_results
from .side_by_side import side_by_side
from .tagging_schemes import split_tag
from .word_lists import fold_text

TASK = "bilstm-tagging"
# What a saved tagger's configuration says of this file, for `pipeline(model=..., trust_remote_code=True)`.
CUSTOM_PIPELINES = {TASK: {"impl": "pipeline_bilstm.TaggingPipeline", "pt": ["AutoModelForTokenClassification"]}}
_BATCH_SIZE = 128
_WINDOW_BATCHES = 8  # batches a worker that inputs are read ahead
# Batches of texts in, the results of each out.
_TagBatches = Callable[[list[list[Any]]], Iterable[list[Any]]]
# Threads whose steps are many and small wait for each other at every one of them: so they take turns with these, and
# only the recurrence of one batch runs beside them.
_TURN = threading.Lock()


class TaggingPipeline(TokenClassificationPipeline):
    """Tags texts with a BiLSTM tagger; every score is a probability.

    The result for a text is a list of spans `{"entity_group", "score", "word", "start", "end"}`: those of the stock
    pipeline with `aggregation_strategy="simple"`, `word` being the text from `start` to `end`. `score` is the
    probability that exactly this span with this label is there, over all legal taggings of the text. Where labels are
    plain (`tagging_scheme="none"`) each token is an item, with the probability of its label. `O` is no item.

        >>> tagger = TaggingPipeline(model=model, tokenizer=tokenizer)
        >>> tagger("他去了北京。", threshold=0.5)
        [{'entity_group': 'LOC', 'score': 0.98, 'word': '北京', 'start': 3, 'end': 5}]

    Args:
        model: A `BiLstmForTokenClassification`.
        tokenizer: Its tokenizer.
        batch_size: As in a call, and its default.
        num_processes: As in a call, and its default.
        **kwargs: What `transformers.Pipeline` takes, such as `device`, and the options of a call as its defaults.

    Raises:
        ValueError: If the model is no BiLSTM tagger, or an option is wrong.
    """

    _bound: tuple[UserDictionary, BoundDictionary] | None = None
    _processes: TaggerProcesses | None = None

    def __init__(self, *args: Any, num_processes: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._num_processes = num_processes

    def check_model_type(self, supported_models: Any) -> None:
        """Refuse models of other kinds.

        Args:
            supported_models: Ignored: one kind is supported.

        Raises:
            ValueError: If the model is no BiLSTM tagger.
        """
        if self.model.config.model_type != "bilstm" or not hasattr(self.model, "crf"):
            raise ValueError(
                f"model is a {type(self.model).__name__}, but TaggingPipeline takes a BiLstmForTokenClassification: "
                f"load it with AutoModelForTokenClassification, or use the stock pipeline('token-classification')."
            )

    def _sanitize_parameters(  # type: ignore[override]  # other options than the base class
        self, **options: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        strategy = options.pop("aggregation_strategy", None)
        if getattr(strategy, "value", strategy) not in (None, "simple"):
            raise ValueError(
                f"aggregation_strategy={strategy!r}: TaggingPipeline gives whole spans, as 'simple' does. Leave it "
                f"out; scheme='iob2' gives a tag a token."
            )
        return {}, {}, check_options(options)

    def _read_options(self, given: dict[str, Any]) -> TaggingOptions:
        """Lay the options of a call over those of the pipeline."""
        config: Any = self.model.config
        options = combine_options({**self._postprocess_params, **given}, config)
        if options.dictionary is None:
            return options
        return replace(options, dictionary=self._bind(options.dictionary))

    def _bind(self, dictionary: UserDictionary) -> BoundDictionary:
        """Make a dictionary ready for the model; the last one is kept."""
        if self._bound is None or self._bound[0] is not dictionary:
            model: Any = self.model
            bound = bind_dictionary(dictionary, self.tokenizer, model.crf.space, model.config)
            bound.scores.to(model.device)
            self._bound = (dictionary, bound)
        return self._bound[1]

    def __call__(  # type: ignore[override]
        self,
        inputs: Any,
        batch_size: int | None = None,
        num_workers: int | None = None,
        num_processes: int | None = None,
        **options: Any,
    ) -> Any:
        """Tag a text, several, or any iterable of texts.

        Args:
            inputs: A text, or a list or tuple of texts; with `is_split_into_words` a list or tuple of tokens, or a
                list or tuple of such. Any other iterable (a generator, a column of a data set) is read as it is
                needed, some batches ahead, and gives a generator. A text may have any length.
            batch_size: Most texts the model reads at once, 128 when None; fewer when they are long. Nothing but speed
                depends on it.
            num_workers: Batches in work at once, each in a thread of its own with one core. When None, as many as
                PyTorch would use cores (`torch.get_num_threads()`), and one where the model is not on the CPU. Of a
                single text the two directions are in work at once, unless this is 1.
            num_processes: Batches in work at once, each in a process of its own with one core, in place of threads.
                Starting the processes takes seconds; they stay for further calls, until the model changes. None and 1
                are none.
            **options: Any of these:
                threshold: Least score of a span, 0 to 1; spans below it are left out.
                n_best: Taggings wanted, at least 1. The result for a text is then a list of `{"score", "spans"}` in
                    falling order of `score`, the probability of the whole tagging; shorter if the text has fewer.
                scheme: "iob1", "iob2", "bioes", "bmes" or "bilou". The result for a text is then a list of
                    `{"token", "tag", "start", "end"}`, one a token.
                return_words: Whether the result for a text is the list of its words, for segmentation models. They
                    cover all but white space: a token outside of spans is a word, and white space parts words.
                is_split_into_words: Whether inputs are tokens. `start` and `end` then count in the text they make
                    when joined by `delimiter`.
                delimiter: What stands between tokens, " " unless given.
                tagset: Tag set to give tags in, one of the config's `tag_mappings`; a tag without a mapping stays.
                    Scores stay those of the model's own tags.
                dictionary: A `UserDictionary`, or a list of its entries, whose words count beside the model's scores.

        Returns:
            The result for one text, a list of them for several, or a generator, in the order of the inputs.

        Raises:
            ValueError: If an input or an option is wrong.
        """
        if batch_size is None:
            batch_size = _BATCH_SIZE if self._batch_size is None else self._batch_size
        if num_workers is None:
            num_workers = self._num_workers
        if num_workers is None:
            num_workers = torch.get_num_threads() if self.device.type == "cpu" else 1
        if num_processes is None:
            num_processes = self._num_processes or 1
        counts = {"batch_size": batch_size, "num_workers": num_workers, "num_processes": num_processes}
        for name, value in counts.items():
            if not is_count(value):
                raise ValueError(f"{name}={value!r}: it takes a whole number from 1 on.")
        if num_processes > 1 and self.device.type != "cpu":
            raise ValueError(
                f"num_processes={num_processes}: it is for models on the CPU, and this one is on {self.device}."
            )
        read = self._read_options(self._sanitize_parameters(**options)[2])
        is_sequence = isinstance(inputs, (list, tuple))
        # A list of strings is one text's tokens if the caller said so, and otherwise several texts.
        if isinstance(inputs, str) or (
            read.is_split_into_words and is_sequence and inputs and isinstance(inputs[0], str)
        ):
            (window,) = read_windows([inputs], read.is_split_into_words, most=1)
            with self._evaluating(), side_by_side() if num_workers > 1 else nullcontext():
                return self._tag_batch(window, read)[0]
        if isinstance(inputs, (bytes, dict)) or not (isinstance(inputs, Iterable) or hasattr(inputs, "__getitem__")):
            raise ValueError(f"inputs is a {type(inputs).__name__}: it takes a text or an iterable of texts.")
        results = self._stream(inputs, read, batch_size, num_workers, num_processes)
        return list(results) if is_sequence else results

    def _stream(
        self, inputs: Iterable[Any], options: TaggingOptions, batch_size: int, num_workers: int, num_processes: int
    ) -> Iterator[Any]:
        """Tag the inputs, one window of them after the other."""
        if num_processes > 1:
            windows = read_windows(inputs, options.is_split_into_words, _WINDOW_BATCHES * num_processes * batch_size)
            processes = self._start_processes(num_processes, options.dictionary)
            for window in windows:
                yield from self._tag_window(window, batch_size, lambda batches: processes.tag(batches, options))
            return
        windows = read_windows(inputs, options.is_split_into_words, _WINDOW_BATCHES * num_workers * batch_size)

        def tag(batch: list[Any]) -> list[Any]:
            return self._tag_batch(batch, options)

        if num_workers == 1:
            for window in windows:
                yield from self._tag_window(window, batch_size, lambda batches: map(tag, batches))
            return
        num_threads = torch.get_num_threads()
        try:
            # Two batches side by side are faster than one whose every operation is shared out among the cores.
            with ThreadPoolExecutor(num_workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                for window in windows:
                    yield from self._tag_window(window, batch_size, lambda batches: pool.map(tag, batches))
        finally:
            torch.set_num_threads(num_threads)  # the workers' setting is that of every thread to come

    def _start_processes(self, count: int, dictionary: BoundDictionary | None) -> TaggerProcesses:
        """Give so many processes that know the dictionary; the last ones are kept."""
        if self._processes is None or not self._processes.matches(self, count, dictionary):
            if self._processes is not None:
                self._processes.close()
            self._processes = None  # if the next line fails
            self._processes = TaggerProcesses(self, count, dictionary)
        return self._processes

    def __getstate__(self) -> dict[str, Any]:
        """Leave the processes out of copies: each of them gets one."""
        return {**self.__dict__, "_processes": None}

    def _tag_window(self, window: list[Any], batch_size: int, tag_batches: _TagBatches) -> list[Any]:
        batches = list(part_batches([len(item) for item in window], batch_size))  # texts have about as many tokens
        results: list[Any] = [None] * len(window)
        with self._evaluating():
            tagged = tag_batches([[window[place] for place in batch] for batch in batches])
            for batch, of_batch in zip(batches, tagged, strict=True):
                for place, result in zip(batch, of_batch, strict=True):
                    results[place] = result
        return results

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Have the model in evaluation mode: fresh from its training it would still drop units."""
        was_training = self.model.training
        if was_training:
            self.model.eval()
        try:
            yield
        finally:
            if was_training:
                self.model.train()

    def _tokenize(self, items: list[Any], options: TaggingOptions) -> list[Row]:
        table = self._character_table()
        rows = []
        for text, encoding in zip(items, self._encode(items, options.is_split_into_words, table), strict=True):
            pairs = encoding.offsets
            offsets = np.fromiter(chain.from_iterable(pairs), np.int64, 2 * len(pairs)).reshape(-1, 2)
            if options.is_split_into_words:
                # Offsets count from the start of each given token.
                starts = np.cumsum([0, *(len(token) + len(options.delimiter) for token in text)])
                offsets = offsets + starts[np.array(encoding.word_ids, dtype=np.int64)][:, None]
                text = options.delimiter.join(text)
            words = (text[start:stop] for start, stop in offsets.tolist())
            rows.append(Row(text, encoding.ids, offsets, None if table is None else table.look_up(words)))
        return rows

    def _encode(self, items: list[Any], is_split_into_words: bool, table: CharacterTable | None) -> Sequence[Encoding]:
        tokenizer: Any = self.tokenizer
        if is_split_into_words:
            encoded = tokenizer(
                [list(item) for item in items],
                is_split_into_words=True,
                add_special_tokens=False,
                truncation=False,
                verbose=False,
                **({} if table is None else {"return_char_input_ids": False}),  # looked up without lists between
            )
            return encoded.encodings
        # What the tokenizer itself does with raw texts, without lists of what is not asked for.
        backend = tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        return backend.encode_batch(items, add_special_tokens=False)

    def _character_table(self) -> CharacterTable | None:
        """Give what makes characters of words for models that look into words."""
        model: Any = self.model
        if model.bilstm.embeddings.characters is None:
            return None
        table: CharacterTable | None = getattr(self.tokenizer, "character_table", None)
        if table is None:
            raise ValueError(
                f"This model looks into words, and its tokenizer, a {type(self.tokenizer).__name__}, gives no "
                f"characters: read it with AutoTokenizer after `import hf_bilstm`, or with trust_remote_code=True."
            )
        return table

    def _tag_batch(self, items: list[Any], options: TaggingOptions) -> list[Any]:
        """Tag texts together, and write down what the options ask for."""
        rows = self._tokenize(items, options)
        lengths = np.array([len(row.ids) for row in rows])
        real = np.arange(lengths.max()) < lengths[:, None]  # (B, T), where there are tokens
        with torch.inference_mode():
            emitted = self._emit(rows, real, options)
            with _TURN:
                taggings = self._decode(rows, real, *emitted, options)
                # White space that is a token is in a word only where a dictionary says so.
                return write_results(rows, taggings, options, self.model.config.white_space_token_id is None)

    def _emit(self, rows: list[Row], real: np.ndarray, options: TaggingOptions) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the model over rows: their lengths (B,) and the states' scores (B, T, S)."""
        model: Any = self.model
        input_ids = np.zeros(real.shape, dtype=np.int64)
        input_ids[real] = np.concatenate([row.ids for row in rows])
        mask = None if real.all() else torch.from_numpy(real).to(self.device)
        characters = None
        if rows[0].characters is not None:
            of_rows = [row.characters for row in rows if row.characters is not None]
            padded = np.zeros((*real.shape, of_rows[0].shape[1]), dtype=np.int64)
            padded[real] = np.concatenate(of_rows)
            characters = torch.from_numpy(padded).to(self.device)
        compaction, _, emissions = model._emit(torch.from_numpy(input_ids).to(self.device), mask, characters)
        if options.dictionary is not None:
            self._find_new_tokens(rows, input_ids, options.dictionary)
            ids = torch.from_numpy(input_ids).to(self.device)
            emissions = options.dictionary.scores(emissions, ids, compaction.lengths)
        return compaction.lengths, emissions

    def _decode(
        self,
        rows: list[Row],
        real: np.ndarray,
        lengths: torch.Tensor,
        emissions: torch.Tensor,
        options: TaggingOptions,
    ) -> list[list[tuple[float, Spans]]]:
        """Find each row's taggings, best first: the probability and the spans of each."""
        model: Any = self.model
        log_probabilities = sums = None  # nobody asks for the probability of the best tagging alone
        if options.n_best is None:
            best, sums = model.crf.decode(emissions, lengths)
            paths = best[:, None]  # (B, 1, T)
        else:
            found, path_scores = model.crf.n_best(emissions, lengths, options.n_best)
            paths = found.cpu().numpy()
            totals = model.crf.log_partition(emissions, lengths)
            log_probabilities = (path_scores - totals[:, None]).cpu().numpy()

        wanted = np.ones_like(model.crf.outside) if options.return_words else ~model.crf.outside
        spans = find_spans(paths, real[:, None], model.crf.begins, wanted)
        scores = np.zeros(len(spans))
        if options.threshold is not None or not (options.scheme or options.return_words):
            scores = np.exp(model.crf.span_log_likelihood(emissions, lengths, paths, spans, sums))
            kept = scores >= (options.threshold or 0.0)
            spans, scores = spans[kept], scores[kept]

        place, rank, first, end = spans.T
        found_states = paths[place, rank, first].tolist()
        kinds = self._kinds(set(found_states))
        if options.tagset is not None:
            mapping = (model.config.tag_mappings or {}).get(options.tagset, {})
            kinds = {state: mapping.get(kind, kind) for state, kind in kinds.items()}
        found_labels = [kinds[state] for state in found_states]
        offsets = np.concatenate([row.offsets for row in rows])
        row_starts = np.cumsum([0, *(len(row.ids) for row in rows)])
        starts, stops = offsets[row_starts[place] + first, 0], offsets[row_starts[place] + end - 1, 1]
        found = Spans(found_labels, scores.tolist(), *(column.tolist() for column in (first, end, starts, stops)))
        count = paths.shape[1]
        bounds = np.searchsorted(place * count + rank, np.arange(len(rows) * count + 1)).tolist()
        if log_probabilities is None:
            return [[(1.0, found.between(*ends))] for ends in pairwise(bounds)]
        probabilities = np.exp(np.minimum(log_probabilities, 0.0)).tolist()
        exists = np.isfinite(log_probabilities)  # a short text may have fewer taggings than asked for
        return [
            [
                (probabilities[i][k], found.between(bounds[i * count + k], bounds[i * count + k + 1]))
                for k in np.flatnonzero(exists[i]).tolist()
            ]
            for i in range(len(rows))
        ]

    def _kinds(self, states: set[int]) -> dict[int, str]:
        """Name what each state marks: the type of a span, or the label where labels are plain."""
        model: Any = self.model
        id2label, plain = model.config.id2label, model.config.tagging_scheme == "none"
        labels = {state: id2label[model.crf.space.state_to_label[state]] for state in states}
        return labels if plain else {state: split_tag(label)[1] for state, label in labels.items()}

    def _find_new_tokens(self, rows: list[Row], input_ids: np.ndarray, dictionary: BoundDictionary) -> None:
        """Tell apart, in place, the unknown tokens that a dictionary knows."""
        if not dictionary.new_ids:
            return
        unknown: int = self.tokenizer.unk_token_id  # type: ignore[union-attr]
        ids: dict[str, int] = {}
        for place, token in np.argwhere(input_ids == unknown).tolist():
            start, stop = rows[place].offsets[token].tolist()
            text = rows[place].text[start:stop]
            if text not in ids:
                ids[text] = dictionary.new_ids.get(fold_text(text, self.tokenizer), unknown)
            input_ids[place, token] = ids[text]


__all__ = ["TaggingPipeline"]
