"""Facts listed, written, changed and erased over HTTP; exact keys looked up, against the catalogue gone through."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pytest
import torch
from served import FACTS, Served, serving

from widedeep_kb.keys import encode, text_keys
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import fact_id, normalise_text
from widedeep_kb.serving.lookup import ARROW
from widedeep_kb.serving.state import Limits
from widedeep_kb.whole_keys import whole_keys

PORT = {"subject": "Aurora", "relation": "port"}


def values(served: Served, **filters: object) -> list[str]:
    """Objects of the facts that are listed."""
    with served.client() as client:
        return [fact["object"] for fact in client.get("/v1/facts", params=filters).json()["facts"]]


def test_facts_are_listed_by_page_and_by_filter(shared: Served) -> None:
    assert values(shared) == ["8443", "Ada Lovelace", "007"]
    assert values(shared, subject="aurora GATEWAY") == ["8443"]
    assert values(shared, relation="Port") == ["8443", "007"]
    assert values(shared, source="wiki") == ["Ada Lovelace"]
    found, after = [], -1
    with shared.client() as client:
        while after is not None:
            page = client.get("/v1/facts", params={"limit": 2, "after": after}).json()
            found += page["facts"]
            after = page["next"]
            assert page["num_facts"] == 3
        assert [fact["object"] for fact in found] == values(shared)
        one = client.get(f"/v1/facts/{found[1]['fact_id']}")
        assert one.json() == found[1]
        assert client.get("/v1/facts/0123456789abcdef").status_code == 404


def test_a_change_is_on_disk_and_seen_by_the_next_question(served: Served) -> None:
    with served.client() as client:
        answer = client.put("/v1/facts", json={"facts": [{**PORT, "object": "9000"}]})
        assert answer.json() == {
            "added": 1, "removed": 1, "unchanged": 0, "fact_ids": [fact_id("aurora", "port", "9000")],
        }  # fmt: skip
        on_disk = KnowledgeMemory.from_pretrained(served.folder, llm=served.memory.lm)
        assert on_disk.store.catalogue.find(fact_ids=answer.json()["fact_ids"]).absent == []
        asked = client.post("/v1/ask", json={"question": "What is the port of Aurora?", "max_new_tokens": 2}).json()
        assert [fact["object"] for fact in asked["evidence"]] == ["9000"]
        client.put("/v1/facts", json={"facts": [{**PORT, "object": "9001"}], "mode": "extend"})
        assert values(served, subject="Aurora", relation="port") == ["9000", "9001"]
        gone = client.request("DELETE", "/v1/facts", json={"fact_ids": [fact_id("aurora", "port", "9000"), "f" * 16]})
        assert gone.json()["num_erased"] == 1 and gone.json()["absent"] == ["f" * 16]
        assert [fact["object"] for fact in gone.json()["erased"]] == ["9000"]
        assert client.request("DELETE", "/v1/facts", json={"subject": "Aurora"}).json()["num_erased"] == 2
        assert served.state.live().journal_bytes > 0
        assert client.post("/v1/compact").json() == {"num_facts": 1, "journal_bytes": 0}
    assert b"Ada Lovelace" not in b"".join(p.read_bytes() for p in served.folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ([PORT], "object"),
        ([{**PORT, "object": "1\n2"}], "holds a newline"),
        ([{**PORT, "object": "1", "colour": "red"}], "colour"),
        ([{**PORT, "object": "1", "valid_from": "yesterday"}], "'yesterday'"),
        ([{**PORT, "object": "word " * 80}], "64"),
        ([{**PORT, "object": ["7"]}], "7"),
        ([], "facts"),
    ],
)
def test_facts_that_are_refused_change_nothing(shared: Served, facts: list[dict], message: str) -> None:
    good = {"subject": "Cygnus", "relation": "port", "object": "1"}
    with shared.client() as client:
        answer = client.put("/v1/facts", json={"facts": [good, *facts] if facts else []})
    assert answer.status_code == 422
    assert message in answer.json()["error"]["message"]
    assert values(shared) == [fact["object"] for fact in FACTS]


@pytest.mark.parametrize("names", [{}, {"subject": "a", "source": "b"}, {"fact_ids": []}, {"subject": 3}])
def test_what_is_to_be_erased_is_named_once(shared: Served, names: dict) -> None:
    with shared.client() as client:
        assert client.request("DELETE", "/v1/facts", json=names).status_code == 422


def test_keys_of_whole_names_are_those_of_the_index() -> None:
    random = np.random.default_rng(0)
    letters = list("abcXYZ09 .,'-+#&é一 ")
    names = ["".join(random.choice(letters, size=random.integers(0, 14))) for _ in range(3000)]
    names += ["New York", "  new   YORK ", "C++", "AT&T", "O'Brien", "İstanbul", "x\ty", "a\nb", ""]
    for ours, theirs in zip(whole_keys(names), text_keys(encode(names)), strict=True):
        assert np.array_equal(ours, theirs)


def expected(facts: pl.DataFrame, subject: str, relation: str | None) -> set[str]:
    """fact_ids of a key, by going through all facts: those of every subject that somewhere bears the name."""
    wanted, rows = normalise_text(subject), facts.to_dicts()
    named = {
        fact["subject_id"]
        for fact in rows
        if wanted in map(normalise_text, (fact["subject"], *fact["subject_aliases"]))
    }
    return {fact["fact_id"] for fact in rows if fact["subject_id"] in named and relation in (None, fact["relation"])}


def test_look_ups_are_right_while_facts_change(served: Served) -> None:
    random = np.random.default_rng(1)
    subjects, relations = [f"Star {i}" for i in range(12)], ["port", "owner", "motto"]
    failures: list[str] = []
    is_over = threading.Event()

    def look_up() -> None:
        with served.client() as client:
            while not is_over.is_set():
                answer = client.post("/v1/lookup", json={"keys": subjects})
                if answer.status_code != 200 or len(answer.json()["fact_ids"]) != len(subjects):
                    failures.append(answer.text)

    thread = threading.Thread(target=look_up)
    thread.start()
    with served.client() as client:
        for step in range(25):
            chosen = random.choice(12, size=3, replace=False)
            if random.random() < 0.3:
                client.request("DELETE", "/v1/facts", json={"subject": subjects[chosen[0]]})
            else:
                facts = [
                    {
                        "subject": subjects[i],
                        "relation": str(random.choice(relations)),
                        "object": f"value {random.integers(5)}",
                        "subject_id": f"id-{i}-{random.integers(2)}",
                        "subject_aliases": [f"Alias {i % 5}"] if random.random() < 0.5 else [],
                    }
                    for i in chosen
                ]
                mode = str(random.choice(["replace", "extend"]))
                assert client.put("/v1/facts", json={"facts": facts, "mode": mode}).status_code == 200
            keys = [(str(random.choice([*subjects, *(f"alias {i}" for i in range(6)), "Nobody"])), None)]
            keys += [(name, str(random.choice([*relations, "none"]))) for name in (*subjects, "star 3", "STAR  4")]
            body = {"keys": [list(key) if key[1] else key[0] for key in keys], "as_of": None}
            found = client.post("/v1/lookup", json=body).json()["fact_ids"]
            catalogue = served.memory.store.catalogue
            live = catalogue.rows(catalogue.alive())
            assert [set(ids) for ids in found] == [expected(live, *key) for key in keys], step
    is_over.set()
    thread.join()
    assert not failures


def test_rows_come_as_they_are_stored(shared: Served) -> None:
    store = shared.memory.store
    with shared.client() as client:
        answer = client.post("/v1/lookup", json={"keys": ["Aurora", "Nobody", ["borealis", "port"]], "rows": True})
        assert answer.headers["content-type"] == ARROW
        table = pa.ipc.open_stream(io.BytesIO(answer.content)).read_all()
        frame = pl.from_arrow(table.drop(["slots"]))
        assert frame["query"].unique().to_list() == [0, 2]
        ids = frame["fact_id"].unique(maintain_order=True).to_list()
        assert len(ids) == 3 and frame.height > 3  # one fact takes several rows
        rows, row_ids, _ = store.rows_of(store.catalogue.find(fact_ids=ids).ordinals[:, None])
        assert table["slots"].type.value_type == pa.float16()
        slots = np.stack([np.array(row) for row in table["slots"].to_pylist()])
        assert np.array_equal(slots, rows[torch.from_numpy(row_ids >= 0)].numpy())
        assert frame["row"].to_list() == [i for row in row_ids for i in range((row >= 0).sum())]
        texts = ["What is the port of Aurora?", "Nothing"]
        found = client.post("/v1/lookup", json={"texts": texts}).json()
        recalled = store.recall(texts)
        ids = store.catalogue.rows(recalled.hits.ordinals[0][recalled.hits.ordinals[0] >= 0])["fact_id"].to_list()
        assert found["fact_ids"] == [ids, []]
        assert found["weights"][0] == pytest.approx(recalled.hits.weights[0][: len(ids)].tolist(), abs=1e-4)
        arrow = client.post("/v1/lookup", json={"texts": texts, "rows": True})
        assert list(dict.fromkeys(pa.ipc.open_stream(arrow.content).read_all()["fact_id"].to_pylist())) == ids


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"[1]", 422), (b"{}", 422), (b'{"keys": ["a"], "texts": ["b"]}', 422), (b'{"keys": "a"}', 422),
        (b'{"keys": [1]}', 422), (b'{"keys": [["a"]]}', 422), (b'{"keys": [{"subject": "a", "x": 1}]}', 422),
        (b'{"keys": [["a", null]]}', 422), (b'{"keys": ["a"], "rows": 1}', 422), (b'{"keys": ["a"], "more": 1}', 422),
        (b'{"keys": ["a"], "as_of": "2020-13-01"}', 422), (b'{"keys": ["a"], "memory": "x"}', 404),
        (b'{"keys": ["\\ud800"]}', 400), (b'{"keys": [' + b'"a",' * 4096 + b'"a"]}', 413),
    ],
)  # fmt: skip
def test_wrong_look_ups_are_refused(shared: Served, body: bytes, status: int) -> None:
    with shared.client() as client:
        answer = client.post("/v1/lookup", content=body)
    assert (answer.status_code, set(answer.json())) == (status, {"error"})


def test_who_may_do_what(folder: Path) -> None:
    read = [("POST", "/v1/lookup", {"keys": []}), ("GET", "/v1/facts", None), ("GET", "/v1/models", None)]
    read += [("GET", "/metrics", None), ("POST", "/v1/ask", {"question": "x", "max_new_tokens": 1})]
    write = [("PUT", "/v1/facts", {"facts": [{**PORT, "object": "1"}]}), ("POST", "/v1/compact", None)]
    write += [("DELETE", "/v1/facts", {"subject": "Nobody"})]
    with serving({"demo": folder}, tokens={"reader-token": "read", "writer-token": "write"}) as served:
        for token, allowed in ((None, []), ("wrong", []), ("reader-token", read), ("writer-token", read + write)):
            with served.client(token) as client:
                assert client.get("/health").status_code == 200
                for method, path, body in read + write:
                    status = client.request(method, path, json=body).status_code
                    refused = 403 if token == "reader-token" else 401
                    assert status == (200 if (method, path, body) in allowed else refused), (token, path)


def test_bodies_that_are_too_long_are_refused_unread(folder: Path) -> None:
    with serving({"demo": folder}, limits=Limits(max_body_bytes=2000, max_facts_per_call=2)) as served:
        long = orjson.dumps({"keys": ["x" * 3000]})
        with served.client() as client:
            announced = client.post("/v1/lookup", content=long)
            chunked = client.post("/v1/lookup", content=iter([long[:1500], long[1500:]]))
            assert [answer.status_code for answer in (announced, chunked)] == [413, 413]
            facts = [{"subject": f"s{i}", "relation": "r", "object": "o"} for i in range(3)]
            assert client.put("/v1/facts", json={"facts": facts}).status_code == 413
            assert client.get("/v1/facts", params={"limit": 3}).status_code == 422
            assert client.get("/health").status_code == 200
