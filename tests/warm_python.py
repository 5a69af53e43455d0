"""A Python that has imported the largest libraries already, for the tests that start many.

A fresh process spends most of its life importing libraries. `warm_python()` is an executable to put in the place of
sys.executable: it hands its arguments, directory, variables and files to a server, which has imported the libraries
and forks a process for them. The package is not among these, for a test may forbid it. The Hugging Face libraries read
variables as they are imported: a process that has other values for them than the tests imports them for itself. Run as
a program, this file is both servers.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LIBRARIES = (
    *("torch", "torch._dynamo", "torch.export", "torch.distributed.tensor", "torch.distributed.checkpoint"),
    *("numpy", "scipy.linalg", "scipy.optimize", "pandas", "pyarrow.dataset", "requests", "yaml", "jinja2"),
)
READ_VARIABLES = "huggingface_hub", "transformers.trainer", "transformers.pipelines", "datasets", "evaluate"
LAUNCHER = """#!{python} -IS
import json, os, socket, sys
request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
variables = {{name: value for name, value in os.environ.items() if name.startswith("HF_")}}
with socket.socket(socket.AF_UNIX) as server:
    server.connect({folder!r} + ("/all" if variables == {variables!r} else "/most"))
    socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(request)
    sys.exit(server.recv(1)[0])
"""


@functools.cache
def warm_python() -> str:
    """The path of an executable that runs scripts, modules (-m) and commands (-c) as Python does, no other options."""
    folder = Path(tempfile.mkdtemp(prefix="hf-bilstm-warm-"))
    variables = {name: value for name, value in os.environ.items() if name.startswith("HF_")}
    launcher = folder / "python"
    launcher.write_text(LAUNCHER.format(python=sys.executable, folder=str(folder), variables=variables))
    launcher.chmod(0o755)
    with listen(folder / "most") as most, listen(folder / "all") as everything:
        numbers = most.fileno(), everything.fileno()
        # Their input ends when this process does, and they then end, too.
        subprocess.Popen(
            [sys.executable, __file__, *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=numbers,
        )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return str(launcher)


def listen(address: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(address))
    listening.listen()
    return listening


def import_all(libraries: Iterable[str]) -> None:
    for library in libraries:
        with suppress(ImportError):
            importlib.import_module(library)


def serve(listening: socket.socket) -> list[str]:
    """Fork a process for each request. Returns in those processes alone, with the arguments of Python."""
    gc.freeze()  # what is imported is looked through neither by the processes nor at their end
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that answer
    while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
        request, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return answer(request)
        request.close()
    sys.exit()


def answer(request: socket.socket) -> list[str]:
    """Become what is asked for, in a child; the parent sends its exit status, or kills it when the launcher dies."""
    size, files, _, _ = socket.recv_fds(request, 8, 3)
    message = request.makefile("rb").read(int.from_bytes(size, "big"))
    child = os.fork()
    if child:
        threading.Thread(target=kill_at_end, args=(request, child), daemon=True).start()
        _, status = os.waitpid(child, 0)
        with suppress(BrokenPipeError):
            request.sendall(bytes([os.waitstatus_to_exitcode(status) & 255]))
        os._exit(0)
    request.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    arguments, folder, variables = json.loads(message)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    return arguments


def kill_at_end(request: socket.socket, child: int) -> None:
    """Wait until the launcher, which sends nothing more, is gone."""
    request.recv(1)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def run(arguments: list[str]) -> None:
    """Do what Python does with these arguments."""
    packages = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    kind = arguments[0] if arguments[0] in ("-c", "-m") else "script"
    name = arguments[0] if kind == "script" else arguments[1]
    sys.argv = arguments if kind == "script" else [kind, *arguments[2:]]
    first = {"-c": "", "-m": os.getcwd(), "script": str(Path(name).resolve().parent)}[kind]
    sys.path[:1] = [first, *packages]
    if kind == "script":
        runpy.run_path(name, run_name="__main__")
    elif kind == "-m":
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(name, "<string>", "exec"), sys.modules["__main__"].__dict__)


if __name__ == "__main__":
    most, everything = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    import_all(LIBRARIES)
    if os.fork() == 0:
        import_all(READ_VARIABLES)
        most = everything
    run(serve(most))
