"""The domain benchmark on a tiny random model: every arm is asked, and the table and file hold all of them."""

import json
import runpy
from pathlib import Path

import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import facts_from_records
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.sources.questions import own_questions, template_frame
from widedeep_kb.studies.domains import draw_domain

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_domains.py"))
TEMPLATES = {"height": ["How tall is {subject}?"], "colour": ["{subject} is painted in"]}
ARMS = ["ours", "closed_book", "oracle", "in_context", "lookup", "lookup_vectors"]


def test_a_domain_is_asked_by_every_arm(tiny_frozen_lm, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ANN001
    lm: FrozenLM = tiny_frozen_lm("llama")
    records = [
        {"subject": f"Tower {i}", "relation": relation, "object": f"{relation[0]}{i}"}
        for i in range(20)
        for relation in TEMPLATES
    ]
    facts = facts_from_records(records)
    questions = own_questions(facts, template_frame(TEMPLATES), tags=["own"], seed=0)
    sizes = {"num_facts": 40, "num_questions": 4, "num_dev": 3, "seed": 0}
    sample = draw_domain(Corpus("towers", facts, questions, TEMPLATES), lm, **sizes)
    config = ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16)
    options = ["--output", "p.parquet", "--domains", "mendeleev", "--formats", "plain-0", "--batch-size", "4"]
    args = SCRIPT["parse_args"](options)
    predictions = SCRIPT["run_domain"](sample, KnowledgeMemory(lm, Reader(config)), args=args)
    assert predictions.height == len(ARMS) * 3 * 4
    assert predictions["arm"].unique(maintain_order=True).to_list() == ARMS
    assert predictions["domain"].unique().to_list() == ["towers"]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum("minus" in line for line in lines) == 9
    (right,) = {
        line["exact_match"]
        for line in lines
        if line.get("arm") == "lookup" and line["phrasing"] == "trained" and "exact_match" in line
    }
    assert right == 1.0
    table = SCRIPT["table"](predictions).splitlines()
    assert len(table) == 2 + 3 and "ours - in_context" in table[0]


def test_public_domains_need_their_folder() -> None:
    with pytest.raises(SystemExit):
        SCRIPT["parse_args"](["--output", "p.parquet"])
    assert SCRIPT["parse_args"](["--output", "p.parquet", "--domains", "gapminder"]).data_dir is None
