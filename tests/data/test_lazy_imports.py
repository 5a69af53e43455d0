"""Importing the package stays quick: the slow libraries come with the first function that needs them."""

import subprocess
import sys

import pytest

import hf_bilstm.data
import hf_bilstm.metrics


def test_importing_the_package_imports_neither_datasets_nor_evaluate():
    code = (
        "import sys, hf_bilstm, hf_bilstm.data, hf_bilstm.metrics; from hf_bilstm.data import *; "
        "from hf_bilstm.metrics import span_scores; print({'datasets', 'evaluate'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


@pytest.mark.parametrize("package", [hf_bilstm.data, hf_bilstm.metrics])
def test_every_public_name_is_there_and_no_other(package):
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
        assert name in dir(package)
    with pytest.raises(AttributeError, match="has no attribute 'read_colums'"):
        _ = package.read_colums
