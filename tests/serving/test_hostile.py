"""Hostile input: what the schema allows and what it does not, paths with tricks, idle connections. Nothing breaks."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import one_of
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema
from served import Served, serving

from widedeep_kb.serving.state import Limits
from widedeep_kb.studies.hostile import TOKENS, broken_facts, tricky_names, wrong_tokens

NUM_EXAMPLES = 40
NUM_CONNECTIONS = 400
NUM_BROKEN = 150


@pytest.fixture(scope="module")
def attacked(served_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that is free to be changed, with short answers."""
    folder = Path(shutil.copytree(served_folder, tmp_path_factory.mktemp("attacked") / "memory"))
    with serving({"demo": folder}, limits=Limits(max_new_tokens=4, max_facts_per_call=50)) as served:
        yield served


@pytest.fixture(scope="module")
def api_schema(attacked: Served) -> BaseSchema:
    """What the server says of itself."""
    return schemathesis.openapi.from_url(f"{attacked.url}/openapi.json")


def test_no_request_breaks_the_server(api_schema: BaseSchema) -> None:
    operations = [found.ok() for found in api_schema.get_all_operations()]
    assert len(operations) > 9
    for operation in operations:
        strategies = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

        @given(case=one_of(strategies))
        @settings(max_examples=NUM_EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def attack(case: schemathesis.Case) -> None:
            response = case.call(timeout=30)
            assert response.status_code < 500, f"{case.as_curl_command()}: {response.text}"
            if response.status_code >= 400:
                assert set(response.json()["error"]) == {"message", "type", "param", "code"}

        attack()


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/v1/facts/..%2f..%2f..%2fetc%2fpasswd",
        "/v1/models/../../../etc/passwd", "/v1/facts/%00", "/v1/facts/%ff%fe", "//etc/passwd", "/v1/facts?memory=../..",
        "/v1/facts?memory=/etc", "/v1/facts?memory=demo%00", "/v1/facts?subject=%ff", "/v1/facts?after=1e9",
    ],
)  # fmt: skip
def test_paths_and_names_lead_nowhere(attacked: Served, path: str) -> None:
    with attacked.client() as client:
        answer = client.get(path)
    assert answer.status_code in (200, 400, 404, 422)
    assert "root:" not in answer.text
    if answer.status_code == 200:
        assert answer.json()["facts"] == []


def test_tokens_names_and_broken_facts_open_no_door(folder: Path) -> None:
    star = {"subject": "Star 1", "relation": "motto", "object": "ad astra"}
    limits = Limits(max_new_tokens=64, max_facts_per_call=50)
    with serving({"memory": folder}, limits=limits, tokens=TOKENS) as served, served.client("writes-9e2b") as client:
        assert client.put("/v1/facts", json={"facts": [star]}).status_code == 200
        statuses = set()
        with served.client() as stranger:
            for hostile in (*wrong_tokens(), *tricky_names(), *broken_facts(NUM_BROKEN, seed=0)):
                answer = hostile.send(stranger)
                assert hostile.wrong(answer) is None
                statuses.add(answer.status_code)
        assert statuses >= {200, 400, 401, 403, 404, 422}
        (held,) = client.get("/v1/facts", params={"subject": "Star 1"}).json()["facts"]
        assert held["object"] == "ad astra"
        assert client.get("/health").status_code == 200


def test_idle_connections_keep_nobody_out(attacked: Served) -> None:
    host, port = attacked.url.removeprefix("http://").split(":")
    idle = [socket.create_connection((host, int(port)), timeout=10) for _ in range(NUM_CONNECTIONS)]
    try:
        for connection in idle[::2]:
            connection.sendall(b"POST /v1/facts HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")  # and no more
        with attacked.client() as client:
            assert client.get("/health").status_code == 200
            assert client.post("/v1/lookup", json={"keys": ["Aurora"]}).status_code == 200
    finally:
        for connection in idle:
            connection.close()


def test_the_server_still_works(attacked: Served) -> None:
    with attacked.client() as client:
        facts = {"facts": [{"subject": "Vega", "relation": "port", "object": "1"}]}
        assert client.put("/v1/facts", json=facts).status_code == 200
        answer = client.get("/v1/facts", params={"subject": "Vega"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["facts"][0]["object"] == "1"
        assert client.get("/health").status_code == 200
