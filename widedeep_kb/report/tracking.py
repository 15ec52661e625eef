"""A comparison in Weights & Biases, offline: a table with a row a way, its numbers, and the page.

In: `metrics.json` of `compare`, and its folder. Out: `wandb/offline-run-...` in the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import wandb


def log_to_wandb(metrics: Mapping, folder: Path) -> None:
    """Log the measures of each way and `report.html` of the folder in a run of their own."""
    about = {name: value for name, value in metrics.items() if name not in ("systems", "differences", "sizes")}
    rows = [{"way": name, **figures(system)} for name, system in metrics["systems"].items()]
    columns = list(rows[0])
    run = wandb.init(project="widedeep_kb", dir=folder, mode="offline", name=folder.name, config=about)
    run.log(
        {
            "ways": wandb.Table(columns=columns, data=[[row[name] for name in columns] for row in rows]),
            "report": wandb.Html((folder / "report.html").read_text(encoding="utf-8"), inject=False),
        }
    )
    for row in rows:
        run.summary.update({f"{row['way']}/{name}": row[name] for name in columns[1:] if row[name] is not None})
    run.finish()


def figures(system: Mapping) -> dict[str, float | None]:
    """The numbers of one way; None where one was not measured."""
    overall, update, forgetting = system["overall"], system["update"] or {}, system["forgetting"] or {}
    return {
        **{name: overall[name] for name in ("exact_match", "contains", "f1", "num_questions")},
        "exact_match_low": overall["exact_match_interval"][0],
        "exact_match_high": overall["exact_match_interval"][1],
        **{name: system["gain"][name] for name in ("gain", "normalised", "normalised_best")},
        **system["costs"],
        "update_s": update.get("seconds"),
        "update_share_right": update.get("share_right"),
        "unrelated_share_changed": forgetting.get("share_changed"),
    }
