"""Connections: how many, how slow, how long; and what a server that stops says to those who wait."""

from __future__ import annotations

import json
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from served import Served, serving

from widedeep_kb.serving.state import Limits

HEAD = b"POST /v1/lookup HTTP/1.1\r\nHost: x\r\n"
LIMITS = Limits(
    max_new_tokens=64,
    max_body_bytes=1 << 20,
    max_all_body_bytes=1 << 20,
    head_s=0.4,
    min_body_bytes_per_s=1000,
    unread_s=1.0,
)


@pytest.fixture
def strict(folder: Path) -> Iterator[Served]:
    """A server of little patience."""
    with serving({"demo": folder}, limits=LIMITS) as served:
        yield served


def connected(served: Served, first: bytes = b"") -> socket.socket:
    """A connection that has sent its first bytes."""
    host, port = served.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(first)
    return connection


def said(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    try:
        while part := connection.recv(1 << 16):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def wait_for(is_so: Callable[[], bool]) -> None:
    """Wait until it is so, at most 8 seconds."""
    deadline = time.monotonic() + 8
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def request(body: object, *, method: str = "POST", path: str = "/v1/lookup", last: bool = False) -> bytes:
    """A request as it goes over the wire."""
    data = json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    return (head + ("Connection: close\r\n" if last else "") + "\r\n").encode() + data


def test_what_goes_nowhere_is_closed(strict: Served) -> None:
    missing = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n12"  # answered before its body is there
    first = {
        "idle": b"",
        "head": HEAD + b"X: ",
        "body": HEAD + b"Content-Length: 100000\r\n\r\n",
        "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        "answered": missing,
    }
    more = {"head": b"a", "body": b" ", "chunks": b"1\r\n \r\n"}
    started = time.monotonic()
    connections = {kind: connected(strict, bytes_) for kind, bytes_ in first.items()}
    time.sleep(0.1)
    connections["answered"].sendall(b"34")
    for _ in range(40):
        for kind, bytes_ in more.items():
            try:
                connections[kind].sendall(bytes_)
            except ConnectionError:
                pass
        time.sleep(0.05)
    answers = {kind: said(connection) for kind, connection in connections.items()}
    assert time.monotonic() - started < 6
    statuses = {kind: answer.split(b" ")[1:2] for kind, answer in answers.items()}
    assert statuses == {"idle": [], "head": [b"408"], "body": [b"408"], "chunks": [b"408"], "answered": [b"404"]}
    assert answers["answered"].count(b"HTTP/1.1") == 1
    assert httpx.get(f"{strict.url}/health").status_code == 200


def test_who_waits_for_us_is_not_closed(strict: Served) -> None:
    facts = [{"facts": [{"subject": "Vega", "relation": "port", "object": str(number)}]} for number in range(3)]
    with strict.memory.changing:
        several = b"".join(request(each, method="PUT", path="/v1/facts", last=each is facts[-1]) for each in facts)
        waiting = connected(strict, several)
        half = connected(strict, request(facts[0], method="PUT", path="/v1/facts") + HEAD)  # the second goes on later
        time.sleep(2.5)
        half.sendall(request({"keys": ["Vega"]}, last=True).removeprefix(HEAD))
    assert said(waiting).count(b"HTTP/1.1 200") == 3
    assert said(half).count(b"HTTP/1.1 200") == 2
    assert strict.memory.store.catalogue.find(subject="Vega").ordinals.size == 1


def test_a_slow_body_of_some_speed_is_taken(strict: Served) -> None:
    whole = request({"keys": ["Aurora"] * 500}, last=True)
    connection = connected(strict)
    for start in range(0, len(whole), 500):
        connection.sendall(whole[start : start + 500])
        time.sleep(0.15)
    assert said(connection).startswith(b"HTTP/1.1 200")


def test_long_heads_are_refused_and_many_requests_at_once_are_not(strict: Served) -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    for begin, part in ((HEAD + b"X: ", b"a" * 60_000), (chunked, b"X: aaaa\r\n" * 20_000), (b"GET /", b"a" * 60_000)):
        connection = connected(strict, begin)
        while not select.select([connection], [], [], 0.02)[0]:
            connection.sendall(part)
        assert said(connection).startswith(b"HTTP/1.1 431"), begin
    many = [request({"keys": ["Aurora"] * 200}, last=number == 99) for number in range(100)]
    assert sum(map(len, many)) > 2 * (64 << 10)
    connection = connected(strict)
    threading.Thread(target=connection.sendall, args=(b"".join(many),)).start()
    assert said(connection).count(b"HTTP/1.1 200") == 100


def test_who_reads_nothing_is_closed(
    strict: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    host, port = strict.url.removeprefix("http://").split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((host, int(port)))
    asked = request({"keys": ["Aurora"] * 4000, "rows": True})
    connection.sendall(asked * 3)
    wait_for(lambda: any(each.transport.get_write_buffer_size() for each in strict.server.server_state.connections))
    wait_for(lambda: not strict.server.server_state.connections)
    connection.settimeout(5)
    assert caplog.text == ""
    head, _, body = said(connection).partition(b"\r\n\r\n")
    assert len(body) < int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])


def test_connections_beyond_the_limit_are_told_to_come_again(folder: Path) -> None:
    most = 40
    with serving({"demo": folder}, limits=Limits(max_connections=most)) as served:
        connections = [connected(served) for _ in range(most + 5)]
        assert [said(connection).split(b" ")[1] for connection in connections[most:]] == [b"503"] * 5  # unasked
        for connection in connections[:most]:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert said(connection).startswith(b"HTTP/1.1 200")
        assert httpx.get(f"{served.url}/health").status_code == 200


def test_long_bodies_have_a_limit_together(strict: Served) -> None:
    size = 700_000
    head = HEAD + b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
    body = b'{"keys": ["Aurora"]}'.ljust(size)
    first = connected(strict, head + body[:-1])
    time.sleep(0.2)
    second = connected(strict, head + body)
    assert said(second).startswith(b"HTTP/1.1 503")
    first.sendall(body[-1:])
    assert said(first).startswith(b"HTTP/1.1 200")
    assert said(connected(strict, head + body)).startswith(b"HTTP/1.1 200")


def test_a_server_that_stops_tells_those_who_wait(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[httpx.Response] = []
    held = threading.Event()

    def ask() -> None:
        with served.client() as client:
            answers.append(client.post("/v1/ask", json={"question": "Which port does Aurora use?"}))

    with serving({"demo": folder}, limits=Limits(shutdown_s=1)) as served:
        monkeypatch.setattr(served.memory, "ask_many", lambda *_: held.wait(20) and [])
        asking = [threading.Thread(target=ask) for _ in range(2)]
        for thread in asking:
            thread.start()
        time.sleep(0.3)
        served.server.should_exit = True
        for thread in asking:
            thread.join(10)
        assert [answer.status_code for answer in answers] == [503, 503]
        assert "stopping" in answers[0].text
        held.set()
