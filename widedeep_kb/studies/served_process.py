"""A server in a process of its own, started as a user starts it, for measurements over HTTP."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

_START_S = 300


@dataclass(frozen=True)
class ServedProcess:
    """A running server.

    Attributes:
        url: such as "http://127.0.0.1:40001".
        process: to be signalled.
        log: file with what it printed.
    """

    url: str
    process: subprocess.Popen
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    @property
    def rss_bytes(self) -> int:
        """Resident memory of the process."""
        return _status(self.process.pid, "VmRSS") * 1024

    @property
    def num_files(self) -> int:
        """Files that the process has open; each connection is one."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def client(self, timeout: float = 120.0) -> httpx.Client:
        """A plain HTTP client."""
        return httpx.Client(base_url=self.url, timeout=timeout)


@contextmanager
def served_process(folder: Path, *options: str) -> Iterator[ServedProcess]:
    """Serve a memory folder by `widedeep-kb serve` until the block is left.

    Args:
        folder: the memory, called "memory" there.
        *options: further words of the command.

    Raises:
        RuntimeError: the server ended before it was ready, or takes too long; with what it said.
    """
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        words = [sys.executable, "-m", "widedeep_kb", "serve", "--memory", f"memory={folder}", "--port", "0", *options]
        with log.open("w") as printed:
            process = subprocess.Popen(words, stderr=printed, stdout=printed)
        try:
            yield ServedProcess(_ready(process, log), process, log)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(process: subprocess.Popen, log: Path) -> str:
    """The address of a server that answers."""
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        url = log.read_text().partition("\n")[0].strip()
        if url.startswith("http"):
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    return url
            except httpx.TransportError:
                pass
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start: {log.read_text()[-500:]}")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/status has no {name}")
