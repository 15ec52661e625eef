"""bench_joint.py on a tiny random model: every arm runs, the split keeps subjects apart, the table adds up."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.schema import facts_from_records
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.sources.questions import own_questions, template_frame

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_joint.py"))
TEMPLATES = {
    "country": ["Which country is {subject} in?", "Whose is {subject}?", "{subject} is in"],
    "time zone": ["What time zone is {subject} in?", "Clocks of {subject}?"],
}
SIZES = ["--num-questions", "3", "--steps", "2", "--batch-size", "4", "--eval-batch-size", "8"]


def corpus_of(num_cities: int) -> Corpus:
    """Cities with a country and a time zone."""
    values = {"country": "Ruritania", "time zone": "Europe/Strelsau"}
    facts = facts_from_records(
        [{"subject": f"Town{i}", "relation": r, "object": v} for i in range(num_cities) for r, v in values.items()]
    )
    return Corpus("towns", facts, own_questions(facts, template_frame(TEMPLATES), tags=["own"], seed=0), TEMPLATES)


def test_unseen_subjects_have_no_fact_in_training() -> None:
    corpus = corpus_of(40)
    split = SCRIPT["split_domain"](corpus, num_facts=40, num_unseen=5)
    asked = corpus.facts.join(split.unseen, on="fact_id", how="semi")
    assert (split.facts.height, asked["subject_id"].n_unique(), split.unseen.height) == (40, 5, 10)
    assert not set(asked["subject_id"]) & set(split.facts["subject_id"])
    assert set(split.shots["fact_id"]) <= set(split.facts["fact_id"])


def test_every_arm_runs_and_is_summarised(
    tiny_frozen_lm,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],  # noqa: ANN001
) -> None:
    lm: FrozenLM = tiny_frozen_lm("llama")
    Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16)).save(tmp_path / "reader")
    split = SCRIPT["split_domain"](corpus_of(24), num_facts=24, num_unseen=2)
    sizes = {}
    for arm in ("none", "joint", "wide", "deep", "ensemble"):
        folders = ["--output", tmp_path / "out" / arm, "--save", tmp_path / arm, "--reader", tmp_path / "reader"]
        folders += ["--wide", tmp_path / "wide", "--deep", tmp_path / "deep"]
        args = SCRIPT["parse_args"]([*map(str, ["--arm", arm, *folders]), *SIZES, "--set", "num_subkeys=4"])
        args.output.mkdir(parents=True)
        if arm == "ensemble":
            found = SCRIPT["run_ensemble"](args, lm, TEMPLATES)
        else:
            found = SCRIPT["run_arm"](args, lm, split, TEMPLATES)
        sizes[arm] = {name: len(outcomes) for name, outcomes in found["right"].items()}
        (args.output / "result.json").write_text(json.dumps({"arm": arm, "seed": 0, **found}))
    seen = {"trained": 3, "heldout": 3, "own": 3}
    unseen = {"unseen/country": 2, "unseen/time zone": 2, "unseen": 4}
    assert sizes["wide"] == sizes["deep"] == {**seen, **unseen} and sizes["ensemble"] == seen
    assert sizes["joint"].items() >= {**seen, **unseen, "deep off: own": 3}.items()
    assert sizes["none"]["unseen, bare LLM, plain-5"] == 4
    assert not list(tmp_path.glob("out/*/lightning_logs/**/*.ckpt"))
    capsys.readouterr()
    assert SCRIPT["main"](["--summarise", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    compared = [json.loads(line) for line in lines if "joint minus" in line]
    assert {line["joint minus"] for line in compared} == {"none", "wide", "deep", "ensemble"}
    assert len([line for line in lines if line.startswith("| wide |")]) == 6


def test_differences_are_paired(capsys: pytest.CaptureFixture[str]) -> None:
    joint, other = {0: {"own": [1, 1, 1, 0]}, 1: {"own": [1, 1]}}, {0: {"own": [1, 0, 0, 0]}, 1: {"own": [1, 1]}}
    SCRIPT["print_differences"](joint, other, arm="wide")
    line = json.loads(capsys.readouterr().out)
    assert line["mean"] == pytest.approx(np.mean([0, 1, 1, 0, 0, 0]), abs=1e-3) and line["seeds"] == 2
    with pytest.raises(ValueError, match="different numbers of questions of the class 'own'"):
        SCRIPT["print_differences"](joint, {0: {"own": [1]}}, arm="wide")
