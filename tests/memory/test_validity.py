"""Which facts hold on a day, against the rules written out one fact at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory import validity
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.validity import VALIDITY_COLUMNS, Validity
from widedeep_kb.model import KnowledgeMemory

FIRST = date(2020, 1, 1)
PORTS = [
    {"subject": "Aurora", "relation": "port", "object": "1", "valid_to": "2020-06-30"},
    {"subject": "Aurora", "relation": "port", "object": "2", "valid_from": "2020-07-01", "valid_to": "2021-05-01"},
    {"subject": "Aurora", "relation": "port", "object": "3", "valid_from": "2021-05-01"},
    {"subject": "Aurora", "relation": "owner", "object": "Vega", "valid_to": "2019-01-01"},
    {"subject": "Boreas", "relation": "port", "object": "4"},
]


def frame(records: list[dict]) -> pl.DataFrame:
    """Facts with the columns that matter here."""
    return pl.DataFrame(records, schema={"ordinal": pl.Int64(), **dict.fromkeys(VALIDITY_COLUMNS[1:], pl.String())})


def expected(records: list[dict], day: date, *, is_strict: bool) -> list[int]:
    """Ordinals that are not to be brought, by the rules one after the other."""
    text, out = day.isoformat(), []

    def holds(fact: dict, peers: list[dict]) -> bool:
        if (fact["valid_from"] or "") > text or (fact["valid_to"] or "9999") < text:
            return False
        has_successor = any(peer["valid_from"] == text for peer in peers) and fact["valid_from"] != text
        return not (fact["valid_to"] == text and has_successor)

    for fact in records:
        peers = [p for p in records if (p["subject_id"], p["relation"]) == (fact["subject_id"], fact["relation"])]
        if not holds(fact, peers) and (is_strict or any(holds(peer, peers) for peer in peers)):
            out.append(fact["ordinal"])
    return sorted(out)


def drawn(random: np.random.Generator, ordinal: int) -> dict:
    """A fact of one of few properties, with none, one or both dates of a few weeks."""
    begin = FIRST + timedelta(days=int(random.integers(20)))
    end = begin + timedelta(days=int(random.integers(8)))
    return {
        "ordinal": ordinal,
        "subject_id": f"s{random.integers(6)}",
        "relation": f"r{random.integers(2)}",
        "valid_from": begin.isoformat() if random.random() < 0.7 else None,
        "valid_to": end.isoformat() if random.random() < 0.7 else None,
    }


@pytest.mark.parametrize("seed", range(20))
def test_the_rules_hold_through_random_changes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(seed)
    live = [drawn(random, i) for i in range(12)]
    dated = Validity(frame(live))

    def rows_of(subject_ids: list[str]) -> pl.DataFrame:
        return frame([fact for fact in live if fact["subject_id"] in subject_ids])

    for step in range(8):
        today = FIRST + timedelta(days=int(random.integers(24)))
        clock = type("Clock", (date,), {"today": staticmethod(lambda today=today: today)})
        monkeypatch.setattr(validity, "date", clock)
        for _ in range(2):  # the second time from what was kept
            assert dated.excluded(None, rows_of).tolist() == expected(live, today, is_strict=False)
            day = FIRST + timedelta(days=int(random.integers(24)))
            assert dated.excluded(day, rows_of).tolist() == expected(live, day, is_strict=True)
        gone = [fact for fact in live if random.random() < 0.2]
        new = [drawn(random, 100 * (step + 1) + i) for i in range(3)]
        live = [fact for fact in live if fact not in gone] + new
        dated.add(frame(new))
        dated.remove(frame(gone))
    assert len(dated) == sum(bool(fact["valid_from"] or fact["valid_to"]) for fact in live)


@pytest.fixture
def memory(tiny_frozen_lm: Callable[..., FrozenLM]) -> KnowledgeMemory:
    """The facts above."""
    lm = tiny_frozen_lm("llama")
    memory = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16)))
    memory.write(PORTS)
    return memory


def brought(memory: KnowledgeMemory, text: str, as_of: date | None, **options: object) -> set[str]:
    """Objects of the facts whose rows a text brings."""
    facts = memory.store.recall([text], as_of=as_of, **options).row_facts
    return set(memory.store.catalogue.rows(np.unique(facts[facts >= 0]))["object"].to_list())


@pytest.mark.parametrize(
    ("day", "port"),
    [("2019-02-01", "1"), ("2020-06-30", "1"), ("2020-07-01", "2"), ("2021-05-01", "3"), ("2099-01-01", "3")],
)
@pytest.mark.parametrize("options", [{}, {"use_semantic": True}, {"hops": 2}], ids=["exact", "semantic", "hops"])
def test_only_facts_of_the_day_are_brought(memory: KnowledgeMemory, day: str, port: str, options: dict) -> None:
    name = "Auroraa" if "use_semantic" in options else "Aurora"
    assert brought(memory, f"What is the port of {name}?", date.fromisoformat(day), **options) == {port}
    assert brought(memory, "What is the port of Boreas?", date.fromisoformat(day)) == {"4"}


def test_without_a_day_it_is_today_and_the_last_known_where_nothing_holds(memory: KnowledgeMemory) -> None:
    assert brought(memory, "What is the port of Aurora?", None) == {"3"}
    assert brought(memory, "Who is the owner of Aurora?", None) == {"Vega"}
    assert brought(memory, "Who is the owner of Aurora?", date(2020, 1, 1)) == {"1"}  # its other fact of that day
    memory.write([{"subject": "Aurora", "relation": "owner", "object": "Lyra"}], mode="extend")
    assert brought(memory, "Who is the owner of Aurora?", None) == {"Lyra"}
    memory.erase(memory.store.catalogue.find(subject="Aurora").ordinals)
    assert brought(memory, "What is the port of Aurora?", None) == set()


def test_answers_are_of_the_day(memory: KnowledgeMemory) -> None:
    for adapter in memory.reader.adapters:
        adapter.gate.data.fill_(2.0)
    for day, port in ((date(2020, 1, 1), "1"), (None, "3")):
        answer = memory.ask("What is the port of Aurora?", as_of=day, max_new_tokens=2)
        assert [fact.object for fact in answer.evidence] == [port]
