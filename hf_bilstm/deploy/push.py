"""Pushing a trained folder to the Hub: what belongs to the model, all of it, in one commit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi
from transformers.dynamic_module_utils import get_relative_imports

from hf_bilstm.deploy.repository_name import name_repository

_NEEDED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md")
# What else belongs to a model. A folder of the Trainer holds much that does not: optimizer states, checkpoints, logs.
_WELCOME = (
    "handler.py",
    "requirements.txt",
    "recipe.yaml",
    "all_results.json",
    "training_words.txt",
    "learning_curve.png",
    "length_curve.png",
    "confusion_matrix.png",
    ".eval_results/*.yaml",
)
_REFERENCE = re.compile(r"(?:.*--)?(\w+)\.\w+")  # module.Class, perhaps after the repository it came from


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    token: str | None = None,
) -> str:
    """Push a trained folder to the Hub in one commit; the repository and the branch are made if need be.

    Args:
        folder: What `hf-bilstm train` wrote.
        repo_id: "organization/name".
        private: Whether a new repository is private; None leaves it to the organization.
        revision: Branch to push to, None for main.
        create_pr: Whether to make a pull request instead of changing the branch.
        token: Token to write with, None for the one of `hf auth login` or HF_TOKEN.

    Returns:
        Address of the pull request or the commit.

    Raises:
        ValueError: If something that a model needs is missing.
    """
    folder = Path(folder)
    files = model_files(folder)
    card = name_repository((folder / "README.md").read_text(encoding="utf-8"), repo_id)
    api = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    if revision is not None and not create_pr and not revision.startswith("refs/"):
        api.create_branch(repo_id, branch=revision, exist_ok=True)
    commit = api.create_commit(
        repo_id,
        [CommitOperationAdd(file, card.encode() if file == "README.md" else folder / file) for file in files],
        commit_message="Upload model",
        revision=revision,
        create_pr=create_pr,
    )
    return commit.pr_url or commit.commit_url


def model_files(folder: Path) -> list[str]:
    """List the files of a trained folder that belong to its model.

    Args:
        folder: What `hf-bilstm train` wrote.

    Returns:
        Paths in the folder, sorted.

    Raises:
        ValueError: If something that a model needs is missing; all of it is named.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}: push takes the output_dir of `hf-bilstm train`.")
    needed = {*_NEEDED, *_code_files(folder)}
    missing = sorted(name for name in needed if not (folder / name).is_file())
    if missing:
        raise ValueError(
            f"{folder} is not a whole model, it lacks {', '.join(missing)}: train it with `hf-bilstm train`, or save "
            f"model and tokenizer with save_pretrained after `import hf_bilstm` and write a README.md."
        )
    welcome = {path.relative_to(folder).as_posix() for pattern in _WELCOME for path in folder.glob(pattern)}
    return sorted(needed | welcome)


def _code_files(folder: Path) -> set[str]:
    """Name the modules that the configurations load, and those that they import."""
    unread = {f"{module}.py" for module in _code_modules(folder)}
    files: set[str] = set()
    while unread:
        file = unread.pop()
        files.add(file)
        if (folder / file).is_file():
            for module in get_relative_imports(folder / file):
                if not module.isidentifier():
                    raise ValueError(f"{folder / file} imports {'.' + module!r}: it takes modules of the folder.")
                unread |= {f"{module}.py"} - files
    return files


def _code_modules(folder: Path) -> set[str]:
    """Name the modules that the configurations say to load classes from."""
    config, tokenizer = (_read_json(folder / name) for name in ("config.json", "tokenizer_config.json"))
    try:
        auto_maps = [*config.get("auto_map", {}).values(), *tokenizer.get("auto_map", {}).values()]
        pipelines = [pipeline["impl"] for pipeline in config.get("custom_pipelines", {}).values()]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"auto_map or custom_pipelines in {folder / 'config.json'} or tokenizer_config.json is no map of classes: "
            f"save model and tokenizer anew."
        ) from error
    modules = set()
    for value in [*auto_maps, *pipelines]:
        for reference in value if isinstance(value, list) else [value]:
            match = _REFERENCE.fullmatch(str(reference))
            if reference is not None and match is None:
                raise ValueError(f"{folder} names code as {reference!r}: it takes 'module.Class', a file of it.")
            if match is not None:
                modules.add(match[1])
    return modules


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}  # named among what is missing
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is not valid JSON: {error}. Save the model anew.") from error
    if not isinstance(values, dict):
        raise ValueError(f"{file} must hold an object, got {type(values).__name__}. Save the model anew.")
    return values
