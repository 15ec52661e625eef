"""`report.html`: one page without scripts or outside files, from the metrics of a comparison.

In: `metrics.json` of `compare`. Out: headline table, advice, break-even points, plots, gains, groups, costs, sizes and
sweeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from widedeep_kb.report import plots
from widedeep_kb.studies.advice import CEILINGS, advise
from widedeep_kb.studies.break_even import break_even
from widedeep_kb.studies.kinds import BEGUN, COMPARED, PLAIN, TWO_FACTS
from widedeep_kb.studies.measures import GROUPINGS
from widedeep_kb.tables import write_text

STYLE = """
:root { color-scheme: light; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 78rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #e2e2e2; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } td.text, th.text { text-align: left; white-space: normal; }
td.text { min-width: 8rem; } th { vertical-align: bottom; white-space: normal; }
table.prose td { white-space: normal; }
@media (max-width: 45rem) {
  table.prose thead { display: none; } table.prose td { display: block; border: 0; text-align: left; min-width: 0; }
  table.prose tr { display: block; border-bottom: 1px solid #e2e2e2; padding: .3rem 0; }
  table.prose tbody { display: block; } table.prose td:first-child { font-weight: 600; }
}
tr.ours td:first-child { font-weight: 600; } tr.ceiling { color: #777; } .small { color: #666; font-size: .87rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 1rem; }
.plots svg { width: 100%; height: auto; } figure { margin: 0; } figcaption { font-size: .9rem; }
"""
PLOTS = (
    ("Quality against cost; the line joins the ways that no other beats in both", plots.quality_against_cost),
    ("Quality by popularity of the fact", plots.quality_by_popularity),
    ("Time against the number of facts", plots.time_by_corpus_size),
    ("Learning against forgetting", plots.learning_against_forgetting),
)
GROUPING_TITLES = {
    "asked": "what is asked",
    "popularity": "popularity of the fact",
    "phrasing": "phrasing of the question",
    "value_kind": "kind of value",
    "facts_needed": "facts that the answer needs",
    "shares_word": "words shared with the relation",
}
ORDERS = {"popularity": plots.QUARTERS, "asked": (PLAIN, BEGUN, COMPARED, TWO_FACTS)}
ASKED_NOTE = (
    "All but the plain questions are made from the facts and count in no other table but that of the facts needed. "
    "Settings and prompt formats are those chosen on plain questions. Comparisons are guessed right half the time."
)


def write_report(metrics: Mapping, path: Path) -> None:
    """Write the page, whole or not at all."""
    write_text(page(metrics), path)


def page(metrics: Mapping) -> str:
    """The HTML text."""
    title = f"{metrics['num_facts']:,} facts, {metrics['num_questions']:,} questions"
    about = [
        f"LLM {metrics['llm']} on {metrics['device']}",
        f"seeds {', '.join(map(str, metrics['seeds']))} for trained ways",
        f"budget {metrics['budget_minutes']} minutes each" if metrics["budget_minutes"] else "no time limit",
    ]
    if metrics.get("num_processes", 1) > 1:
        about.append(f"{metrics['num_processes']} ways side by side on it, so that times are those of a busy device")
    parts = [
        f"<h1>Ways of giving an LLM these facts: {escape(title)}</h1><p class=small>{escape('; '.join(about))}.</p>",
        _headline(metrics),
        _advice(metrics),
        _plots(metrics),
        _gains(metrics),
        _groups(metrics),
        _changes(metrics),
        _sizes(metrics),
        _sweeps(metrics),
    ]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _headline(metrics: Mapping) -> str:
    header = ["way", "exact match", "95 % interval", "contains", "F1", "gain, normalised", "ms a question"]
    header += ["prompt tokens", "build, s", "bytes a fact", "unrelated answers changed"]
    rows, classes = [], []
    order = sorted(metrics["systems"].items(), key=lambda pair: -pair[1]["overall"]["exact_match"])
    for name, system in order:
        overall, costs = system["overall"], system["costs"]
        changed = (system["forgetting"] or {}).get("share_changed")
        rows.append(
            [name, _number(overall["exact_match"]), _interval(overall["exact_match_interval"])]
            + [_number(overall["contains"]), _number(overall["f1"])]
            + [_number((system["gain"] or {}).get("normalised")), f"{costs['ms_per_question']:.1f}"]
            + [f"{costs['prompt_tokens_per_question']:.0f}", _seconds(costs["build_s"])]
            + [_count(costs["bytes_per_fact"]), _number(changed)]
        )
        classes.append("ours" if name in plots.OURS else "ceiling" if name in CEILINGS else "")
    note = (
        "Grey: a ceiling, told which fact is right. Bold: this package's memory. Exact match, contains and F1 are over "
        "the user's own questions. Gain: exact match above the same way's without its facts, as a share of the room."
    )
    return f"<h2>All ways</h2>{_table(header, rows, classes=classes)}<p class=small>{note}</p>"


def _advice(metrics: Mapping) -> str:
    rows = [
        [
            one.kind,
            one.way or "not decided",
            one.reason + (f". Not told from it: {', '.join(one.also)}" if one.also else ""),
        ]
        for one in advise(metrics)
    ]
    points = [
        [point.question, "" if point.value is None else f"{point.value:,.0f} {point.unit}", point.reason]
        for point in break_even(metrics)
    ]
    return (
        f"<h2>Which way for which knowledge</h2>{_table(['knowledge', 'way', 'why'], rows, text=(1, 2))}"
        f"<h2>Break-even points</h2>{_table(['point', 'value', 'from'], points, text=(2,))}"
    )


def _plots(metrics: Mapping) -> str:
    drawn = [(caption, draw(metrics)) for caption, draw in PLOTS]
    figures = [f"<figure>{text}<figcaption>{escape(caption)}</figcaption></figure>" for caption, text in drawn if text]
    return f"<h2>Plots</h2><div class=plots>{''.join(figures)}</div>"


def _gains(metrics: Mapping) -> str:
    header = [
        "way",
        "exact match",
        "without its facts",
        "gain",
        "gain, normalised",
        "of the room above the best bare LLM",
    ]
    rows = [
        [name, _number(system["overall"]["exact_match"])]
        + [_number(system["gain"][key]) for key in ("stateless", "gain", "normalised", "normalised_best")]
        for name, system in metrics["systems"].items()
    ]
    note = (
        "Without its facts a way is the bare LLM in the same prompt, or silent if it has no LLM (gain as in CL-Bench, "
        "normalised after the means). The last column is stricter: the bare LLM in its best prompt instead."
    )
    return f"<h2>What the facts added</h2>{_table(header, rows)}<p class=small>{note}</p>"


def _groups(metrics: Mapping) -> str:
    tables = []
    for grouping in GROUPINGS:
        groups = sorted({group for system in metrics["systems"].values() for group in system["by"][grouping]})
        if grouping in ORDERS:
            groups = [group for group in ORDERS[grouping] if group in groups]
        if len(groups) < 2:
            continue
        counts = {
            group: max(
                s["by"][grouping].get(group, {"num_questions": 0})["num_questions"] for s in metrics["systems"].values()
            )
            for group in groups
        }
        header = ["way", *(f"{group} ({counts[group]})" for group in groups)]
        rows = [
            [name, *(_number(system["by"][grouping].get(group, {}).get("exact_match")) for group in groups)]
            for name, system in metrics["systems"].items()
        ]
        tables.append(f"<h2>Exact match by {GROUPING_TITLES[grouping]} (questions)</h2>{_table(header, rows)}")
        if grouping == "asked":
            tables.append(f"<p class=small>{ASKED_NOTE}</p>")
    return "".join(tables)


def _changes(metrics: Mapping) -> str:
    header = ["way", "facts changed", "seconds", "first answer, ms", "new value", "former value", "other answers moved"]
    rows = [
        [name, update["num_changed"], _seconds(update["seconds"]), f"{update['answer_ms']:.1f}"]
        + [_number(update[key]) for key in ("share_right", "share_stale", "share_moved")]
        for name, system in metrics["systems"].items()
        if (update := system["update"]) is not None
    ]
    broken = [
        [name, _number(found["share_answered"]), _number(found["share_changed"]), _number(found["f1_bare"])]
        + [_number(found["f1"]), _number(found["perplexity_bare"], 2), _number(found["perplexity"], 2)]
        for name, system in metrics["systems"].items()
        if (found := system["forgetting"]) is not None and found["num_questions"]
    ]
    text = f"<h2>What a change takes</h2>{_table(header, rows)}" if rows else ""
    if broken:
        header = ["way", "unrelated answered", "changed", "F1, bare LLM", "F1", "perplexity, bare LLM", "perplexity"]
        text += f"<h2>What was forgotten</h2>{_table(header, broken)}"
    return text


def _sizes(metrics: Mapping) -> str:
    sizes, once = metrics.get("sizes") or (), metrics.get("measured_once") or ()
    if not sizes:
        return ""
    rows = [
        [name, f"{size['num_facts']:,}", _seconds(size["build_s"].get(name)), _count(size["bytes_per_fact"].get(name))]
        + [_seconds(size["ms_per_question"].get(name)), _count(size["prompt_tokens"].get(name))]
        + [_number(size["exact_match"].get(name))]
        for name in metrics["systems"]
        if name not in once
        for size in sizes
    ]
    header = ["way", "facts", "build, s", "bytes a fact", "ms a question", "prompt tokens", "exact match"]
    note = f"{sizes[0]['num_questions']} questions, the same at each size; memories without training."
    if once:
        note += f" {', '.join(once)}: trained once, their time does not depend on the number of facts."
    return f"<h2>Times by number of facts</h2>{_table(header, rows)}<p class=small>{escape(note)}</p>"


def _sweeps(metrics: Mapping) -> str:
    rows = []
    for name, system in metrics["systems"].items():
        for entry in (system["tuning"] or {}).get("sweep", ()):
            formats = entry.get("formats") or {}
            tried = ", ".join(f"{key} {value:.2f}" for key, value in formats.items())
            skipped = entry.get("skipped", "")
            setting = ", ".join(f"{key} {value}" for key, value in entry["setting"].items()) or "as it is"
            noted = "; ".join(text for text in (tried, f"not tried: {skipped}" if skipped else "") if text)
            rows.append([name, setting, _number(entry["exact_match"]), _seconds(entry["build_s"]), noted])
    note = "Exact match on development questions; prompt formats of the ways that show text, in the last column."
    header = ["way", "setting", "exact match", "build, s", "formats"]
    return f"<h2>How each way was tuned</h2>{_table(header, rows, text=(1, 4))}<p class=small>{note}</p>"


def _table(
    header: Sequence[str], rows: Sequence[Sequence[object]], *, text: Sequence[int] = (), classes: Sequence[str] = ()
) -> str:
    def cells(row: Sequence[object], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=text' if i in text else ''}>{escape(str(cell))}</{tag}>" for i, cell in enumerate(row)
        )

    kinds = list(classes) or [""] * len(rows)
    body = "".join(f"<tr class='{kind}'>{cells(row, 'td')}</tr>" for kind, row in zip(kinds, rows, strict=True))
    kind_of_table = " class=prose" if len(header) - 1 in text and len(header) <= 3 else ""
    return f"<table{kind_of_table}><thead><tr>{cells(header, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def _number(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _interval(pair: Sequence[float]) -> str:
    return f"[{pair[0]:.3f}, {pair[1]:.3f}]"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value >= 1 else f"{value:.3f}"
