"""`serve` as a process: it says where it listens, loads, answers, and ends in order."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from outcomes import Run

from widedeep_kb.cli.serve import named_folders
from widedeep_kb.model import KnowledgeMemory


@pytest.fixture
def server(memory: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """A server's process and its address, ready."""
    words = [sys.executable, "-m", "widedeep_kb", "serve", "--memory", f"demo={memory}", "--port", "0"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    url = process.stderr.readline().strip()
    assert url.startswith("http://127.0.0.1:"), url
    deadline = time.monotonic() + 120
    while httpx.get(f"{url}/health").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield process, url
    process.kill()
    process.communicate()


def test_a_server_answers_and_ends_in_order(server: tuple[subprocess.Popen, str], memory: Path, run: Run) -> None:
    process, url = server
    facts = {"facts": [{"subject": "Aurora", "relation": "port", "object": "9000"}]}
    assert httpx.put(f"{url}/v1/facts", json=facts).status_code == 200
    assert "Aurora\tport\t9000" in run("list", "--memory", memory).out
    assert "is being changed by another process" in run("erase", "--memory", memory, "--subject", "Aurora").err
    answers: list[httpx.Response] = []
    body = {"model": "demo", "prompt": "What is the port of Aurora?", "max_tokens": 400}
    asking = threading.Thread(target=lambda: answers.append(httpx.post(f"{url}/v1/completions", json=body, timeout=60)))
    asking.start()
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    asking.join()
    assert answers[0].status_code == 200 and answers[0].json()["choices"][0]["finish_reason"]
    assert process.wait(60) == 0
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/health")
    opened = KnowledgeMemory.from_pretrained(memory).store.catalogue
    assert "9000" in opened.rows(opened.alive())["object"].to_list()
    assert run("erase", "--memory", memory, "--subject", "Aurora").code == 0  # the lock is gone


def test_mistakes_end_the_server_at_once(run: Run, memory: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    for text, message in (("{", "is not JSON"), ("[]", "must hold an object"), ('{"t": "admin"}', "'admin'")):
        tokens.write_text(text)
        refused = run("serve", "--memory", memory, "--tokens", tokens)
        assert refused.code == 1 and message in refused.err
    assert "can be reached by others" in run("serve", "--memory", memory, "--host", "0.0.0.0", "--port", "0").err
    assert "--port must be between" in run("serve", "--memory", memory, "--port", "70000").err
    assert "neither empty nor a memory folder" in run("serve", "--memory", tmp_path).err
    assert "two memories are called 'a'" in run("serve", "--memory", "a=x", "--memory", "a=y").err
    config = json.loads((memory / "config.json").read_text())
    (memory / config["snapshot"] / "facts.parquet").unlink()
    broken = run("serve", "--memory", memory, "--port", "0")
    assert broken.code == 1 and "facts.parquet" in broken.err


def test_names_of_memories(tmp_path: Path) -> None:
    assert named_folders([f"one={tmp_path}", str(tmp_path / "two")]) == {"one": tmp_path, "two": tmp_path / "two"}
