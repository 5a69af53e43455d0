"""What the README shows runs as it stands."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import yaml

from hf_bilstm.training.arguments import read_recipe

ROOT = Path(__file__).parents[1]


def test_the_program_of_the_first_screen(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.strip().splitlines()[-1]
    found = ast.literal_eval(re.sub(r"np\.float32\((.*?)\)", r"\1", printed))
    assert {"TIME", "LOC"} & {entity["entity_group"] for entity in found}


def test_the_recipes_read(tmp_path):
    (shown,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "training.md").read_text(encoding="utf-8"), re.S)
    (tmp_path / "mine.yaml").write_text(shown, encoding="utf-8")
    recipes = [tmp_path / "mine.yaml", *sorted((ROOT / "configs").glob("*.yaml"))]
    assert len(recipes) > 2
    for recipe in recipes:
        read = read_recipe(str(recipe), [])
        assert read.training.output_dir == yaml.safe_load(recipe.read_text(encoding="utf-8"))["output_dir"]
