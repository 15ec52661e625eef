"""Kills a server under load at random instants, and looks for what it had acknowledged.

    python benchmarks/bench_faults.py --kills 200

Clients write, replace, extend and erase facts of their own subjects as fast as they can, while one of them compacts the
folder now and then. After a time drawn at random the server gets SIGKILL, counted from its first answer to a change,
and each fourth time from its start (the first change of a process takes longer); then it is started again on the same
folder. Every subject must have the values that were acknowledged last; where a request was not answered, either those
before it or those after it, whole. The LLM is a tiny random one, so that a start takes little: the way from a request
to the disk is the same.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.studies.reporting import tell
from widedeep_kb.studies.tiny import save_tiny_memory

CLIENTS = 4
SUBJECTS = 5  # of each client
SHARE_COMPACTED = 0.03
# Children of a process that has imported everything and used nothing: Polars' threads do not survive a fork.
SERVERS = multiprocessing.get_context("forkserver")
SERVERS.set_forkserver_preload(["widedeep_kb.serving.running", "transformers.models.llama.modeling_llama"])


@dataclass
class Subject:
    """What one subject may hold, for all that its client knows.

    Attributes:
        name: of the subject.
        acknowledged: its values by the last answer.
        attempted: its values if the request in flight was carried out; None: there is none.
    """

    name: str
    acknowledged: frozenset[str] = frozenset()
    attempted: frozenset[str] | None = None


@dataclass
class Tally:
    """What came of all rounds."""

    kills: int = 0
    acknowledged: int = 0
    unanswered: int = 0
    compacted: int = 0
    lost: list[str] = field(default_factory=list)
    has_answered: threading.Event = field(default_factory=threading.Event)  # since the last start


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--longest", type=float, default=1.0, help="most seconds under load before a kill")
    parser.add_argument("--llm", help="folder of the LLM (default: a tiny random one)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def serve(folder: Path, port: int) -> None:
    """The server's process."""
    quiet_libraries()
    from widedeep_kb.serving.running import run_server
    from widedeep_kb.serving.state import ServerState

    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    run_server(ServerState({"memory": folder}), host="127.0.0.1", port=port)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def running(folder: Path, port: int):  # noqa: ANN201 - a context manager of a process
    """A server that answers; killed at the end."""
    process = SERVERS.Process(target=serve, args=(folder, port))
    process.start()
    try:
        deadline = time.monotonic() + 120
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            while True:
                assert process.is_alive() and time.monotonic() < deadline, "the server did not start"
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/health").status_code == 200:
                        break
                time.sleep(0.02)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.join()


def change(client: httpx.Client, subject: Subject, draw: random.Random) -> None:
    """One change of a subject, noted before it is sent and when it is answered."""
    values = [str(draw.randrange(10**6)) for _ in range(draw.randint(1, 3))]
    facts = [{"subject": subject.name, "relation": "port", "object": value} for value in values]
    kind = draw.choice(["replace", "replace", "extend", "erase"])
    if kind == "erase":
        subject.attempted = frozenset()
        answer = client.request("DELETE", "/v1/facts", json={"subject": subject.name})
    else:
        subject.attempted = frozenset(values) | (subject.acknowledged if kind == "extend" else frozenset())
        answer = client.put("/v1/facts", json={"facts": facts, "mode": kind})
    assert answer.status_code == 200, answer.text
    subject.acknowledged, subject.attempted = subject.attempted, None


def load(port: int, subjects: list[Subject], tally: Tally, *, seed: int, may_compact: bool) -> None:
    """Change subjects until the server is gone."""
    draw = random.Random(seed)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        try:
            while True:
                if may_compact and draw.random() < SHARE_COMPACTED:
                    assert client.post("/v1/compact").status_code == 200
                    tally.compacted += 1
                change(client, draw.choice(subjects), draw)
                tally.acknowledged += 1
                tally.has_answered.set()
        except httpx.TransportError:
            tally.unanswered += 1


def verify(port: int, subjects: list[Subject], tally: Tally) -> None:
    """Every subject holds what it may; what it holds is known from then on."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for subject in subjects:
            answer = client.get("/v1/facts", params={"subject": subject.name})
            held = frozenset(fact["object"] for fact in answer.json()["facts"])
            if held not in (subject.acknowledged, subject.attempted):
                expected = " or ".join(
                    str(sorted(values)) for values in (subject.acknowledged, subject.attempted or ())
                )
                tally.lost.append(f"{subject.name}: {sorted(held)} instead of {expected}")
            subject.acknowledged, subject.attempted = held, None


def run(folder: Path, *, kills: int, longest: float, seed: int) -> Tally:
    """Kill and look, `kills` times."""
    draw, tally = random.Random(seed), Tally()
    subjects = [[Subject(f"Star {client} {number}") for number in range(SUBJECTS)] for client in range(CLIENTS)]
    every = [subject for own in subjects for subject in own]
    for number in range(kills + 1):
        port = free_port()
        with running(folder, port) as process:
            tell(ready=number)
            verify(port, every, tally)
            if number == kills:
                break
            options = [{"seed": draw.randrange(2**32), "may_compact": client == 0} for client in range(CLIENTS)]
            threads = [
                threading.Thread(target=load, args=(port, own, tally), kwargs=option)
                for own, option in zip(subjects, options, strict=True)
            ]
            tally.has_answered.clear()
            for thread in threads:
                thread.start()
            if number % 4:
                tally.has_answered.wait(30)
            time.sleep(draw.uniform(0.02, longest))
            os.kill(process.pid, signal.SIGKILL)
            for thread in threads:
                thread.join()
            tally.kills += 1
        if tally.kills % 20 == 0:
            tell(kills=tally.kills, acknowledged=tally.acknowledged, lost=len(tally.lost))
    return tally


def main(argv: list[str] | None = None) -> None:
    """Run and print; exit code 1 if anything was lost."""
    args = parse_args(argv)
    quiet_libraries()
    with tempfile.TemporaryDirectory() as scratch:
        folder = save_tiny_memory(Path(scratch), llm=args.llm)
        tally = run(folder, kills=args.kills, longest=args.longest, seed=args.seed)
    for line in tally.lost:
        print(line)
    print(
        f"{tally.kills} kills, {tally.acknowledged} changes acknowledged, {tally.unanswered} requests not answered, "
        f"{tally.compacted} times compacted: {len(tally.lost)} subjects with a loss"
    )
    sys.exit(1 if tally.lost else 0)


if __name__ == "__main__":
    main()
