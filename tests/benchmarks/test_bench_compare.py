"""The published comparison: what is asked of each corpus, and the table of one comparison."""

import runpy
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records, read_facts, read_questions
from widedeep_kb.sources.corpus import Corpus

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_compare.py"))


def corpus(*, asked_split: str | None = None) -> Corpus:
    """Forty subjects with two facts each, half of them of another split; an own question for each first fact."""
    records = [
        {
            "subject": f"Keep {i}",
            "relation": relation,
            "object": f"{relation} {i}",
            "source": asked_split if asked_split and i % 2 else "elsewhere",
        }
        for i in range(40)
        for relation in ("height", "colour")
    ]
    facts = facts_from_records(records)
    first = facts.filter(pl.col("relation") == "height")
    rows = [
        {"question": f"How tall is {name}?", "answers": [value], "fact_id": fact_id, "tags": ["height"]}
        for name, value, fact_id in first.select("subject", "object", "fact_id").iter_rows()
    ]
    return Corpus("made", facts, pl.DataFrame(rows, schema=QUESTION_SCHEMA), {"height": ["How tall is {subject}?"]})


def test_every_phrasing_asks_for_other_facts() -> None:
    made = corpus()
    questions = SCRIPT["questions_of"](made, made.facts, num_questions=12, seed=0)
    assert questions.height == 36 and questions["fact_id"].n_unique() == 36
    assert questions["tags"].list.first().to_list() == ["trained"] * 12 + ["heldout"] * 12 + ["own"] * 12
    assert questions.filter(pl.col("tags").list.contains("own"))["question"].str.starts_with("How tall is").all()
    again = SCRIPT["questions_of"](made, made.facts, num_questions=12, seed=0)
    assert again.equals(questions)
    assert not SCRIPT["questions_of"](made, made.facts, num_questions=12, seed=1).equals(questions)


def test_only_facts_of_the_asked_split_are_asked_for() -> None:
    made = corpus(asked_split=SCRIPT["ASKED_SPLIT"])
    questions = SCRIPT["questions_of"](made, made.facts, num_questions=6, seed=0)
    asked = made.facts.filter(pl.col("fact_id").is_in(questions["fact_id"].implode()))
    assert asked.height == 18 and (asked["source"] == SCRIPT["ASKED_SPLIT"]).all()


def test_a_corpus_without_own_questions_is_an_error() -> None:
    made = corpus()
    none = Corpus(made.name, made.facts, made.questions.clear(), {})
    with pytest.raises(ValueError, match="made: no question in own phrasing among 80 facts"):
        SCRIPT["questions_of"](none, none.facts, num_questions=6, seed=0)


def test_a_comparison_has_its_files_once(tmp_path: Path, tiny_frozen_lm, capsys: pytest.CaptureFixture) -> None:  # noqa: ANN001
    (tmp_path / "nq_open").mkdir()
    nq = pl.DataFrame({"question": [f"who is {i}" for i in range(9)], "answer": [[f"Ann {i}"] for i in range(9)]})
    nq.write_parquet(tmp_path / "nq_open" / "dev.parquet")
    words = ["--data-dir", str(tmp_path), "--num-questions", "5", "--num-unrelated", "4", "--output", str(tmp_path)]
    args, folder = SCRIPT["parse_args"](words), tmp_path / "made-40"
    write_files = SCRIPT["write_files"]
    write_files.__globals__["load_corpus"] = lambda _name, data_dir: corpus()
    write_files("made", 40, folder, tiny_frozen_lm("llama"), args)
    facts, questions = read_facts(folder / "facts.parquet"), read_questions(folder / "questions.parquet")
    assert facts.height == 40 and set(questions["fact_id"]) <= set(facts["fact_id"]) and questions.height == 15
    assert read_questions(folder / "unrelated.parquet")["answers"].list.first().str.starts_with("Ann").sum() == 4
    assert '"questions": 15' in capsys.readouterr().out
    write_files("made", 40, folder, tiny_frozen_lm("llama"), args)
    assert not capsys.readouterr().out, "made once"


def test_the_best_way_stands_first() -> None:
    def system(exact: float) -> dict:
        overall = {"exact_match": exact, "exact_match_interval": [exact - 0.1, exact + 0.1]}
        costs = {"ms_per_question": 2.0, "prompt_tokens_per_question": 9.4, "build_s": None}
        by = {"phrasing": {"own": {"exact_match": 0.25}}}
        return {"overall": overall, "costs": costs, "by": by, "forgetting": {"share_changed": 0.5}}

    lines = SCRIPT["headline"]({"systems": {"lookup": system(0.3), "wide": system(0.6)}}).splitlines()
    assert lines[2] == "| wide | 0.600 [0.500, 0.700] |  |  | 0.250 | 2.0 | 9 |  | 0.500 |"
    assert lines[3].startswith("| lookup | 0.300")
