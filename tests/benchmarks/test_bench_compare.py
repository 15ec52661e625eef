"""The published comparison: what is asked of each corpus, and the table of one comparison."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
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


@pytest.fixture(autouse=True)
def nothing_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The made corpus was in no reader's training."""
    monkeypatch.setitem(SCRIPT["asked_facts"].__globals__, "trained_subjects", lambda _: pl.Series([], dtype=pl.String))


def questions(made: Corpus, *, num_questions: int, seed: int) -> pl.DataFrame:
    _, askable = SCRIPT["asked_facts"](made, made.facts, num_asked=80, seed=seed)
    return SCRIPT["questions_of"](made, askable, num_questions=num_questions, seed=seed)


def test_every_phrasing_asks_for_other_facts() -> None:
    asked = questions(corpus(), num_questions=12, seed=0)
    assert asked.height == 36 and asked["fact_id"].n_unique() == 36
    assert asked["tags"].list.first().to_list() == ["trained"] * 12 + ["heldout"] * 12 + ["own"] * 12
    assert asked.filter(pl.col("tags").list.contains("own"))["question"].str.starts_with("How tall is").all()
    assert questions(corpus(), num_questions=12, seed=0).equals(asked)
    assert not questions(corpus(), num_questions=12, seed=1).equals(asked)


def test_only_facts_of_the_asked_split_are_asked_for() -> None:
    made = corpus(asked_split=SCRIPT["ASKED_SPLIT"])
    asked = made.facts.filter(pl.col("fact_id").is_in(questions(made, num_questions=6, seed=0)["fact_id"].implode()))
    assert asked.height == 18 and (asked["source"] == SCRIPT["ASKED_SPLIT"]).all()


def test_no_subject_that_the_reader_was_trained_on_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made, seen = corpus(), [f"keep {i}" for i in range(30)]
    monkeypatch.setitem(SCRIPT["asked_facts"].__globals__, "trained_subjects", lambda _: pl.Series(seen))
    drawn, askable = SCRIPT["asked_facts"](made, made.facts, num_asked=9, seed=0)
    assert drawn.height == askable.height == 8, "whole subjects"
    assert not set(drawn["subject"].str.to_lowercase()) & set(seen)


def test_a_corpus_without_own_questions_is_an_error() -> None:
    made = corpus()
    none = Corpus(made.name, made.facts, made.questions.clear(), {})
    with pytest.raises(ValueError, match="made: no question in own phrasing among 80 facts"):
        questions(none, num_questions=6, seed=0)


def test_all_sizes_are_asked_the_same_and_have_their_files_once(
    tmp_path: Path, tiny_frozen_lm: Callable[..., FrozenLM], capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "nq_open").mkdir()
    nq = pl.DataFrame({"question": [f"who is {i}" for i in range(9)], "answer": [[f"Ann {i}"] for i in range(9)]})
    nq.write_parquet(tmp_path / "nq_open" / "dev.parquet")
    words = ["--data-dir", str(tmp_path), "--num-questions", "5", "--num-unrelated", "4", "--output", str(tmp_path)]
    words += ["--num-facts", "40", "60", "--num-asked", "30"]
    args = SCRIPT["parse_args"](words)
    write_files = SCRIPT["write_files"]
    write_files.__globals__["load_corpus"] = lambda _name, data_dir: corpus()
    small, large = write_files("made", tiny_frozen_lm("llama"), args)
    facts = {folder: read_facts(folder / "facts.parquet") for folder in (small, large)}
    assert [facts[folder].height for folder in (small, large)] == [40, 60]
    asked = read_questions(small / "questions.parquet")
    assert asked.height == 15 and asked.equals(read_questions(large / "questions.parquet"))
    for folder in (small, large):
        assert set(asked["fact_id"]) <= set(facts[folder]["fact_id"])
    assert read_questions(small / "unrelated.parquet")["answers"].list.first().str.starts_with("Ann").sum() == 4
    assert capsys.readouterr().out.count('"questions": 15') == 2
    assert write_files("made", tiny_frozen_lm("llama"), args) == [small, large]
    assert not capsys.readouterr().out, "made once"
    args = SCRIPT["parse_args"]([*words, "--systems", "wide,lora", "--seeds", "1,0"])
    tasks = SCRIPT["tasks_of"]([small, large], args)
    named = [(folder.name, name, seed) for folder, name, seed in tasks]
    first = [(f"made-{size}", name, 1) for size in (40, 60) for name in ("wide", "lora")]
    assert named == [*first, ("made-40", "lora", 0), ("made-60", "lora", 0)], "other seeds come last"
    config = SCRIPT["config_of"](SCRIPT["arguments_of"](small, args))
    tuned = {task[1:]: SCRIPT["tuned_in"](*task, config, args) for task in tasks if task[0] == large}
    assert tuned[("wide", 1)] is None, "nothing is trained"
    assert tuned[("lora", 1)] == (small / "comparison", "lora", 1)
    assert SCRIPT["tuned_in"](small, "lora", 1, config, args) is None
    assert tuned[("lora", 0)] == (large / "comparison", "lora", 1), "of the first seed"


def test_the_best_way_stands_first() -> None:
    def system(exact: float) -> dict:
        overall = {"exact_match": exact, "exact_match_interval": [exact - 0.1, exact + 0.1], "num_seeds": 3}
        costs = {"ms_per_question": 2.0, "prompt_tokens_per_question": 9.4, "build_s": None}
        by = {"phrasing": {"own": {"exact_match": 0.25}}}
        return {"overall": overall, "costs": costs, "by": by, "forgetting": {"share_changed": 0.5}}

    lines = SCRIPT["headline"]({"systems": {"lookup": system(0.3), "wide": system(0.6)}}).splitlines()
    assert lines[2] == "| wide | 3 | 0.600 [0.500, 0.700] |  |  | 0.250 | 2.0 | 9 |  | 0.500 |"
    assert lines[3].startswith("| lookup | 3 | 0.300")


def test_what_the_results_hold_is_gone_on_with(tmp_path: Path) -> None:
    kept, folder = tmp_path / "results" / "made-40", tmp_path / "made-40"
    kept.mkdir(parents=True)
    runs = [("lora", 0), ("lora", 1), ("wide", 0)]
    answers = pl.DataFrame({"system": [n for n, _ in runs], "seed": [s for _, s in runs], "prediction": list("abc")})
    answers.write_parquet(kept / "predictions.parquet")
    parts = [{"system": name, "seed": seed, "build_s": 1.5} for name, seed in runs]
    (kept / "parts.json").write_text(json.dumps(parts), encoding="utf-8")
    (kept / "config.json").write_text("{}", encoding="utf-8")
    words = ["--data-dir", "x", "--output", str(tmp_path), "--results", str(tmp_path / "results"), "--again", "wide"]
    args = SCRIPT["parse_args"](words)
    SCRIPT["restore"](folder, args)
    output = folder / "comparison"
    assert [SCRIPT["has_part"](output, *run) for run in runs] == [True, True, False]
    assert SCRIPT["read_part"](output, "lora", 1) == parts[1]
    assert SCRIPT["join_parts"](output, runs[:2])["prediction"].to_list() == ["a", "b"]
    (output / "parts" / "lora-0.json").unlink()
    SCRIPT["restore"](folder, args)
    assert not SCRIPT["has_part"](output, "lora", 0), "a comparison that has begun is left as it is"
