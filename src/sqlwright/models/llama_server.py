"""A `llama-server` of the user's own, in the place of the llama.cpp that comes with xllamacpp.

A wheel is built for the oldest processor that it is to run on, without GPUs; llama.cpp as built for this machine uses
all that it has. The environment variable `SQLWRIGHT_LLAMA_SERVER` names the program; else it is the one that
`make llama-server` put beside this Python, if it did. It is spoken to through a socket in a folder that only its user
may enter, and ends with the process that started it, however that one ends.

Not covered: servers that run already, or elsewhere; systems without Unix sockets.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlwright.errors import ModelError

PROGRAM = "SQLWRIGHT_LLAMA_SERVER"
"""The environment variable that names the program; `xllamacpp` stands for none."""
_BESIDE = Path(sys.prefix) / "bin" / "sqlwright-llama-server"
_SECONDS = 600
"""For loading a model, at most."""
# Ends the server when its own input closes, which is when the process at the other end has ended.
_WATCH = """
import os, subprocess, sys, threading
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
threading.Thread(target=lambda: os._exit(server.wait() & 255), daemon=True).start()
sys.stdin.buffer.read()
server.kill()
server.wait()
"""


def own_program() -> Path | None:
    """Return the program that answers, None where xllamacpp does; raise `ModelError` where it can't be run."""
    named = os.environ.get(PROGRAM, "") or (str(_BESIDE) if _BESIDE.is_file() else "xllamacpp")
    if named == "xllamacpp":
        return None
    found = shutil.which(named)
    if found is None:
        raise ModelError(
            f"{PROGRAM}: expected the path of llama.cpp's llama-server, found {named}, which can't be run."
        )
    return Path(found).resolve()


def build_of(program: Path) -> str:
    """Return what tells one build of the program from another: states of prompts fit the build that wrote them."""
    found = program.stat()
    return f"{program} {found.st_size} {found.st_mtime_ns}"


class LlamaServer:
    """A running `llama-server`; `folder` is private to the user and gets its socket and messages.

    Raises `ModelError` where it doesn't come up with the model.
    """

    def __init__(self, program: Path, model: Path, options: Sequence[str], folder: Path) -> None:
        self.socket = folder / "server.sock"
        messages = folder / "messages"
        # -lv 1: errors only; what people ask is in no log.
        own = [str(program), "-m", str(model), "--host", str(self.socket), "-lv", "1", *options]
        with messages.open("wb") as told:
            # In a session of its own: Ctrl-C lets an answer that is being written come to its end.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _WATCH, *own],
                stdin=subprocess.PIPE,
                stdout=told,
                stderr=told,
                start_new_session=True,
            )
        try:
            self._wait()
        except TimeoutError:
            self.close()
            lines = messages.read_text(encoding="utf-8", errors="replace").split("\n")
            said = "; ".join(line.strip() for line in lines if line.strip())[-400:]
            raise ModelError(f"{model}: {program} could not load it ({said or 'it says nothing'}).") from None
        except BaseException:
            self.close()
            raise

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to the server, not opened yet."""
        return _Connection(self.socket)

    def close(self) -> None:
        """End the server, and wait until it has ended."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()

    def _wait(self) -> None:
        end = time.monotonic() + _SECONDS
        while not self._is_up():
            if self._process.poll() is not None or time.monotonic() > end:
                raise TimeoutError
            time.sleep(0.05)

    def _is_up(self) -> bool:
        connection = self.connect()
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    """HTTP through a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=3600)
        self._path = path
        self.sock: Any

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
