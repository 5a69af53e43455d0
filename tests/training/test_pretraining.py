"""Runs of pretraining, and recipes that start from what they leave."""

from __future__ import annotations

import json
import math
import re

import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoTokenizer

from hf_bilstm import BiLstmForPreTraining, BiLstmTokenizer
from hf_bilstm.cli import main
from hf_bilstm.data import load_sample
from hf_bilstm.data.raw_texts import pack, read_raw_texts
from hf_bilstm.training.building import build
from hf_bilstm.training.pretraining import load_texts, pretrain, read_pretraining_recipe
from hf_bilstm.training.recipes import read_recipe
from hf_bilstm.training.run import make_trainer

SMALL = ["--embedding_size", "16", "--hidden_size", "12", "--per_device_train_batch_size", "8", "--block_size", "40"]
QUIET = ["--report_to", "none", "--disable_tqdm", "true", "--save_strategy", "no"]
RUN = [*SMALL, *QUIET, "--dataset", "sample", "--fold", "width", "--learning_rate", "0.01"]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A folder with language models of the built-in corpus, trained for three passes."""
    folder = tmp_path_factory.mktemp("pretrained")
    options = ["--validation_fraction", "0.1", "--num_train_epochs", "3", "--eval_strategy", "epoch"]
    pretrain(read_pretraining_recipe(None, [*RUN, *options, "--output_dir", str(folder)]))
    return folder


def test_a_run_leaves_a_model_its_perplexity_and_a_card(pretrained):
    results = json.loads((pretrained / "all_results.json").read_text(encoding="utf-8"))
    scores = results["validation"]
    model = BiLstmForPreTraining.from_pretrained(pretrained)
    assert scores["perplexity"] < 0.6 * model.config.vocab_size  # that of knowing nothing
    both = math.sqrt(scores["forward_perplexity"] * scores["backward_perplexity"])
    assert scores["perplexity"] == pytest.approx(both)
    card = (pretrained / "README.md").read_text(encoding="utf-8")
    assert f"held out (one run, seed 42): {scores['perplexity']:.2f};" in card
    assert "pipeline_tag" not in card
    assert f"{results['data']['splits']['train']['tokens']:,}" in card
    assert (pretrained / "perplexity.png").read_bytes().startswith(b"\x89PNG")
    texts = list(load_sample("train", "classification")["text"])
    tokens = sum(len(ids) for ids in AutoTokenizer.from_pretrained(pretrained)(texts)["input_ids"])
    assert sum(split["tokens"] for split in results["data"]["splits"].values()) == tokens


def test_held_out_perplexity_is_that_of_the_model(pretrained):
    recipe = read_pretraining_recipe(str(pretrained / "recipe.yaml"), [])
    tokenizer = AutoTokenizer.from_pretrained(pretrained)
    model = BiLstmForPreTraining.from_pretrained(pretrained)
    texts = load_texts(recipe.data, "validation")
    losses = []
    for block in pack(texts, tokenizer, 40)["input_ids"]:
        ids = torch.tensor([block])
        with torch.no_grad():
            logits = model(ids).forward_logits[0, :-1].log_softmax(dim=1)
        losses += [-float(row[after]) for row, after in zip(logits, block[1:], strict=True) if after]
    results = json.loads((pretrained / "all_results.json").read_text(encoding="utf-8"))
    # Means of batches stand for the mean of tokens.
    assert math.exp(sum(losses) / len(losses)) == pytest.approx(results["validation"]["forward_perplexity"], rel=0.03)


@given(st.lists(st.text("天地人 ab", max_size=12), min_size=1, max_size=30), st.integers(2, 9))
@settings(deadline=None, max_examples=50)
def test_packing_loses_no_token(texts, size):
    tokenizer = BiLstmTokenizer.from_corpus(["天地人ab"])
    rows = Dataset.from_dict({"text": texts})
    if not "".join(texts).strip():
        with pytest.raises(ValueError, match="no token is left"):
            pack(rows, tokenizer, size)
        return
    blocks = pack(rows, tokenizer, size)["input_ids"]
    assert all(len(block) == size for block in blocks[:-1])
    expected = [token for ids in tokenizer(texts)["input_ids"] if ids for token in (0, *ids)]
    assert [token for block in blocks for token in block] == expected


def test_packing_keeps_words_and_their_characters_together():
    texts = Dataset.from_dict({"tokens": [["the", "cat"], ["a", "dog", "sat"]]})
    tokenizer = BiLstmTokenizer.from_corpus(texts["tokens"], granularity="word", char_width=4)
    packed = pack(texts, tokenizer, 3)
    for ids, characters in zip(packed["input_ids"], packed["char_input_ids"], strict=True):
        for number, row in zip(ids, characters, strict=True):
            word = "" if number == 0 else tokenizer.convert_ids_to_tokens(number)
            assert row == (tokenizer.character_table.look_up([word])[0].tolist() if word else [0] * 4)


def test_folders_of_texts_are_read_whole(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.txt").write_bytes("二\r\n\n".encode())
    (tmp_path / "1.txt").write_text("一\n  \n甲", encoding="utf-8")
    (tmp_path / "notes.md").write_text("no", encoding="utf-8")
    assert read_raw_texts(tmp_path)["text"] == ["一", "甲", "二"]
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="holds no text"):
        read_raw_texts(tmp_path / "empty.txt")
    with pytest.raises(FileNotFoundError, match=r"No \.txt file is in"):
        read_raw_texts(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"holds 1\.txt, b, empty\.txt, none"):
        read_raw_texts(tmp_path / "3.txt")


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("train.txt", "中国 人民\n北京\n", ["--data_format", "text"]),
        ("train.txt", "中国  人民\n北京\n", ["--data_format", "segmented"]),
        ("train.txt", "中 B-X\n国 I-X\n\n北 O\n京 O\n", ["--data_format", "columns"]),
        ("train.txt", "x 中国人民\ny 北京\n", ["--data_format", "labelled_text"]),
        ("train.txt", "19980101-01-001-001/m  中国/ns  人民/n  北京/ns\n", ["--data_format", "word_pos"]),
    ],
)
def test_the_text_of_any_format_is_read(tmp_path, name, text, options):
    (tmp_path / name).write_text(text, encoding="utf-8")
    options = [*options, "--data_dir", str(tmp_path), "--train_file", name, "--output_dir", str(tmp_path)]
    recipe = read_pretraining_recipe(None, [*SMALL, *QUIET, *options])
    rows = load_texts(recipe.data, "train")
    tokenizer = BiLstmTokenizer.from_corpus(["中国人民北京"])
    blocks = pack(rows, tokenizer, 40)["input_ids"]
    read = "".join(tokenizer.convert_ids_to_tokens(number) for block in blocks for number in block if number)
    assert read.startswith("中国")
    assert read.endswith("北京")


def test_models_of_words_read_the_words_of_a_treebank(tmp_path):
    rows = ("1 The the DET DT _ 2 det _ _", "2 cat cat NOUN NN _ 0 root _ _")
    (tmp_path / "a.conllu").write_text("\n".join(row.replace(" ", "\t") for row in rows) + "\n\n", encoding="utf-8")
    options = ["--data_format", "conllu", "--train_file", str(tmp_path / "a.conllu"), "--granularity", "word"]
    recipe = read_pretraining_recipe(None, [*SMALL, *QUIET, *options, "--output_dir", str(tmp_path)])
    assert load_texts(recipe.data, "train")["tokens"][:] == [["The", "cat"]]


def test_a_second_text_is_read_beside_the_first(tmp_path):
    (tmp_path / "reviews.txt").write_bytes("很好\n不好\n".encode("gb18030"))
    (tmp_path / "news.txt").write_text("19980101-01-001-001/m  中国/ns  人民/n\nx/m\n", encoding="utf-8")
    more = {"train_file": "news.txt", "data_format": "word_pos", "encoding": "utf-8", "train_select": "^1998"}
    options = ["--data_dir", str(tmp_path), "--train_file", "reviews.txt", "--encoding", "gb18030"]
    options += ["--output_dir", str(tmp_path), *SMALL, *QUIET]
    recipe = read_pretraining_recipe(None, [*options, "--more_text", json.dumps(more)])
    assert load_texts(recipe.data, "train")["text"][:] == ["很好", "不好", "中国人民"]
    assert load_texts(recipe.data, "validation") is None
    more["train_select"] = ""
    held_out = read_pretraining_recipe(
        None, [*options, "--more_text", json.dumps(more), "--validation_fraction", "0.5"]
    )
    parts = [set(load_texts(held_out.data, split)["text"][:]) for split in ("train", "validation")]
    assert set.union(*parts) == {"很好", "不好", "中国人民", "x"}
    assert [len(part) for part in parts] == [2, 2]
    for wrong, message in (
        ('{"train_fil": "news.txt"}', "Did you mean 'train_file'"),
        ('{"data_format": "words"}', "invalid choice: 'words'"),
        ("news.txt", "more_text takes names for names"),
    ):
        with pytest.raises(ValueError, match=message):
            load_texts(read_pretraining_recipe(None, [*options, "--more_text", wrong]).data, "train")
    words = read_pretraining_recipe(None, [*options, "--granularity", "word", "--more_text", json.dumps(more)])
    with pytest.raises(ValueError, match="given words and the other has not"):
        load_texts(words.data, "train")
    with pytest.raises(ValueError, match="leave it or streaming out"):
        read_pretraining_recipe(None, [*options, "--dataset", "x", "--streaming", "true", "--more_text", "{}"])


def test_streams_are_packed_as_they_come(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    texts = load_sample("train", "classification")["text"][:] * 4
    lines = (json.dumps({"body": text}, ensure_ascii=False) for text in texts)
    (folder / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    stream = ["--dataset", str(folder), "--streaming", "true", "--text_column", "body", "--max_steps", "3"]
    recipe = read_pretraining_recipe(
        None, [*SMALL, *QUIET, *stream, "--eval_strategy", "steps", "--eval_steps", "3", "--output_dir", str(tmp_path)]
    )
    assert pretrain(recipe)["validation"]["perplexity"] > 1
    recipe.data.text_column = "text"
    with pytest.raises(ValueError, match="no column 'text'; it has 'body'"):
        pretrain(recipe)


def test_a_resumed_run_goes_on_where_it_stood(tmp_path):
    steps = ["--max_steps", "6", "--save_strategy", "steps", "--save_steps", "3", "--ema_decay", "0.9"]
    straight = [*RUN, *steps, "--output_dir", str(tmp_path / "straight")]
    pretrain(read_pretraining_recipe(None, straight))
    resume = ["--resume_from_checkpoint", str(tmp_path / "straight" / "checkpoint-3")]
    pretrain(read_pretraining_recipe(None, [*RUN, *steps, *resume, "--output_dir", str(tmp_path / "resumed")]))
    one, other = (BiLstmForPreTraining.from_pretrained(tmp_path / name) for name in ("straight", "resumed"))
    for name, weight in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], weight, msg=name)


def fine_tuning_recipe(folder, pretrained, recipe_file, *options):
    given = ["--model_name_or_path", str(pretrained), "--output_dir", str(folder), "--ema_decay", "0", *QUIET]
    evaluated = ["--eval_strategy", "no", "--load_best_model_at_end", "false", "--early_stopping_patience", "0"]
    return read_recipe(str(recipe_file), [*given, *evaluated, *options])


def test_a_recipe_starts_from_what_was_pretrained(tmp_path, pretrained, recipe_file, caplog):
    data = load_sample("train")
    features = ["--num_hidden_layers", "2", "--character_type_embedding_size", "4", "--white_space", "token"]
    recipe = fine_tuning_recipe(tmp_path, pretrained, recipe_file, *features)
    assert recipe.model.bigram_buckets
    tokenizer, model = build(recipe, data)
    model.eval()
    assert "fixes the shapes" in caplog.text
    source = BiLstmForPreTraining.from_pretrained(pretrained)
    known = AutoTokenizer.from_pretrained(pretrained)
    text = "".join(data["tokens"][0])
    with torch.inference_mode():
        ours = model(**tokenizer([text], return_tensors="pt"), output_hidden_states=True).hidden_states
        theirs = source(**known([text], return_tensors="pt"), output_hidden_states=True).hidden_states
    torch.testing.assert_close(ours[1], theirs[1])  # bigrams and types have no weight yet
    assert len(ours) == 3
    added = set(tokenizer.get_vocab()) - set(known.get_vocab()) - {" "}
    told = re.search(r"(\d+) of (\d+) tokens are new", caplog.text)
    known_folded = {token for token in added if known(token)["input_ids"] != [known.unk_token_id]}
    assert int(told[1]) == len(added - known_folded) + 1  # white space is new too
    assert int(told[2]) == len(tokenizer)


def test_words_that_fold_alike_share_the_pretrained_vector(tmp_path, pretrained, recipe_file):
    data = Dataset.from_dict({"tokens": [["，", ",", "𠮷"]], "tags": [["O", "O", "B-X"]]})
    tokenizer, model = build(fine_tuning_recipe(tmp_path, pretrained, recipe_file), data)
    vectors, vocab = model.get_input_embeddings().weight, tokenizer.get_vocab()
    assert torch.equal(vectors[vocab["，"]], vectors[vocab[","]])  # the pretrained tokenizer folds width
    assert not torch.equal(vectors[vocab["𠮷"]], vectors[tokenizer.unk_token_id])
    assert vectors[vocab["𠮷"]].any()


def test_pretrained_weights_learn_at_a_rate_of_their_own(tmp_path, pretrained, recipe_file):
    data = load_sample("validation")
    options = ["--pretrained_learning_rate", "1e-5", "--learning_rate", "1e-2", "--max_steps", "3"]
    recipe = fine_tuning_recipe(tmp_path, pretrained, recipe_file, *options, "--num_hidden_layers", "2")
    tokenizer, model = build(recipe, data)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    trainer = make_trainer(recipe, tokenizer, model.config.labels, data, None, model=model)
    trainer.train()
    moved = {name: float((weight.detach() - before[name]).abs().max()) for name, weight in model.named_parameters()}
    for name, change in moved.items():
        is_pretrained = "token_embeddings" in name or "layers.0" in name
        assert (0 < change < 1e-4) if is_pretrained else change > 1e-3, name
    weights = [id(weight) for group in trainer.optimizer.param_groups for weight in group["params"]]
    assert sorted(weights) == sorted(map(id, model.parameters()))


def test_pretrained_weights_thaw_from_the_top(tmp_path, pretrained, recipe_file):
    data = load_sample("validation")
    options = ["--unfreeze_every", "1", "--num_train_epochs", "2", "--per_device_train_batch_size", "24"]
    recipe = fine_tuning_recipe(tmp_path, pretrained, recipe_file, *options)
    tokenizer, model = build(recipe, data)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    make_trainer(recipe, tokenizer, model.config.labels, data, None, model=model).train()
    after = dict(model.named_parameters())
    still = {name for name in before if torch.equal(after[name], before[name])}
    assert still == {"bilstm.embeddings.token_embeddings.weight"}  # held for two epochs; the layer for one
    recipe.training.num_train_epochs = 1
    tokenizer, model = build(recipe, data)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    make_trainer(recipe, tokenizer, model.config.labels, data, None, model=model).train()
    after = dict(model.named_parameters())
    still = {name for name in before if torch.equal(after[name], before[name])}
    assert {name for name in still if "layers.0" in name}
    assert "classifier.weight" not in still


def test_reading_goes_on_with_other_text(tmp_path, pretrained):
    (tmp_path / "more.txt").write_text("龘龘是生僻的字。\n" * 20, encoding="utf-8")
    more = ["--train_file", "more.txt", "--data_dir", str(tmp_path), "--learning_rate", "1e-8", "--max_steps", "1"]
    out = tmp_path / "out"
    options = [*SMALL, *QUIET, *more, "--fold", "width", "--hidden_dropout", "0", "--embedding_dropout", "0"]
    pretrain(
        read_pretraining_recipe(None, [*options, "--model_name_or_path", str(pretrained), "--output_dir", str(out)])
    )
    source, known = BiLstmForPreTraining.from_pretrained(pretrained), AutoTokenizer.from_pretrained(pretrained)
    model, tokenizer = BiLstmForPreTraining.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert set(tokenizer.get_vocab()) > set(known.get_vocab())
    assert "龘" in tokenizer.get_vocab()
    text = "昨天他在北京。"
    with torch.inference_mode():
        ours = model(**tokenizer([text], return_tensors="pt")).backward_logits[0]
        theirs = source(**known([text], return_tensors="pt")).backward_logits[0]
    vocab = known.get_vocab()
    columns = [tokenizer.convert_tokens_to_ids(token) for token in vocab]
    torch.testing.assert_close(ours[:, columns], theirs[:, list(vocab.values())], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--block_size", "1"], "block_size must be at least 2, got 1"),
        (["--streaming", "true"], "streaming reads a data set"),
        (["--learning_rat", "1"], "Did you mean 'learning_rate'"),
        (["--num_hidden_layers", "2", "--dataset", "sample"], "num_hidden_layers must be 1 in pretraining"),
        (["--train_file", "text.txt", "--eval_strategy", "epoch"], "names no held-out text"),
        (["--validation_file", "text.txt"], "names no text: set train_file or dataset"),
    ],
)
def test_bad_recipes_are_named(tmp_path, options, message):
    (tmp_path / "text.txt").write_text("天地\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=re.escape(message)):
        main(["pretrain", *QUIET, "--output_dir", str(tmp_path), "--data_dir", str(tmp_path), *options])


def test_help_names_the_options_of_pretraining(capsys):
    main(["pretrain", "--help"])
    shown = capsys.readouterr().out
    for name in ("--block_size", "--streaming", "--softmax_samples", "--max_vocab_size"):
        assert f"  {name} " in shown
    assert "--vectors" not in shown


def test_a_trained_tagger_is_no_language_model(tmp_path, trained):
    assert AutoConfig.from_pretrained(trained).architectures == ["BiLstmForTokenClassification"]
    with pytest.raises(SystemExit, match="is no model that pretraining made"):
        main(["pretrain", *RUN, "--model_name_or_path", str(trained), "--output_dir", str(tmp_path)])


def test_what_was_learned_of_words_characters_comes_along(tmp_path, recipe_file):
    folder = tmp_path / "words"
    characters = ["--char_embedding_size", "6", "--char_hidden_size", "7", "--granularity", "word"]
    options = ["--dataset", "sample_en", *characters, "--character_type_embedding_size", "4", "--max_steps", "2"]
    pretrain(read_pretraining_recipe(None, [*SMALL, *QUIET, *options, "--output_dir", str(folder)]))
    source, known = BiLstmForPreTraining.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    sentence = load_sample("train", "ner", "en")["tokens"][0]
    data = Dataset.from_dict({"tokens": [[*sentence, "ÞorÞ"]], "tags": [["B-X", *["O"] * len(sentence)]]})
    for others in ((), ("--bigram_buckets", "50", "--char_hidden_size", "9")):
        recipe = fine_tuning_recipe(tmp_path, folder, recipe_file, "--granularity", "word", *others)
        tokenizer, model = build(recipe, data)
        assert set(known.characters) < set(tokenizer.characters)  # also those of words that the data lacks
        with torch.inference_mode():
            words = {"text": [sentence], "is_split_into_words": True, "return_tensors": "pt"}
            ours = model.eval()(**tokenizer(**words), output_hidden_states=True).hidden_states
            theirs = source(**known(**words), output_hidden_states=True).hidden_states
        torch.testing.assert_close(ours[1], theirs[1])
        new = model.bilstm.embeddings.characters.embeddings.weight[2 + tokenizer.characters.index("Þ")]
        assert new.any()
    with pytest.raises(ValueError, match="was pretrained with granularity word, and the recipe has granularity char"):
        build(fine_tuning_recipe(tmp_path, folder, recipe_file), data)
