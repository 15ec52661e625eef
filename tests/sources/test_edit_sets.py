"""Edits: which property a row changes, which edit of several counts, and which texts ask for it."""

from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.schema import facts_from_records
from widedeep_kb.sources.edit_sets import OTHER, OWN, link_properties, load_edits, neighbours


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Three MQuAKE rows of two properties, and CounterFact rows beside the T-REx facts they change."""
    for name in ("mquake", "counterfact", "pararel", "entityquestions"):
        (tmp_path / name).mkdir()
    questions = ["Who wrote Paradiso?", "Which person wrote Paradiso?"]
    edits = [
        ("The author of Paradiso is Jean Giraudoux", questions),
        ("Carl Sagan is employed by BBC", ["Where does Carl Sagan work?", "Who is employed by BBC?"]),
        ("The author of Paradiso is Ada Vane", questions),
        ("The author of Paradiso is Ada Vane", questions),
        ("no edit at all", ["Why?"]),
    ]
    pl.DataFrame(edits, schema=["edit", "questions"], orient="row").write_parquet(
        tmp_path / "mquake" / "edits_with_4_questions.parquet"
    )
    rows = [
        ("Toko Yasuda, the", "guitar", "piano"),
        ("What is the twin city of Lyon? It is", "Beirut", "Manila"),
        ("Help! was from", "England", "Peru"),
        ("Nobody knows who", "x", "y"),
    ]
    pl.DataFrame(rows, schema=["prompt", "target_true", "target_new"], orient="row").write_parquet(
        tmp_path / "counterfact" / "edits_even.parquet"
    )
    facts = [("P1303", "Toko Yasuda", "guitar"), ("P190", "Lyon", "Beirut"), ("P495", "Help!", "England")]
    facts = [*facts, ("P1303", "Ian Dury", "piano"), ("P190", "Porto", "Lyon")]
    pl.DataFrame(facts, schema=["relation", "subject", "object"], orient="row").with_columns(
        uuid=pl.lit("")
    ).write_parquet(tmp_path / "pararel" / "trex_facts.parquet")
    patterns = [("P1303", "[X] plays [Y] ."), ("P1303", "[X], the [Y] ."), ("P190", "[X] is a twin city of [Y].")]
    pl.DataFrame(patterns, schema=["relation", "pattern"], orient="row").write_parquet(
        tmp_path / "pararel" / "patterns.parquet"
    )
    return tmp_path


def test_of_several_edits_of_a_property_the_last_one_counts(data_dir: Path) -> None:
    edits = load_edits("mquake", data_dir=data_dir)
    values = dict(edits.facts.select("relation", "object").iter_rows())
    assert values == {"author": "Ada Vane", "employer": "BBC"}
    assert edits.counts == {
        "rows": 5,
        "rows not understood": 1,
        "edits": 4,
        "repeated edits": 1,
        "edits that a later one replaces": 1,
    }
    probes = edits.probes.sort("text")
    assert probes.filter(kind=OWN)["text"].to_list() == ["Carl Sagan is employed by", "The author of Paradiso is"]
    assert dict(probes.filter(kind=OTHER).select("text", "names_subject").iter_rows()) == {
        "Where does Carl Sagan work?": True,
        "Which person wrote Paradiso?": True,
        "Who is employed by BBC?": False,
        "Who wrote Paradiso?": True,
    }
    assert edits.first(1).probes["fact_id"].unique().to_list() == edits.facts["fact_id"][:1].to_list()


def test_a_statement_belongs_to_the_known_fact_that_it_changes(data_dir: Path) -> None:
    edits = load_edits("counterfact", data_dir=data_dir)
    found = {s: (o, t) for s, o, t in edits.facts.select("subject", "object", "statement").iter_rows()}
    assert found == {
        "Toko Yasuda": ("piano", "Toko Yasuda, the piano"),
        "Lyon": ("Manila", "What is the twin city of Lyon? It is Manila"),
        "Help!": ("Peru", "Help! was from Peru"),
    }
    assert edits.counts["rows not understood"] == 1
    others = edits.probes.filter(kind=OTHER)
    assert set(others["text"]) == {"Toko Yasuda plays", "Lyon is a twin city of"}
    near = neighbours(edits, data_dir=data_dir, num_texts=9, seed=0)
    assert near.select(pl.col("text").str.contains("Ian Dury|Porto")).to_series().all() and near.height == 2


def test_where_several_relations_fit_the_wording_decides() -> None:
    facts = facts_from_records(
        [
            {"subject": "Ada", "relation": "born", "object": "Rome"},
            {"subject": "Ada", "relation": "died", "object": "Rome"},
            {"subject": "Bo", "relation": "died", "object": "Oslo"},
            {"subject": "Ada Vane", "relation": "born", "object": "Bonn"},
        ]
    )
    prompts = ["Bo expired at", "Ada expired at", "Ada Vane came from", "Cy expired at"]
    found = link_properties(prompts, ["Oslo", "Rome", "Bonn", "Oslo"], facts=facts)
    assert found == [("Bo", "died"), ("Ada", "died"), ("Ada Vane", "born"), None]


def test_a_text_that_asks_for_two_edits_accepts_both(tmp_path: Path) -> None:
    (tmp_path / "mquake").mkdir()
    edits = [
        ("The chairperson of Acme is Ada Vane", ["Who leads Acme?"]),
        ("The chief executive officer of Acme is Bo Berg", ["Who leads Acme?"]),
    ]
    pl.DataFrame(edits, schema=["edit", "questions"], orient="row").write_parquet(
        tmp_path / "mquake" / "edits_with_4_questions.parquet"
    )
    probes = load_edits("mquake", data_dir=tmp_path).probes.filter(kind=OTHER)
    assert [sorted(answers) for answers in probes["answers"].to_list()] == [["Ada Vane", "Bo Berg"]] * 2


def test_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'zsre'"):
        load_edits("zsre", data_dir=tmp_path)
