"""Facts as the training examples need them: plain lists, cheap to send to worker processes.

In: a `Corpus` or a synthetic batch. Out: `FactTable`.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass
class FactTable:
    """N facts with the questions people ask about them.

    Attributes:
        name: where they come from; questions are reported under it.
        subjects, relations, objects: N strings each.
        prefixes: N strings, what the writer reads before each object.
        groups: [N] int64, the subject (identity, not spelling) of each fact.
        questions: fact -> its own natural questions, if any.
        templates: relation -> texts with "{subject}", if any.
    """

    name: str
    subjects: list[str]
    relations: list[str]
    objects: list[str]
    prefixes: list[str]
    groups: np.ndarray
    questions: dict[int, list[str]] = field(default_factory=dict)
    templates: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of facts N."""
        return len(self.subjects)

    def members(self) -> list[np.ndarray]:
        """The facts of each subject, one array a subject."""
        order, starts = self.by_subject()
        return np.split(order, starts[1:-1])

    def by_subject(self) -> tuple[np.ndarray, np.ndarray]:
        """Facts in the order of their subjects, int64 [N], and where each of S subjects begins there, int64 [S + 1]."""
        order = np.argsort(self.groups, kind="stable")
        edges = np.flatnonzero(np.diff(self.groups[order])) + 1
        return order, np.concatenate([[0], edges, [len(order)]])

    def take(self, facts: np.ndarray) -> FactTable:
        """The table of the given facts only, in the given order."""
        picked = facts.tolist()
        return FactTable(
            name=self.name,
            subjects=[self.subjects[i] for i in picked],
            relations=[self.relations[i] for i in picked],
            objects=[self.objects[i] for i in picked],
            prefixes=[self.prefixes[i] for i in picked],
            groups=self.groups[facts],
            questions={new: self.questions[old] for new, old in enumerate(picked) if old in self.questions},
            templates=self.templates,
        )


def save_tables(tables: list[FactTable], path: Path) -> None:
    """Write tables as gzipped JSON lines, one a table."""
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=9) as file:
        for table in tables:
            values = {**table.__dict__, "groups": table.groups.tolist()}
            file.write(json.dumps(values, ensure_ascii=False) + "\n")


def load_tables(path: Path) -> list[FactTable]:
    """Read tables written by `save_tables`."""
    tables = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            values = json.loads(line)
            values["groups"] = np.asarray(values["groups"], dtype=np.int64)
            values["questions"] = {int(k): v for k, v in values["questions"].items()}
            tables.append(FactTable(**values))
    return tables


def by_relation(table: FactTable) -> dict[str, list[int]]:
    """Facts of each relation."""
    found: dict[str, list[int]] = defaultdict(list)
    for i, relation in enumerate(table.relations):
        found[relation].append(i)
    return found
