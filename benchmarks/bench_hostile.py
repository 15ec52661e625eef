"""Thousands of connections and requests that mean no good, and normal requests between them.

    python benchmarks/bench_hostile.py --connections 10000

A server process with tokens is started on a small memory of a tiny random LLM (a request takes the same way through
it). Connections are opened that say nothing, that send a request's head or body a byte at a time and never end it, that
ask for much and read nothing, or that send what is no request; then come requests with wrong tokens, names that lead
out of a folder, and broken facts. All the while a client asks, looks up and writes; it must be answered in bounded
time. The server must close what goes nowhere, let nobody in, answer nothing with a status of 500 and above but "come
again" (503), keep its facts, and be healthy afterwards with its memory near that of the start. Exit code 1 if any of it
fails. Prints JSON lines, then a table in Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import resource
import select
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.hostile import MAY_WRITE, TOKENS, broken_facts, tricky_names, wrong_tokens
from widedeep_kb.studies.reporting import tell
from widedeep_kb.studies.served_process import ServedProcess, served_process
from widedeep_kb.studies.tiny import save_tiny_memory

FACTS = [{"subject": f"Star {i}", "relation": "motto", "object": f"word {i} of many"} for i in range(500)]
HEAD = b"POST /v1/lookup HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer writes-9e2b\r\n"
MANY_ROWS = b'{"rows": true, "keys": [' + b",".join(b'"Star %d"' % i for i in range(500)) + b"]}"
OTHER_FILES = 300  # that either process has open beside its connections
FIRST = {
    "idle": b"",
    "slow head": HEAD + b"X: ",
    "slow body": HEAD + b"Content-Length: 100000\r\n\r\n",
    "slow chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    "reads nothing": 40 * (HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(MANY_ROWS), MANY_ROWS)),
}
MORE = {"slow head": b"a", "slow body": b" ", "slow chunks": b"1\r\n \r\n"}  # once a second
FEW_FILES = 4  # that normal requests have open


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--llm", help="folder of the LLM (default: a tiny random one)")
    parser.add_argument("--requests", type=int, default=600, help="broken facts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bound-s", type=float, default=30.0, help="most seconds for a normal request")
    parser.add_argument("--closed-s", type=float, default=60.0, help="most seconds until what goes nowhere is closed")
    parser.add_argument("--rss-mb", type=float, default=512.0, help="most that the server may have grown by")
    return parser.parse_args(argv)


@dataclass
class Result:
    """What came of all attacks."""

    rows: list[dict[str, object]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def expect(self, is_so: bool, message: str) -> None:
        """Note a failure unless it is so."""
        if not is_so:
            self.failures.append(message)


class Normal(threading.Thread):
    """A client that does what clients do, one request after another, until `end`.

    Args:
        served: the server.

    Attributes:
        seconds: of each request.
        wrong: what was not answered as it should.
    """

    def __init__(self, served: ServedProcess) -> None:
        super().__init__(daemon=True)
        self.served, self.is_over = served, threading.Event()
        self.seconds: list[float] = []
        self.wrong: list[str] = []

    def run(self) -> None:
        """Ask, look up, write, over a new connection each time."""
        number = 0
        while not self.is_over.is_set():
            number += 1
            fact = {"subject": "Vega", "relation": "port", "object": str(number)}
            requests = [
                ("GET", "/health", None),
                ("POST", "/v1/lookup", {"keys": ["Star 1", ["Vega", "port"]]}),
                ("PUT", "/v1/facts", {"facts": [fact]}),
                ("POST", "/v1/ask", {"question": "What is the motto of Star 2?", "max_new_tokens": 4}),
            ]
            for method, path, body in requests:
                started = time.perf_counter()
                try:
                    status = self.answer_to(method, path, body)
                except (OSError, http.client.HTTPException) as error:
                    status = repr(error)
                self.seconds.append(time.perf_counter() - started)
                if status != 200:
                    self.wrong.append(f"{method} {path}: {status}")
            self.is_over.wait(0.05)

    def answer_to(self, method: str, path: str, body: dict | None) -> int:
        """The status of an answer that is read whole, over a connection of its own."""
        with contextlib.closing(http.client.HTTPConnection(*self.served.address, timeout=30)) as connection:
            headers = {"Content-Type": "application/json", **MAY_WRITE}
            connection.request(method, path, body=json.dumps(body), headers=headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status


@contextlib.contextmanager
def normal_requests(served: ServedProcess, name: str, result: Result, *, bound_s: float) -> Iterator[dict]:
    """Send normal requests while the block runs; what is known of them goes into the row that is yielded."""
    row: dict[str, object] = {"attack": name}
    client = Normal(served)
    client.start()
    try:
        yield row
    finally:
        client.is_over.set()
        client.join(60)
    p50, p99, most = np.percentile(client.seconds, [50, 99, 100])
    row |= {"normal requests": len(client.seconds), "answered": round(1 - len(client.wrong) / len(client.seconds), 4)}
    row |= {"p50, ms": round(1000 * p50, 1), "p99, ms": round(1000 * p99, 1)}
    row |= {"slowest, ms": round(1000 * most, 1), "RSS, MB": round(served.rss_bytes / 1e6)}
    result.expect(not client.wrong, f"{name}: {len(client.wrong)} normal requests refused, first {client.wrong[:1]}")
    result.expect(most <= bound_s, f"{name}: a normal request took {most:.1f} s, more than {bound_s}")
    tell(**row)
    result.rows.append(row)


def crowd(served: ServedProcess, kind: str, result: Result, *, count: int, args: argparse.Namespace) -> None:
    """`count` connections of one kind; over when the server has closed them all, told by its open files."""
    before, started, most = served.num_files, time.monotonic(), 0
    with normal_requests(served, kind, result, bound_s=args.bound_s) as row:
        connections = [connected(served, kind) for _ in range(count)]
        for connection in connections:
            with contextlib.suppress(ConnectionError):
                connection.sendall(FIRST[kind])
            connection.setblocking(False)
        row["opened in, s"] = round(time.monotonic() - started, 1)
        left, most_open = count, 0
        while left > FEW_FILES and time.monotonic() - started < args.closed_s:
            for connection in connections:
                with contextlib.suppress(ConnectionError, BlockingIOError):
                    connection.sendall(MORE.get(kind, b""))
            time.sleep(1)
            most, left = max(most, served.rss_bytes), served.num_files - before
            most_open = max(most_open, left)
        row |= {"connections": most_open, "closed after, s": round(time.monotonic() - started, 1)}
        row["largest RSS, MB"] = round(most / 1e6)
        result.expect(left <= FEW_FILES, f"{kind}: {left} of {count} connections still open after {args.closed_s} s")
        for connection in connections:
            connection.close()


def connected(served: ServedProcess, kind: str) -> socket.socket:
    """A connection that has said nothing yet."""
    connection = socket.socket()
    if kind == "reads nothing":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(30)
    connection.connect(served.address)
    return connection


def malformed(served: ServedProcess, result: Result, *, args: argparse.Namespace) -> None:
    """What is no request, or far too much of one: refused or closed, and never with a status of 500 and above."""
    chunked, chunk = HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    upgrade = b"GET /v1/ask HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    upgrade += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    attacks: dict[str, Callable[[], Iterator[bytes]]] = {
        "endless header": lambda: iter([HEAD + b"X: "] + [b"a" * 65536] * 400),
        "endless headers": lambda: iter([HEAD] + [b"X-%d: a\r\n" % i * 2000 for i in range(400)]),
        "endless path": lambda: iter([b"GET /"] + [b"a" * 65536] * 400),
        "endless chunks": lambda: iter([chunked] + [chunk] * 40),
        "endless trailer": lambda: iter([chunked + b"0\r\n"] + [b"X: a\r\n" * 9999] * 400),
        "announced 1 TB": lambda: iter([HEAD + b"Content-Length: 1099511627776\r\n\r\n"] + [b"a" * 65536] * 400),
        "two lengths": lambda: iter([HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"]),
        "TLS hello": lambda: iter([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2]),
        "websocket": lambda: iter([upgrade]),
    }
    with normal_requests(served, "no requests", result, bound_s=args.bound_s) as row:
        outcomes = {name: said(served, make(), patience=args.closed_s) for name, make in attacks.items()}
    tell(**outcomes)
    row |= {"connections": len(outcomes), "refused": sum(outcome != "open" for outcome in outcomes.values())}
    for name, outcome in outcomes.items():
        result.expect(outcome == "closed" or outcome.startswith("4"), f"{name}: {outcome}")


def said(served: ServedProcess, parts: Iterator[bytes], *, patience: float) -> str:
    """The status of the answer to `parts`, "closed" without one, or "open" if there is neither."""
    with socket.create_connection(served.address, timeout=patience) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                if select.select([connection], [], [], 0)[0]:
                    break
                connection.sendall(part)
        try:
            answer = connection.recv(1 << 16)
        except TimeoutError:
            return "open"
        except ConnectionError:
            return "closed"
    return answer.split(b" ")[1].decode() if answer.startswith(b"HTTP/1.1 ") else "closed"


def hostile_requests(served: ServedProcess, result: Result, *, args: argparse.Namespace) -> dict[str, object]:
    """Wrong tokens, names that lead elsewhere and broken facts: refused, and the facts that were there stay."""
    statuses: Counter[int] = Counter()
    with served.client() as client:
        for attack in (wrong_tokens(), tricky_names(), broken_facts(args.requests, seed=args.seed)):
            for hostile in attack:
                answer = hostile.send(client)
                statuses[answer.status_code] += 1
                if wrong := hostile.wrong(answer):
                    result.failures.append(wrong)
        found = {"limit": 1000, "relation": "motto"}
        held = client.get("/v1/facts", params=found, headers=MAY_WRITE).json()["facts"]
    kept = {(fact["subject"], fact["object"]) for fact in held if fact["subject"].startswith("Star ")}
    result.expect(kept == {(fact["subject"], fact["object"]) for fact in FACTS}, "facts are not what they were")
    tell(hostile_requests=dict(sorted(statuses.items())))
    refused = sum(count for status, count in statuses.items() if status >= 400)
    return {"connections": 1, "refused": f"{refused} of {statuses.total()}"}


def too_many(folder: Path, result: Result, *, most: int) -> None:
    """Twice as many connections as the server takes: those beyond are told to come again, or closed."""
    with served_process(folder, "--max-connections", str(most)) as served:
        connections = [connected(served, "idle") for _ in range(2 * most)]
        statuses = {"200": 0, "503": 0, "closed": 0}
        for connection in connections:
            try:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = connection.recv(4096)
            except ConnectionError:
                answer = b""
            status = answer.split(b" ")[1].decode() if answer else "closed"
            statuses[status] = statuses.get(status, 0) + 1
        for connection in connections:
            connection.close()
        time.sleep(0.5)
        health = served.client().get("/health").status_code
    tell(attack="too many", most=most, **statuses, health_afterwards=health)
    result.rows.append({"attack": f"more than {most}", "connections": 2 * most, "refused": 2 * most - statuses["200"]})
    result.expect(set(statuses) == {"200", "503", "closed"}, f"too many: {statuses}")
    result.expect(0 < statuses["200"] <= most, f"too many: {statuses['200']} of {2 * most} served, {most} allowed")
    result.expect(health == 200, f"too many: health is {health} afterwards")


def allow_files(wanted: int) -> int:
    """Raise this process's limit of open files; returns the connections that it, and its children, may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    allowed = min(wanted, hard - OTHER_FILES)
    if allowed < wanted:
        tell(note=f"{wanted} connections are more than the hard limit of {hard} files allows", connections=allowed)
    return allowed


