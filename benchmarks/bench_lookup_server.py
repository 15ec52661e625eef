"""Look-ups a second of a served memory, with the load on the same machine.

    python benchmarks/bench_lookup_server.py --facts 1000000

A memory of random rows (no LLM wrote them) is saved, opened by the server as any other, and asked by clients in a
process of their own over keep-alive connections: 64 exact keys (subject and relation, nine tenths stored) a call,
for fact ids and for rows as Arrow. Each round lasts `--seconds`; medians of the rounds. An answer is compared with the
catalogue's own first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch

from widedeep_kb.facts import Changes
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.schema import normalise_facts
from widedeep_kb.serving.running import make_server
from widedeep_kb.serving.state import ServerState
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.reporting import tell

RELATIONS = ("port", "owner", "founding date", "motto")
KEYS = 64
SHARE_STORED = 0.9
CHUNK = 100_000


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--llm", help="Hugging Face id or folder (default: the default LLM)")
    parser.add_argument("--reader", help="folder of its reader (default: the shipped one)")
    return parser.parse_args(argv)


def subjects_of(count: int, seed: int = 0) -> list[str]:
    """Distinct names of two made-up words."""
    random = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(row).capitalize() for row in letters[random.integers(0, 26, (20_000, 6))]]
    pairs = random.choice(len(words) ** 2, size=count, replace=False)
    return [f"{words[pair // len(words)]} {words[pair % len(words)]}" for pair in pairs]


def fill(memory: KnowledgeMemory, num_facts: int) -> list[str]:
    """Write facts with random rows, one row each; returns the subjects."""
    subjects = subjects_of(-(-num_facts // len(RELATIONS)))
    store, random = memory.store, np.random.default_rng(1)
    for start in range(0, num_facts, CHUNK):
        places = np.arange(start, min(start + CHUNK, num_facts))
        facts = pl.DataFrame(
            {
                "subject": [subjects[place // len(RELATIONS)] for place in places],
                "relation": [RELATIONS[place % len(RELATIONS)] for place in places],
                "object": random.integers(0, 10**9, len(places)).astype(str),
            }
        )
        changes: Changes = store.preview(normalise_facts(facts))
        rows = torch.randn(len(places), store.table.embedding_dim, dtype=torch.float16)
        store.change(changes, rows, num_rows=np.ones(len(places), dtype=np.int64))
        tell(facts_written=start + len(places))
    return subjects


def bodies_of(subjects: list[str], *, count: int, rows: bool) -> list[bytes]:
    """Requests as they go over the wire."""
    random, out = np.random.default_rng(2), []
    for _ in range(count):
        keys = [
            [subjects[random.integers(len(subjects))] if random.random() < SHARE_STORED else "Nobody Here", relation]
            for relation in random.choice(RELATIONS, KEYS)
        ]
        body = json.dumps({"keys": keys, "rows": rows}).encode()
        head = f"POST /v1/lookup HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        out.append(head.encode() + body)
    return out


class Client(asyncio.Protocol):
    """Asks one request after another over a connection of its own, with as little work as can be.

    Args:
        requests: as they go over the wire, asked in turn.
        until: no request is begun after this time.

    Attributes:
        seconds: of each answer, from its request's first byte to its last.
        num_bytes: of all answers' bodies.
        is_over: done when the last answer has come.
    """

    def __init__(self, requests: list[bytes], *, until: float) -> None:
        self.requests, self.until, self.is_over = requests, until, asyncio.get_running_loop().create_future()
        self.seconds: list[float] = []
        self.num_bytes, self._left, self._head = 0, 0, b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin."""
        self.transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Part of an answer."""
        if not self._left:
            head, separator, body = (self._head + data).partition(b"\r\n\r\n")
            if not separator:
                self._head = head
                return
            assert head.startswith(b"HTTP/1.1 200"), head
            self._left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            self.num_bytes += self._left
            self._head, data = b"", body
        self._left -= len(data)
        if not self._left:
            now = time.perf_counter()
            self.seconds.append(now - self._started)
            if now < self.until:
                self._ask()
            else:
                self.transport.close()
                self.is_over.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """An end before the end is a failure."""
        if not self.is_over.done():
            self.is_over.set_exception(error or ConnectionError("the server closed a connection"))

    def _ask(self) -> None:
        self._started = time.perf_counter()
        self.transport.write(self.requests[len(self.seconds) % len(self.requests)])


def load(port: int, requests: list[bytes], *, connections: int, seconds: float, pipe: object) -> None:
    """A round of load from a process of its own."""

    async def run() -> list[Client]:
        until = time.perf_counter() + seconds
        loop, clients = asyncio.get_running_loop(), []
        for i in range(connections):
            part = requests[i::connections]
            _, client = await loop.create_connection(lambda part=part: Client(part, until=until), "127.0.0.1", port)
            clients.append(client)
        await asyncio.gather(*(client.is_over for client in clients))
        return clients

    import uvloop

    clients = uvloop.run(run())
    pipe.send(([second for client in clients for second in client.seconds], sum(each.num_bytes for each in clients)))


def check(memory: KnowledgeMemory, port: int, request: bytes) -> None:
    """The server's answer to a request is the catalogue's own."""
    import urllib.request

    body = request.split(b"\r\n\r\n", 1)[1]
    answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/lookup", data=body)  # noqa: S310 - our own server
    found = json.loads(answer.read())["fact_ids"]
    keys = pl.DataFrame(json.loads(body)["keys"], schema=["subject", "relation"], orient="row")
    live = memory.store.catalogue.where(pl.lit(True), ["subject", "relation", "fact_id"])  # noqa: FBT003
    joined = keys.join(live, on=["subject", "relation"], how="left", maintain_order="left")
    assert [ids[0] if ids else None for ids in found] == joined["fact_id"].to_list()


def main(argv: list[str] | None = None) -> None:
    """Build, serve, load and print."""
    args = parse_args(argv)
    quiet_libraries()
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader)
    subjects = fill(memory, args.facts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memory"
        memory.save(path)
        state = ServerState({"memory": path}, options={"llm": memory.lm})
        server = make_server(state)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not (server.started and state.status != "loading"):
            time.sleep(0.05)
        assert state.status == "ready", state.status
        rows = measure(args, memory, subjects, port=server.servers[0].sockets[0].getsockname()[1])
        server.should_exit = True
        thread.join()
    print(markdown_table(list(rows[0]), [list(row.values()) for row in rows]))


def measure(args: argparse.Namespace, memory: KnowledgeMemory, subjects: list[str], *, port: int) -> list[dict]:
    """A line for fact ids and one for rows."""
    context, out = multiprocessing.get_context("spawn"), []
    for rows in (False, True):
        requests = bodies_of(subjects, count=400, rows=rows)
        if not rows:
            check(memory, port, requests[0])
        rounds = []
        for _ in range(args.rounds + 1):
            ours, theirs = context.Pipe(duplex=False)
            options = {"connections": args.connections, "seconds": args.seconds, "pipe": theirs}
            process = context.Process(target=load, args=(port, requests), kwargs=options)
            process.start()
            seconds, num_bytes = ours.recv()
            process.join()
            rounds.append((len(seconds) / args.seconds, *np.percentile(seconds, [50, 99]), num_bytes / args.seconds))
        calls, median, last, size = (statistics.median(column) for column in zip(*rounds[1:], strict=True))
        line = {
            "answer": "rows (Arrow)" if rows else "fact ids",
            "facts": args.facts,
            "calls/s": round(calls),
            "p50, ms": round(1000 * median, 2),
            "p99, ms": round(1000 * last, 2),
            "MB/s": round(size / 1e6, 1),
        }
        tell(**line)
        out.append(line)
    return out


if __name__ == "__main__":
    main()
