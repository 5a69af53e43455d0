"""Programs and commands that talk to the loopback Hub as a user's would: in processes of their own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from warm_python import warm_python

ROOT = Path(__file__).parents[2]
PACKAGES = os.pathsep.join((str(ROOT), str(ROOT / "native")))
# Reads a program where hf_bilstm cannot be imported.
STRANGER = "import sys; sys.modules['hf_bilstm'] = None\n"


def environment(url: str, home: Path, token: str | None = "token-of-org", **more: str) -> dict[str, str]:
    """The variables of a process that has the loopback Hub for its Hub, and a folder for its cache.

    Uploads go over LFS: the Hub's newer protocol, xet, cannot be switched off otherwise.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN"):
        inherited.pop(name, None)
    settings = {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": PACKAGES}
    return {**inherited, **settings, **({"HF_TOKEN": token} if token else {}), **more}


def run(command: list[str], environment: dict[str, str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, cwd=cwd)


def run_program(program: str, *arguments: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh process, in its cache's folder: the repository is reached by PYTHONPATH alone."""
    home = Path(environment["HF_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    return run([warm_python(), "-c", program, *map(str, arguments)], environment, cwd=home)


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def push(folder: Path, *options: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run scripts/push_to_hub.py."""
    return run([warm_python(), str(ROOT / "scripts" / "push_to_hub.py"), str(folder), *map(str, options)], environment)
