"""What all routes share: the live memories, the limits, who may do what, and the queue of the LLM.

The memories are opened in a thread of their own, so that the port answers while they load.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from widedeep_kb.live import LiveMemory, live_memory
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.serving.auth import Tokens
from widedeep_kb.serving.batching import Batcher
from widedeep_kb.serving.errors import ApiError
from widedeep_kb.serving.metrics import Metrics


@dataclass(frozen=True)
class Limits:
    """What one client, or one call, may ask for.

    Attributes:
        max_body_bytes: of a request.
        max_all_body_bytes: of all requests that are not answered yet.
        max_facts_per_call: written, erased or listed.
        max_keys_per_call: looked up.
        max_prompts_per_call: of a completion.
        max_new_tokens: of an answer.
        max_batch: sequences in one call of the LLM.
        max_wait_ms: how long a request waits for others to share its batch.
        max_queue: requests that wait for the LLM; further ones are told to come again.
        max_connections: open at a time; further ones are told to come again, and closed.
        head_s: in which the head of a request must have come, and the first request of a connection.
        min_body_bytes_per_s: a body may take `head_s`, and longer if it comes at this speed.
        unread_s: how long a client may read nothing of its answer.
        max_journal_bytes: of changes since the last snapshot; beyond it a new one is written.
        shutdown_s: how long running requests have, once the server is told to stop.

    Raises:
        ValueError: a number that is not above 0.
    """

    max_body_bytes: int = 16 << 20
    max_all_body_bytes: int = 256 << 20
    max_facts_per_call: int = 10_000
    max_keys_per_call: int = 4096
    max_prompts_per_call: int = 64
    max_new_tokens: int = 512
    max_batch: int = 16
    max_wait_ms: float = 4.0
    max_queue: int = 256
    max_connections: int = 20_000
    head_s: float = 10.0
    min_body_bytes_per_s: int = 1000
    unread_s: float = 30.0
    max_journal_bytes: int = 1 << 30
    shutdown_s: int = 30

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}")


class ServerState:
    """The memories that are served, and what routes need beside them.

    Args:
        folders: name -> memory folder; the first one is the default.
        limits: see `Limits`.
        tokens: who may read and who may write.
        options: of `live_memory`.

    Attributes:
        memories: name -> live memory; empty until they are loaded.
        status: "loading", "ready", "stopping", or "failed: ..." with the reason.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        tokens: Tokens | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        if not folders:
            raise ValueError("no memory to serve")
        self.folders, self.limits, self.options = dict(folders), limits, dict(options or {})
        self.tokens = tokens if tokens is not None else Tokens()
        self.default = next(iter(self.folders))
        self.memories: dict[str, LiveMemory] = {}
        self.metrics = Metrics(self)
        self.batcher = Batcher(
            max_batch=limits.max_batch,
            max_wait_s=limits.max_wait_ms / 1000,
            max_queue=limits.max_queue,
            metrics=self.metrics,
        )
        self.status = "loading"
        self._open = ExitStack()
        self._loading: threading.Thread | None = None
        self._compacting = threading.Lock()

    def start(self) -> None:
        """Begin to load the memories."""
        self._loading = threading.Thread(target=self._load, name="loading", daemon=True)
        self._loading.start()

    def wait(self) -> None:
        """Wait until they are loaded, or cannot be."""
        self._loading.join()

    def stop(self) -> None:
        """Finish what waits for the LLM, and close the memories."""
        if not self.has_failed:
            self.status = "stopping"
        if self._loading is not None:
            self._loading.join()
        self.batcher.stop()
        with self._compacting:
            self._open.close()
        self.memories = {}

    def live(self, name: str | None = None) -> LiveMemory:
        """A live memory by name; None: the default.

        Raises:
            ApiError: 503 while it is loading, 404 if there is none of this name.
        """
        if self.status != "ready":
            raise ApiError(503, f"the server is {self.status}", code="not_ready", retry_after=1)
        name = self.default if name is None else name
        if name not in self.memories:
            raise ApiError(
                404, f"no memory is called {name[:80]!r}; there is {', '.join(self.memories)}", param="memory"
            )
        return self.memories[name]

    def compact_if_due(self, live: LiveMemory) -> None:
        """Begin a new snapshot of a memory whose journal has become long, unless one is being written."""
        if live.journal_bytes > self.limits.max_journal_bytes and self._compacting.acquire(blocking=False):
            threading.Thread(target=self._compact, args=(live,), name="compacting").start()

    def _compact(self, live: LiveMemory) -> None:
        try:
            live.compact()
        except OSError as error:  # the former snapshot and its journal stay: nothing is lost
            print(f"the journal of {live.folder} could not be compacted: {error}", file=sys.stderr)
        finally:
            self._compacting.release()

    def memory(self, name: str | None = None) -> KnowledgeMemory:
        """What `live` holds."""
        return self.live(name).memory

    def for_model(self, model: str | None, memory: bool | str | None) -> tuple[KnowledgeMemory, bool]:
        """The memory that a request names, and whether it is to be read.

        Args:
            model: name of a memory, or of the LLM of one, which means the bare LLM; None: the default memory.
            memory: in the place of what `model` says: False = bare, True = with memory, or a memory's name.

        Raises:
            ApiError: 404 for an unknown name, 503 while loading.
        """
        default = self.memory()
        if isinstance(memory, str):
            return self.memory(memory), True
        if model is None or model in self.memories:
            return self.memory(model), memory is not False
        for live in self.memories.values():
            if model == live.memory.lm.identity.name:
                return live.memory, memory is True
        known = [*self.memories, default.lm.identity.name]
        raise ApiError(404, f"no model is called {model[:80]!r}; there is {', '.join(known)}", param="model")

    @property
    def has_failed(self) -> bool:
        """Whether the memories could not be loaded."""
        return self.status.startswith("failed: ")

    @property
    def llm_names(self) -> Sequence[str]:
        """Names of the bare LLMs."""
        return list(dict.fromkeys(live.memory.lm.identity.name for live in self.memories.values()))

    def _load(self) -> None:
        try:
            loaded: dict[str, LiveMemory] = {}
            for name, folder in self.folders.items():
                loaded[name] = self._open.enter_context(self._live(folder, loaded))
        except (ValueError, OSError, ImportError) as error:
            self.status = f"failed: {' '.join(str(error).split())}"
            return
        self.memories = loaded
        self.batcher.start()
        if self.status == "loading":
            self.status = "ready"

    def _live(self, folder: Path, loaded: Mapping[str, LiveMemory]):  # noqa: ANN202 - a context manager
        """The folder's memory; one LLM serves all memories that were made for it."""
        from widedeep_kb.memory.config import CONFIG_NAME, read_config

        options = dict(self.options)
        if loaded and (folder / CONFIG_NAME).exists():
            revision = read_config(folder).llm_revision
            same = (live.memory.lm for live in loaded.values() if live.memory.lm.identity.revision == revision)
            options["llm"] = next(same, options.get("llm"))
        return live_memory(folder, **options)
