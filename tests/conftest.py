"""Fixtures of the whole test suite."""

from __future__ import annotations

import os
import tempfile

# Read at import by the Hugging Face libraries: tests must neither use the network nor touch the user's caches.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="hf-bilstm-tests-")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # models this small gain nothing from threads, and wait for each other

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub.server import LoopbackHub

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def recipe_file() -> Path:
    """A recipe on the built-in corpus that trains in seconds."""
    return ROOT / "tests" / "data" / "files" / "tiny_recipe.yaml"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, recipe_file: Path) -> Path:
    """A folder that holds a tagger trained on the built-in corpus for a few epochs."""
    from hf_bilstm.training.recipes import read_recipe
    from hf_bilstm.training.run import train

    folder = tmp_path_factory.mktemp("trained")
    train(read_recipe(str(recipe_file), ["--output_dir", str(folder)]))
    return folder


@pytest.fixture(scope="session")
def finished(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained folder, for tests that push it."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("finished") / "tagger")


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a small classifier of the topics of the built-in corpus, trained on for a few epochs."""
    from hf_bilstm.training.recipes import read_recipe
    from hf_bilstm.training.run import train

    folder = tmp_path_factory.mktemp("classifier")
    small = ["--hidden_size", "32", "--embedding_size", "32", "--bigram_buckets", "2000", "--num_train_epochs", "4"]
    recipe = ROOT / "configs" / "quickstart_topics.yaml"
    train(read_recipe(str(recipe), [*small, "--learning_rate", "0.01", "--output_dir", str(folder)]))
    return folder


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    """A Hub on the loopback interface, empty."""
    with LoopbackHub() as running:
        yield running


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora that may lie beside the repository."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real corpora are not beside the repository")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, those of the pages, so that workers end together."""
    items.sort(key=lambda item: item.path.name != "test_docs.py")
