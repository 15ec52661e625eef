"""The measures of a comparison: quality with intervals, by groups of questions, and costs, of every system.

In: the predictions and parts of `compare`, and its facts. Out: a dictionary ready for JSON, `metrics.json`:

    systems: {NAME: {trained, overall, costs, gain, forgetting, update, tuning, by: {GROUPING: {GROUP: ...}}}}
    differences: [{system, minus, difference, interval}]  exact match, question by question
    llm, num_facts, num_questions, seeds

All is over the user's own questions; those made beside them (see `asked`) count in the groupings `asked` and
`facts_needed` only.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from widedeep_kb.metrics import bootstrap_interval, paired_bootstrap
from widedeep_kb.studies.kinds import PLAIN
from widedeep_kb.systems.registry import SYSTEMS

STATELESS = "closed_book"
PHRASINGS = ("trained", "heldout", "own", "paraphrase")
LEAST = 5  # questions of a group that is reported
_DIGITS = 6  # of a share: who shows it rounds it, once
_NUMBER = re.compile(r"[-+]?[\d.,\s]*\d[\d.,\s]*(%|°|[a-zA-Z²³/°]{1,6})?")
_CODE = re.compile(r"(?=.*\d)(?=.*[A-Za-z])\S+|\S*[_/\\.:]\S+|[A-Z]{2,6}")


def measure(
    predictions: pl.DataFrame, parts: Sequence[Mapping], *, facts: pl.DataFrame, about: Mapping[str, object]
) -> dict[str, object]:
    """All measures of a comparison.

    Args:
        predictions: `system`, `seed`, `asked` and `PREDICTION_SCHEMA`.
        parts: of `compare`, as JSON has them.
        facts: in `FACT_SCHEMA`: their popularity and values group the questions.
        about: what else is to stand in the result.
    """
    everything = with_groups(predictions, facts)
    grouped = everything.filter(pl.col("asked") == PLAIN)
    names = predictions["system"].unique(maintain_order=True).to_list()
    by_system = {name: grouped.filter(pl.col("system") == name) for name in names}
    stateless = by_system.get(STATELESS)
    systems = {}
    for name, frame in by_system.items():
        own = [part for part in parts if part["system"] == name and part["seed"] in frame["seed"]]
        whole = everything.filter(pl.col("system") == name)
        systems[name] = {
            "trained": SYSTEMS[name].is_trained,
            "overall": scores(frame),
            "gain": gain(frame, own, closed_book=stateless),
            "costs": costs(frame, own, num_facts=facts.height),
            "forgetting": mean_of([part["forgetting"] for part in own]),
            "update": update_of([part["update"] for part in own]),
            "tuning": tuning_of(own),
            "by": {group: by_group(whole if group in WHOLE else frame, group) for group in GROUPINGS},
        }
    return {**about, "systems": systems, "differences": differences(grouped, names)}


GROUPINGS = ("asked", "popularity", "phrasing", "value_kind", "facts_needed", "shares_word")
WHOLE = ("asked", "facts_needed")  # of all questions, not only the user's own


def with_groups(predictions: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Predictions with a column for each of `GROUPINGS`; null where it does not apply."""
    known = facts.select(
        pl.col("fact_id").alias("_first"),
        "popularity",
        pl.col("object").map_elements(value_kind, return_dtype=pl.String).alias("value_kind"),
    ).unique("_first")
    frame = predictions.with_columns(_first=pl.col("fact_id").str.split(" ").list.first())
    frame = frame.join(known, on="_first", how="left", maintain_order="left")
    edges = facts["popularity"].drop_nulls()
    popularity = pl.lit(None, dtype=pl.String)
    if edges.n_unique() >= 4:
        low, middle, high = (edges.quantile(q, interpolation="nearest") for q in (0.25, 0.5, 0.75))
        value = pl.col("popularity")
        popularity = (
            pl.when(value.is_null()).then(None).when(value <= low).then(pl.lit("least quarter"))
            .when(value <= middle).then(pl.lit("second quarter"))
            .when(value <= high).then(pl.lit("third quarter")).otherwise(pl.lit("most quarter"))
        )  # fmt: skip
    phrasing = pl.coalesce([pl.when(pl.col("tags").list.contains(tag)).then(pl.lit(tag)) for tag in PHRASINGS])
    shares = pl.when(pl.col("tags").list.contains("shares_word")).then(pl.lit("a word shared with the relation"))
    shares = shares.when(pl.col("tags").list.contains("no_shared_word")).then(pl.lit("no word shared"))
    needed = pl.col("fact_id").str.count_matches(" ") + 1
    return frame.with_columns(
        popularity=popularity,
        phrasing=phrasing,
        shares_word=shares,
        facts_needed=pl.when(pl.col("fact_id").is_not_null()).then(needed.cast(pl.String)),
    ).drop("_first")


def value_kind(value: str) -> str:
    """Kind of a value: `number`, `code`, `word` or `phrase`."""
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return "number"
    if _CODE.fullmatch(text):
        return "code"
    return "phrase" if " " in text else "word"


def scores(frame: pl.DataFrame) -> dict[str, object]:
    """Exact match, contains and F1 of one system: means over questions of the mean over seeds, with 95 % intervals."""
    each = frame.group_by("question", "fact_id", maintain_order=True).agg(
        pl.col(name).cast(pl.Float64).mean() for name in ("exact_match", "contains", "f1")
    )
    found: dict[str, object] = {"num_questions": each.height, "num_seeds": frame["seed"].n_unique()}
    for name in ("exact_match", "contains", "f1"):
        interval = bootstrap_interval(each[name].to_list())
        found[name] = round(interval.mean, _DIGITS)
        found[f"{name}_interval"] = [round(interval.low, _DIGITS), round(interval.high, _DIGITS)]
    by_seed = frame.group_by("seed").agg(pl.col("exact_match").cast(pl.Float64).mean()).sort("seed")
    return {**found, "exact_match_by_seed": [round(value, _DIGITS) for value in by_seed["exact_match"].to_list()]}