def run(folder: Path, args: argparse.Namespace) -> Result:
    """All attacks, one after another, on one server; then too many connections on another."""
    result = Result()
    count = allow_files(args.connections)
    tokens = folder.parent / "tokens.json"
    tokens.write_text(json.dumps(TOKENS))
    with served_process(folder, "--tokens", str(tokens)) as served:
        with served.client() as client:
            assert client.put("/v1/facts", json={"facts": FACTS}, headers=MAY_WRITE).status_code == 200
        with normal_requests(served, "none", result, bound_s=args.bound_s):
            time.sleep(3)
        start = served.rss_bytes
        for kind in FIRST:
            crowd(served, kind, result, count=count if kind != "reads nothing" else max(20, count // 100), args=args)
        malformed(served, result, args=args)
        with normal_requests(served, "requests", result, bound_s=args.bound_s) as row:
            row |= hostile_requests(served, result, args=args)
        with normal_requests(served, "none any more", result, bound_s=args.bound_s):
            time.sleep(3)
        grown = (served.rss_bytes - start) / 1e6
        tell(rss_mb_at_start=round(start / 1e6), grown_mb=round(grown, 1))
        result.expect(served.process.poll() is None, "the server has ended")
        result.expect(grown <= args.rss_mb, f"the server has grown by {grown:.0f} MB, more than {args.rss_mb:g}")
        log = served.log.read_text()
        result.expect("Traceback" not in log, f"the server printed an error: {log[log.find('Traceback') :][:3000]}")
    too_many(folder, result, most=max(4, min(200, count // 2)))
    return result


def main(argv: list[str] | None = None) -> None:
    """Attack and print; exit code 1 if anything failed."""
    args = parse_args(argv)
    quiet_libraries()
    with tempfile.TemporaryDirectory() as scratch:
        result = run(save_tiny_memory(Path(scratch), llm=args.llm), args)
    columns = list(dict.fromkeys(name for row in result.rows for name in row))
    print(f"\n{markdown_table(columns, [[row.get(name, '') for name in columns] for row in result.rows])}")
    for failure in result.failures:
        print(f"FAILED: {failure}")
    sys.exit(1 if result.failures else 0)


if __name__ == "__main__":
    main()
