"""Random taggers of every kind, as PyTorch models and, read from what these saved, in NumPy."""

import random
import tempfile

import torch

from bilstm_native import NativeTagger
from hf_bilstm import BiLstmConfig, BiLstmForTokenClassification, BiLstmTokenizer, UserDictionary
from hf_bilstm.models.trie import build_trie

ALPHABET = "北京大学abc12，。"
LABELS = {
    "none": ["NN", "O", "VB"],
    "iob2": ["O", "B-X", "I-X", "B-Y"],  # nothing can go on a Y
    "bioes": ["O", "B-X", "I-X", "B-Y"],
}


def make_tokenizer(**options):
    return BiLstmTokenizer.from_corpus([ALPHABET[:-2]], **options)


def make_word_tokenizer(char_width):
    words = ["abcd", "bad", "cab", "A", "北", "?"]
    return BiLstmTokenizer.from_corpus([words], granularity="word", char_width=char_width)


def make_tagger(tokenizer=None, dictionary=None, scheme="bioes", seed=0, **config):
    """A PyTorch tagger of random weights in evaluation mode, and its tokenizer."""
    torch.manual_seed(seed)
    tokenizer = tokenizer or make_tokenizer()
    words = [(2,), (2, 3), (3, 4, 5), (2, 3, 4, 5, 6)]
    trie = build_trie(words)
    sizes = {"vocab_size": len(tokenizer), "embedding_size": 5, "hidden_size": 4, "lexicon_size": len(trie.keys)}
    labels = dict(enumerate(LABELS[scheme]))
    ids = {"tagging_scheme": scheme, "id2label": labels, "white_space_token_id": tokenizer.white_space_token_id}
    model = BiLstmForTokenClassification(BiLstmConfig(**{**sizes, **ids, **config})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
        if config.get("char_embedding_size"):
            model.bilstm.embeddings.characters.embeddings.weight[0] = 0  # padding, which training leaves at 0
    model.bilstm.embeddings.fill_character_types(tokenizer.get_vocab())
    if config.get("lexicon_embedding_size"):
        frequencies = torch.tensor([1, 3, 7, 40])
        model.bilstm.embeddings.lexicon.fill(trie, frequencies, torch.ones_like(frequencies))
    if dictionary is not None:
        model.set_dictionary(dictionary, tokenizer)
    return model, tokenizer


def in_numpy(model, tokenizer):
    """The same tagger without PyTorch, by way of a checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return NativeTagger.from_pretrained(folder)


def random_texts(seed, number=12, longest=20, characters=ALPHABET + " "):
    draw = random.Random(seed)
    return ["".join(draw.choices(characters, k=draw.randint(0, longest))) for _ in range(number)]


def dictionary():
    return UserDictionary([("北京", 4.0), ("京大", 3.0, "X"), ("学", -2.0), ("大学a", 6.0), ("北京大学", 2.0)])