def by_group(frame: pl.DataFrame, grouping: str) -> dict[str, object]:
    """`scores` of each group of at least `LEAST` questions."""
    return {
        group: scores(part)
        for (group,), part in sorted(frame.drop_nulls(grouping).group_by(grouping), key=lambda pair: pair[0])
        if part["question"].n_unique() >= LEAST
    }


def gain(frame: pl.DataFrame, parts: Sequence[Mapping], *, closed_book: pl.DataFrame | None) -> dict[str, float | None]:
    """What its facts added to a system, as CL-Bench defines gain (arXiv 2606.05661; its documentation, "Metrics").

    There a system is run twice over the same instances: with its state, and as the same system without any. The gain
    is the mean of the rewards with state less the mean of those without; its normalised form divides that by the room
    between the mean without state and the highest reward. Normalising comes behind the means, never question by
    question, and each system has its own baseline. So it is done here: a reward is the exact match of a question, the
    highest is 1, the state is the facts, and all questions of a comparison are one task, so that nothing is averaged
    over tasks. With state, means are over seeds too; without, answers are greedy and one run is enough.

    The system without its state is the bare LLM in the system's own prompt (see `stateless`), not in the best prompt
    that the LLM has. For a system whose adapters or weights taught it to answer briefly, this counts that as gained.
    `normalised_best` is the stricter figure: the same ratio with the bare LLM in its best format, `closed_book`, in the
    place of the system's own baseline. It is not CL-Bench's.

    Returns:
        `stateless`, `gain`, `normalised` and `normalised_best`; None where a baseline was not measured or has no room.
    """
    ours = float(frame["exact_match"].cast(pl.Float64).mean())
    known = [part["stateless_exact_match"] for part in parts if part["stateless_exact_match"] is not None]
    stateless = statistics.mean(known) if known else None
    best = None if closed_book is None else float(closed_book["exact_match"].cast(pl.Float64).mean())
    return {
        "stateless": None if stateless is None else round(stateless, _DIGITS),
        "gain": None if stateless is None else round(ours - stateless, _DIGITS),
        "normalised": share_of_room(ours, stateless),
        "normalised_best": share_of_room(ours, best),
    }


def share_of_room(reached: float, baseline: float | None) -> float | None:
    """Share of the room between a baseline and 1 that was gained, or lost; None without a baseline or room."""
    return None if baseline is None or baseline >= 1.0 else round((reached - baseline) / (1.0 - baseline), _DIGITS)


def costs(frame: pl.DataFrame, parts: Sequence[Mapping], *, num_facts: int) -> dict[str, float]:
    """Time, tokens and bytes of one system, medians over seeds; tuned it was once."""

    def median(key: str) -> float | None:
        values = [part[key] for part in parts]
        return statistics.median(values) if values else None

    size = median("size_bytes")
    return {
        "ms_per_question": round(float(frame["latency_ms"].mean()), 3),
        "prompt_tokens_per_question": round(float(frame["prompt_tokens"].mean()), 2),
        "generated_tokens_per_question": round(float(frame["generated_tokens"].mean()), 2),
        "tune_s": max((part["tune_s"] for part in parts), default=None),
        "build_s": median("build_s"),
        "size_bytes": size,
        "bytes_per_fact": None if size is None else round(size / num_facts, 1),
    }


def mean_of(records: Sequence[Mapping | None]) -> dict[str, object] | None:
    """Means of the numbers of equal records over seeds; what is no number is the first one's."""
    present = [record for record in records if record is not None]
    if not present:
        return None
    found: dict[str, object] = {}
    for key, first in present[0].items():
        values = [record[key] for record in present if record[key] is not None]
        is_number = values and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if is_number:
            found[key] = round(statistics.mean(values), 5)
        elif values and isinstance(first, list | tuple):
            found[key] = [round(float(x), 5) for x in np.mean(np.array(values, dtype=float), axis=0)]
        else:
            found[key] = first
    return found


def update_of(records: Sequence[Mapping | None]) -> dict[str, object] | None:
    """`mean_of` what changes took, and the least share of new values and the largest share of moved answers."""
    found, present = mean_of(records), [record for record in records if record is not None]
    if found is None:
        return None
    moved = [record["share_moved"] for record in present if record["share_moved"] is not None]
    least = min(record["share_right"] for record in present)
    return {**found, "share_right_least": least, "share_moved_most": max(moved, default=None)}


def tuning_of(parts: Sequence[Mapping]) -> dict[str, object] | None:
    """How a system was tuned: of its parts, that of the seed which the sweep was made with."""
    if not parts:
        return None
    tuned = next((part for part in parts if part["sweep"]), parts[0])
    return {key: tuned[key] for key in ("setting", "prompt_format", "sweep")}


def differences(frame: pl.DataFrame, names: Sequence[str]) -> list[dict[str, object]]:
    """Exact match of each system minus that of each other, question by question, with 95 % intervals."""
    means = {
        name: frame.filter(pl.col("system") == name)
        .group_by("question", "fact_id", maintain_order=True)
        .agg(pl.col("exact_match").cast(pl.Float64).mean())["exact_match"]
        .to_list()
        for name in names
    }
    found = []
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            gap = paired_bootstrap(means[one], means[other])
            interval = [round(gap.low, _DIGITS), round(gap.high, _DIGITS)]
            found.append({"system": one, "minus": other, "difference": round(gap.mean, _DIGITS), "interval": interval})
    return found
