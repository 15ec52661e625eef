"""The Python client, against a server of its own."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from served import Served, serving

from widedeep_kb.client import Client, ServerError
from widedeep_kb.schema import fact_id

PORT = {"subject": "Aurora", "relation": "port", "object": "9000"}
QUESTION = "What is the port of Aurora?"


def test_everything_a_client_can_do(served: Served) -> None:
    with Client(served.url) as client:
        assert client.is_ready()
        written = client.write([PORT])
        assert (written.added, written.removed, written.fact_ids) == (1, 1, [fact_id("aurora", "port", "9000")])
        answer, expected = client.ask(QUESTION, max_new_tokens=4), served.memory.ask(QUESTION, max_new_tokens=4)
        assert (answer.text, answer.evidence) == (expected.text, expected.evidence)
        assert answer.confidence == pytest.approx(expected.confidence)
        assert client.ask(QUESTION, use_memory=False).evidence == ()
        assert [fact["object"] for fact in client.facts(subject="Aurora")] == ["Ada Lovelace", "9000"]
        assert client.lookup([("Aurora", "port"), "Nobody"]) == [written.fact_ids, []]
        ((found, weight), *_) = client.recall([QUESTION])[0]
        assert found == written.fact_ids[0] and 0 < weight <= 1
        assert client.rows([("Aurora", "port")])["fact_id"].to_pylist() == written.fact_ids
        text = client.complete(QUESTION, max_tokens=4)
        assert text == client.complete(QUESTION, max_tokens=4) != client.complete(QUESTION, max_tokens=4, memory=False)
        turns = [{"role": "user", "content": QUESTION}]
        assert "".join(client.stream(turns, max_tokens=6)) == client.chat(turns, max_tokens=6)
        erased = client.erase(fact_ids=[*written.fact_ids, "f" * 16])
        assert [fact["object"] for fact in erased.facts] == ["9000"] and erased.absent == ["f" * 16]
        client.compact()
        assert served.state.live().journal_bytes == 0


def test_errors_are_of_one_kind(shared: Served) -> None:
    with Client(shared.url) as client:
        with pytest.raises(ServerError, match="newline") as caught:
            client.write([{**PORT, "object": "a\nb"}])
        assert (caught.value.status, caught.value.param) == (422, "facts")
        with pytest.raises(ServerError, match="exactly one"):
            client.erase()
        with pytest.raises(ServerError, match="at most 64"):
            list(client.stream([{"role": "user", "content": "x"}], max_tokens=999))
    with Client(shared.url, memory="else") as client, pytest.raises(ServerError, match="no memory is called 'else'"):
        client.ask(QUESTION)
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServerError) as caught:
        client.ask(QUESTION)
    assert caught.value.status == 0


def test_a_loading_server_is_waited_for_and_tokens_are_sent(folder: Path) -> None:
    with serving({"demo": folder}, tokens={"reader": "read", "writer": "write"}) as served:
        with Client(served.url, token="reader") as client, pytest.raises(ServerError, match="may read"):
            client.write([PORT])
        served.state.status = "loading"
        threading.Timer(1.0, lambda: setattr(served.state, "status", "ready")).start()
        with Client(served.url, token="writer") as client:
            assert not client.is_ready()
            assert client.write([PORT]).added == 1
