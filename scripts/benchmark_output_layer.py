"""Race output layers of language models: the same text, the same time, and what each has learned by then.

    python scripts/benchmark_output_layer.py configs/pretrain_zh.yaml --data_dir FOLDER --seconds 60

Contenders take turns of a few steps on one thread; time is that of the processor, so that it does not count what else
the machine does. Each learning rate falls from the recipe's to 0 over the contender's own time. Perplexity is that of
held-out text over the whole vocabulary, of both directions together. Written to standard output is a table.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import DataCollatorForLanguageModeling, set_seed

sys.path.pop(0)  # this folder, whose evaluate.py would stand in for the library of that name

from hf_bilstm.data.raw_texts import pack
from hf_bilstm.models.configuration_bilstm import BiLstmConfig
from hf_bilstm.models.modeling_pretraining import BiLstmForPreTraining
from hf_bilstm.training.pretraining import build, load_texts, read_pretraining_recipe

STEPS_A_TURN = 5
HELD_OUT_BATCHES = 8


class Float32(BiLstmForPreTraining):
    """The whole vocabulary as PyTorch's autograd has it."""

    def _lose(self, guesses: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        following = targets[:, 1:]
        kept = following != -100
        scores = self.decoder(guesses[:, :-1][kept])
        return nn.functional.cross_entropy(scores, following[kept], reduction="sum"), int(kept.sum())


class Adaptive(BiLstmForPreTraining):
    """Frequent tokens by themselves, the others behind clusters (Grave et al. 2017, arXiv:1609.04309); not tied."""

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__(config)
        cutoffs = [config.vocab_size // 10, config.vocab_size // 3]
        self.adaptive = nn.AdaptiveLogSoftmaxWithLoss(config.embedding_size, config.vocab_size, cutoffs, div_value=2)

    def _lose(self, guesses: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        following = targets[:, 1:]
        kept = following != -100
        num = int(kept.sum())
        return self.adaptive(guesses[:, :-1][kept], following[kept]).loss * num, num


class Contender:
    """A model that trains by turns.

    Args:
        model: The model.
        batches: Gives batches for ever.
        rate: Learning rate at the start.
        seconds: Processor time in all.
    """

    def __init__(self, model: BiLstmForPreTraining, batches: Iterator[Any], rate: float, seconds: float) -> None:
        self.model = model
        self.batches = batches
        self.rate, self.seconds = rate, seconds
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
        self.used = 0.0
        self.tokens = self.steps = 0

    def take_turn(self) -> None:
        """Train for some steps."""
        self.model.train()
        for _ in range(STEPS_A_TURN):
            batch = next(self.batches)
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate * (1 + math.cos(math.pi * min(1.0, self.used / self.seconds))) / 2
            start = time.process_time()
            self.model(**batch).loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.used += time.process_time() - start
            self.tokens += int((batch["labels"] != -100).sum())
            self.steps += 1

    @torch.no_grad()
    def perplexity(self, held_out: list[Any]) -> float:
        """Score the model on batches it has not seen."""
        self.model.eval()
        losses = [self.model(**batch).loss for batch in held_out]
        return math.exp(float(torch.stack(losses).mean()))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="recipe of pretraining; its options are taken too")
    parser.add_argument("--seconds", type=float, default=60, help="processor time of each contender (default: 60)")
    parser.add_argument("--samples", type=int, nargs="+", default=[500, 1500], help="numbers of tokens to draw")
    own, rest = parser.parse_known_args()
    torch.set_num_threads(1)
    recipe = read_pretraining_recipe(own.recipe, rest)
    train_texts, held_out_texts = load_texts(recipe.data, "train"), load_texts(recipe.data, "validation")
    if train_texts is None or held_out_texts is None:
        raise SystemExit("The recipe must name text, and hold some out: set validation_fraction or validation_file.")
    tokenizer, first = build(recipe, train_texts)
    blocks: Any = pack(train_texts, tokenizer, recipe.data.block_size)
    size = recipe.training.per_device_train_batch_size
    collate = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    rows = pack(held_out_texts, tokenizer, recipe.data.block_size).select(range(HELD_OUT_BATCHES * size))
    held_out = list(DataLoader(rows, size, collate_fn=collate))

    def batches() -> Iterator[Any]:
        while True:
            yield from DataLoader(blocks, size, shuffle=True, collate_fn=collate)

    def contender(kind: Callable[[BiLstmConfig], BiLstmForPreTraining], **changes: Any) -> Contender:
        set_seed(recipe.training.seed)
        config = BiLstmConfig(**{**first.config.to_dict(), **changes})
        return Contender(kind(config), batches(), recipe.training.learning_rate, own.seconds)

    contenders = {
        "all tokens (the default)": contender(BiLstmForPreTraining),
        "all tokens, autograd": contender(Float32),
        **{f"{number} drawn": contender(BiLstmForPreTraining, softmax_samples=number) for number in own.samples},
        "adaptive softmax": contender(Adaptive),
    }
    while any(one.used < own.seconds for one in contenders.values()):
        for one in contenders.values():
            if one.used < own.seconds:
                one.take_turn()
    print(f"vocabulary {len(tokenizer)}, {own.seconds:.0f} s of one thread each\n")
    print("| output layer | tokens a second | tokens read | held-out perplexity |\n|---|---|---|---|")
    for name, one in contenders.items():
        print(
            f"| {name} | {one.tokens / one.used:,.0f} | {one.tokens:,} | {one.perplexity(held_out):.1f} |", flush=True
        )


if __name__ == "__main__":
    main()
