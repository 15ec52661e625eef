"""Runs the server: a port that answers at once, memories that load behind it, and an orderly end on SIGTERM."""

from __future__ import annotations

import ipaddress
import resource
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import uvicorn

from widedeep_kb.serving.app import create_app
from widedeep_kb.serving.connections import LimitedHttp, Server
from widedeep_kb.serving.state import ServerState

_OTHER_FILES = 200  # that a server has open beside its connections
_BACKLOG = 4096  # connections that wait to be taken
_LAST_ANSWERS_S = 5  # for telling those that took too long that the server stops


def run_server(state: ServerState, *, host: str, port: int) -> int:
    """Serve until told to stop; returns the exit code.

    Running requests may finish for `limits.shutdown_s` seconds; what was acknowledged is on disk already.

    Args:
        state: of the server.
        host, port: to listen on; port 0 = any free one, which is printed.

    Raises:
        ValueError: a host that others can reach, with no token wanted of them.
        OSError: the port is taken.
    """
    if not len(state.tokens) and not is_loopback(host):
        raise ValueError(f"{host!r} can be reached by others: name tokens for them (--tokens FILE)")
    server = make_server(state)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # who reads the address may connect
        shown = f"[{host}]" if ":" in host else host
        print(f"http://{shown}:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
        with _ended_by_signals():
            server.run(sockets=[listener])
    return 1 if state.has_failed else 0


def make_server(state: ServerState, *, port: int = 0) -> Server:
    """The server of a state, within its limits; it listens on a port of this machine unless it is given a socket.

    This process may open as many files as the system allows from then on: each connection is one.
    """
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    most = min(state.limits.max_connections, max(1, most_files - _OTHER_FILES))
    config = uvicorn.Config(
        create_app(state),
        port=port,
        http=partial(LimitedHttp, limits=replace(state.limits, max_connections=most)),
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=state.limits.shutdown_s + _LAST_ANSWERS_S,
        server_header=False,
        backlog=_BACKLOG,
    )
    return Server(config, state)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A signal that uvicorn has ended in order for is no reason to die of it afterwards, as it would have us do."""
    signals = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = [signal.signal(number, lambda *_: None) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, former, strict=True):
            signal.signal(number, handler)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
