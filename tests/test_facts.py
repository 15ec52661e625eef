"""The catalogue of live facts: what a write adds and removes, what is found, and what a file brings back."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from widedeep_kb import facts as facts_module
from widedeep_kb.facts import Changes, FactCatalogue
from widedeep_kb.schema import FACT_SCHEMA, fact_id, facts_from_records, normalise_text, read_facts
from widedeep_kb.segment import words


def fact(subject: str, relation: str, object: str, **others: object) -> dict[str, object]:
    return {"subject": subject, "relation": relation, "object": object, **others}


def add(catalogue: FactCatalogue, *records: dict[str, object], mode: str = "replace") -> Changes:
    return catalogue.add(facts_from_records(records), mode=mode)  # type: ignore[arg-type]


def objects(catalogue: FactCatalogue) -> list[str]:
    return catalogue.rows(catalogue.alive())["object"].to_list()


@pytest.fixture
def catalogue() -> FactCatalogue:
    catalogue = FactCatalogue()
    add(
        catalogue,
        fact("Paris", "mayor", "Hidalgo", source="wiki", subject_aliases=["Lutetia", "Ville Lumière"]),
        fact("Paris", "river", "Seine", private=True),
        fact("Paris", "twin city", "Rome"),
        fact("Paris", "twin city", "Tokyo"),
        fact("Paris", "county", "Lamar County", subject_id="Q830149", source="census"),
    )
    return catalogue


def test_replace_replaces_the_whole_value_set_of_a_property(catalogue: FactCatalogue) -> None:
    changes = add(catalogue, fact("paris", "twin city", "Tokyo"), fact("Paris", "twin city", "Kyoto"))
    # "paris" is the same subject_id in another spelling, so Tokyo's row is written anew.
    assert changes.removed.tolist() == [2, 3] and changes.added.tolist() == [5, 6] and changes.unchanged == 0
    assert changes.removed_rows["object"].to_list() == ["Rome", "Tokyo"]
    assert objects(catalogue) == ["Hidalgo", "Seine", "Lamar County", "Tokyo", "Kyoto"]


def test_replace_treats_dated_values_as_one_set(catalogue: FactCatalogue) -> None:
    add(catalogue, fact("Paris", "mayor", "Delanoë", valid_from="2001-03-25"), fact("Paris", "mayor", "Hidalgo"))
    assert set(objects(catalogue)) == {"Delanoë", "Hidalgo", "Seine", "Rome", "Tokyo", "Lamar County"}
    add(catalogue, fact("Paris", "mayor", "Hidalgo", valid_from="2014-04-05"))
    assert set(objects(catalogue)) == {"Hidalgo", "Seine", "Rome", "Tokyo", "Lamar County"}


def test_extend_keeps_the_other_values(catalogue: FactCatalogue) -> None:
    changes = add(catalogue, fact("Paris", "twin city", "Kyoto"), fact("Paris", "twin city", "Rome"), mode="extend")
    assert changes.added.tolist() == [5] and changes.removed.size == 0 and changes.unchanged == 1
    assert objects(catalogue)[-1] == "Kyoto" and len(catalogue) == 6


@pytest.mark.parametrize("mode", ["replace", "extend"])
@pytest.mark.parametrize(
    "change",
    [
        {"source": "other"},
        {"source": None},
        {"subject_aliases": ["Lutetia"]},
        {"object_aliases": ["Anne Hidalgo"]},
        {"statement": "Hidalgo"},
        {"private": True},
        {"popularity": 1.0},
        {"valid_to": "2026-01-01"},
    ],
)
def test_changed_columns_write_the_fact_anew(catalogue: FactCatalogue, mode: str, change: dict[str, object]) -> None:
    same = fact("Paris", "mayor", "Hidalgo", source="wiki", subject_aliases=["Lutetia", "Ville Lumière"])
    unchanged = add(catalogue, same, mode=mode)
    assert (unchanged.added.size, unchanged.removed.size, unchanged.unchanged) == (0, 0, 1)
    changes = add(catalogue, same | change, mode=mode)
    assert changes.removed.tolist() == [0] and changes.added.tolist() == [5] and changes.unchanged == 0
    name, value = next(iter(change.items()))
    assert catalogue.rows(changes.added)[name].to_list() == [value]


def test_preview_changes_nothing(catalogue: FactCatalogue) -> None:
    facts = facts_from_records([fact("Paris", "river", "Bièvre")])
    changes = catalogue.preview(facts)
    assert changes.removed.tolist() == [1] and changes.added.tolist() == [5] and len(catalogue) == 5
    assert catalogue.add(facts).added.tolist() == [5]


def test_ordinals_are_never_dealt_twice(catalogue: FactCatalogue, tmp_path: Path) -> None:
    catalogue.remove(np.array([4, 1]))
    catalogue.save(tmp_path / "facts.parquet")
    loaded = FactCatalogue.load(tmp_path / "facts.parquet")
    assert loaded.alive().tolist() == [0, 2, 3]
    assert add(loaded, fact("Rome", "river", "Tiber")).added.tolist() == [5]
    loaded.remove(loaded.alive())
    assert len(loaded) == 0 and loaded.next_ordinal == 6
    loaded.save(tmp_path / "empty.parquet")
    assert FactCatalogue.load(tmp_path / "empty.parquet").next_ordinal == 6


def test_find_by_each_name(catalogue: FactCatalogue) -> None:
    wanted = fact_id("paris", "river", "Seine")
    found = catalogue.find(fact_ids=["0" * 16, wanted, wanted, fact_id("paris", "mayor", "Hidalgo")])
    assert found.ordinals.tolist() == [1, 0] and found.absent == ["0" * 16] and found.ordinals.dtype == np.int64
    assert catalogue.find(subject=" PARIS").ordinals.tolist() == [0, 1, 2, 3, 4]
    assert catalogue.find(subject="ville lumière").ordinals.tolist() == [0]
    assert catalogue.find(subject="Q830149").ordinals.tolist() == [4]
    assert catalogue.find(source="census").ordinals.tolist() == [4]
    for name in ({"subject": "Pari"}, {"source": "wik"}):
        found = catalogue.find(**name)  # type: ignore[arg-type]
        assert found.ordinals.size == 0 and found.absent == list(name.values())
    facts = facts_from_records([fact("Paris", "river", "Thames"), fact("Paris", "river", "Seine")])
    found = catalogue.find(facts=facts)
    assert found.ordinals.tolist() == [1] and found.absent == ["Paris | river | Thames"]
    for names in ({}, {"subject": "Paris", "source": "wiki"}):
        with pytest.raises(ValueError, match=f"exactly one .* not {len(names)}"):
            catalogue.find(**names)


def test_rows_and_columns_follow_the_order_asked_for(catalogue: FactCatalogue) -> None:
    catalogue.remove(np.array([0]))
    rows = catalogue.rows(np.array([4, 1, 1]))
    assert rows["ordinal"].to_list() == [4, 1, 1] and rows.columns == ["ordinal", *FACT_SCHEMA]
    columns = catalogue.columns_for(np.array([3, 1]), ["object", "relation"])
    assert columns.rows() == [("Tokyo", "twin city"), ("Seine", "river")]
    assert catalogue.private_mask(np.array([1, 2])).tolist() == [True, False]
    assert catalogue.rows(np.array([], dtype=np.int64)).height == 0


@pytest.mark.parametrize("ordinal", [-1, 0, 5])
def test_dead_ordinals_are_refused_and_nothing_is_removed(catalogue: FactCatalogue, ordinal: int) -> None:
    catalogue.remove(np.array([0]))
    for method in (catalogue.rows, catalogue.remove, catalogue.private_mask):
        with pytest.raises(ValueError, match=f"no live fact has ordinal {ordinal}$"):
            method(np.array([1, ordinal]))
    assert catalogue.alive().tolist() == [1, 2, 3, 4]


def test_wrong_arguments_of_add(catalogue: FactCatalogue) -> None:
    facts = facts_from_records([fact("a", "b", "c")])
    with pytest.raises(ValueError, match="mode 'append'"):
        catalogue.add(facts, mode="append")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a frame in FACT_SCHEMA"):
        catalogue.add(facts.drop("fact_id"))
    with pytest.raises(ValueError, match="is given twice"):
        catalogue.add(pl.concat([facts, facts]))


def test_a_damaged_file_is_refused_in_one_line(catalogue: FactCatalogue, tmp_path: Path) -> None:
    path = tmp_path / "facts.parquet"
    catalogue.save(path)
    whole, rows = path.read_bytes(), catalogue.rows(catalogue.alive())
    frames = [
        rows.drop("source"),
        rows.reverse(),
        rows.with_columns(fact_id=pl.lit("a")),
        rows.with_columns(ordinal=None),
    ]
    damaged = [path.with_name(f"{index}.parquet") for index in range(len(frames) + 4)]
    for file, content in zip(damaged, (whole[:-1], whole[: len(whole) // 2], b"", b"PAR1"), strict=False):
        file.write_bytes(content)
    for file, frame in zip(damaged[4:], frames, strict=True):
        frame.write_parquet(file, metadata={"next_ordinal": "5"})
    rows.write_parquet(path, metadata={"next_ordinal": "4"})
    for file in [*damaged, path]:
        with pytest.raises(ValueError) as error:
            FactCatalogue.load(file)
        assert str(error.value).startswith(str(file)) and len(str(error.value).splitlines()) == 1


def test_many_small_writes_equal_one_large_one() -> None:
    records = [fact(f"s{index % 40}", "r", f"o{index}") for index in range(80)]
    small, large = FactCatalogue(), FactCatalogue()
    for record in records:
        add(small, record, mode="extend")
    add(large, *records)
    assert small.rows(small.alive()).equals(large.rows(large.alive()))


text = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\x1f"), min_size=1, max_size=8
) | st.sampled_from(
    ["NA", "null", "007", "1.50", "a,b", 'say "x"', "\u2028", "é", "'", "[]", "true", "\ufeff", " x ", "\\N"]
)
name = text.filter(normalise_text)
records_strategy = st.lists(
    st.fixed_dictionaries(
        {
            "subject": name.filter(words),
            "relation": name,
            "object": name.filter(lambda value: not {"\n", "\r"} & set(value)),
        },
        optional={
            "subject_id": name,
            "subject_aliases": st.lists(name, max_size=3),
            "object_aliases": st.lists(name, max_size=3),
            "source": text,
            "statement": st.just('The answer, in "words",\nis: '),
            "valid_from": st.dates().map(str),
            "valid_to": st.just("9999-12-31"),
            "private": st.booleans(),
            "popularity": st.floats(allow_nan=False, allow_infinity=False),
        },
    ),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(records_strategy)
def test_an_export_is_read_back_equal(tmp_path: Path, records: list[dict[str, str]]) -> None:
    catalogue = FactCatalogue()
    records = [
        record | {"statement": record["statement"] + record["object"]} if "statement" in record else record
        for record in records
    ]
    catalogue.add(facts_from_records(records))
    live = catalogue.rows(catalogue.alive()).drop("ordinal")
    for suffix in ("parquet", "jsonl", "csv"):
        path = tmp_path / f"facts.{suffix}"
        catalogue.export(path)
        assert read_facts(path).equals(live), suffix
    catalogue.save(tmp_path / "catalogue.parquet")
    loaded = FactCatalogue.load(tmp_path / "catalogue.parquet")
    assert loaded.rows(loaded.alive()).equals(catalogue.rows(catalogue.alive()))


pairs = st.tuples(st.sampled_from("ab"), st.sampled_from("rs"), st.sampled_from("xyz"), st.sampled_from([None, "src"]))


@pytest.mark.parametrize("size", [facts_module.SEGMENT, 3])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(pairs, min_size=1, max_size=4), st.sampled_from(["replace", "extend"])), max_size=5))
def test_writes_agree_with_a_dictionary(
    monkeypatch: pytest.MonkeyPatch, size: int, writes: list[tuple[list[tuple[str, str, str, str | None]], str]]
) -> None:
    monkeypatch.setattr(facts_module, "SEGMENT", size)
    catalogue, model, dealt = FactCatalogue(), dict[tuple[str, str, str], str | None](), set[int]()
    for values, mode in writes:
        first = {key: source for *key_parts, source in reversed(values) for key in [tuple(key_parts)]}
        changes = add(catalogue, *(fact(s, r, o, source=source) for s, r, o, source in values), mode=mode)
        assert changes.unchanged == sum(model.get(key, "absent") == source for key, source in first.items())
        if mode == "replace":
            written = {key[:2] for key in first}
            model = {key: source for key, source in model.items() if key[:2] not in written}
        model |= first
        assert not dealt & set(changes.added.tolist())
        dealt |= set(changes.added.tolist())
        rows = catalogue.rows(catalogue.alive())
        live = {(s, r, o): src for s, r, o, src in rows.select("subject", "relation", "object", "source").iter_rows()}
        assert live == model and len(catalogue) == len(model)


def test_segments_keep_what_one_frame_keeps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(facts_module, "SEGMENT", 7)
    monkeypatch.setattr(facts_module, "_MAX_CHUNKS", 2)
    catalogue, expected = FactCatalogue(), dict[int, str]()
    rng = np.random.default_rng(0)
    for step in range(60):
        values = [f"o{step}-{i}" for i in range(rng.integers(1, 12))]
        added = add(catalogue, *(fact(f"s{value}", "r", value) for value in values)).added
        expected |= dict(zip(added.tolist(), values, strict=True))
        gone = rng.permutation(catalogue.alive())[: rng.integers(0, 10)]
        removed = catalogue.remove(gone)
        assert removed["object"].to_list() == [expected.pop(o) for o in sorted(gone.tolist())]
        assert catalogue.alive().tolist() == sorted(expected) and len(catalogue) == len(expected)
        asked = rng.choice(catalogue.alive(), size=20) if expected else np.zeros(0, np.int64)
        assert catalogue.rows(asked)["object"].to_list() == [expected[o] for o in asked.tolist()]
        assert catalogue.rows(asked).columns == ["ordinal", *FACT_SCHEMA]
    assert max(segment.height for segment in catalogue._segments) <= 7
    catalogue.save(tmp_path / "facts.parquet")
    loaded = FactCatalogue.load(tmp_path / "facts.parquet")
    assert loaded.rows(loaded.alive()).equals(catalogue.rows(catalogue.alive()))
    dead = sorted(set(range(catalogue.next_ordinal)) - set(expected))
    for ordinal in (-1, dead[0], dead[-1], catalogue.next_ordinal):
        with pytest.raises(ValueError, match=f"ordinal {ordinal}$"):
            catalogue.rows(np.array([*list(expected)[:3], ordinal]))
