"""What the tests of the server run: memories on a port of this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.serving.auth import Tokens
from widedeep_kb.serving.connections import Server
from widedeep_kb.serving.running import make_server
from widedeep_kb.serving.state import Limits, ServerState

FACTS = (
    {"subject": "Aurora", "relation": "port", "object": "8443", "subject_aliases": ["Aurora gateway"]},
    {"subject": "Aurora", "relation": "owner", "object": "Ada Lovelace", "source": "wiki"},
    {"subject": "Borealis", "relation": "port", "object": "007"},
)
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass
class Served:
    """A running server."""

    url: str
    state: ServerState
    folder: Path
    server: Server
    thread: threading.Thread

    def client(self, token: str | None = None) -> httpx.Client:
        """A plain HTTP client."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    @property
    def memory(self) -> KnowledgeMemory:
        """The default memory."""
        return self.state.memory()


@contextmanager
def serving(
    folders: Mapping[str, Path], *, limits: Limits | None = None, tokens: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Serve memory folders until the block is left."""
    state = ServerState(folders, limits=limits or Limits(max_new_tokens=64), tokens=Tokens(tokens))
    server = make_server(state)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not (server.started and state.status != "loading"):
        assert time.monotonic() < deadline, state.status
        time.sleep(0.01)
    assert state.status == "ready", state.status
    state.memory().lm.tokenizer.chat_template = CHAT
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Served(f"http://127.0.0.1:{port}", state, next(iter(folders.values())), server, thread)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
