"""What a memory was trained on: every `fit` and `refine`, and the reader as it was before the first that changed it.

In: what a training was given. Out: the same again, so that it can be repeated without facts that were erased since.
Facts are named by their ordinals, which are never dealt twice: a fact was there at a training if its ordinal had been
dealt by then. Nothing of an erased fact is saved: neither its ordinal nor a question about it, nor a template of a
relation that only erased facts had.

Letters: T trainings.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from widedeep_kb.facts import FactCatalogue
from widedeep_kb.memory.reader import Reader
from widedeep_kb.tables import write_table

FILE_NAME = "trainings.json"
FACTS_FILE = "trainings.parquet"
BASE_FOLDER = "base"
_VERSION = 1
_SCHEMA = {"training": pl.Int32(), "ordinal": pl.Int64(), "question": pl.String()}
ROWS, DEEP, ADAPTERS = "rows", "deep memory", "adapters"


@dataclass(frozen=True)
class Training:
    """One call of `fit`.

    Attributes:
        config: the settings, as JSON takes them.
        trained: of `ROWS`, `DEEP` and `ADAPTERS`, what was trained.
        next_ordinal: of the catalogue then: facts with lower ordinals had been written.
        num_seen: public facts that were there: shared weights were trained on them, or beside them.
        ordinals: int64, ascending, the facts trained on; None = all that were there.
        questions: with the columns `ordinal` and `question`, those about the facts trained on.
        templates: relation -> texts with "{subject}".
        row_format: of the rows.
        run: the run's folder, with its checkpoint.
        num_devices: it was trained on.
    """

    config: dict[str, object]
    trained: tuple[str, ...]
    next_ordinal: int
    num_seen: int
    ordinals: np.ndarray | None
    questions: pl.DataFrame
    templates: dict[str, list[str]]
    row_format: str
    run: str
    num_devices: int = 1

    @property
    def is_shared(self) -> bool:
        """Whether it changed weights that all facts share."""
        return any(part != ROWS for part in self.trained)

    def without_absent(self, catalogue: FactCatalogue) -> Training:
        """The same with nothing of facts that are no longer in `catalogue`."""
        alive = catalogue.alive()
        questions = self.questions.filter(pl.col("ordinal").is_in(pl.Series(alive).implode()))
        ordinals = None if self.ordinals is None else self.ordinals[np.isin(self.ordinals, alive)]
        relations = set(catalogue.columns_for(alive, ["relation"])["relation"].to_list())
        templates = {name: texts for name, texts in self.templates.items() if name in relations}
        return replace(self, questions=questions, ordinals=ordinals, templates=templates)


@dataclass
class TrainingRecord:
    """The trainings of a memory, in order.

    Attributes:
        trainings: T.
        base: the reader before the first training of weights that facts share; None where there was none.
    """

    trainings: list[Training] = field(default_factory=list)
    base: Reader | None = None

    def add(self, training: Training, *, before: Reader | None) -> None:
        """Note a training; `before` is the reader as it was, a copy, where shared weights were trained."""
        if training.is_shared and self.base is None:
            self.base = before
        self.trainings.append(training)

    def shared_with(self, ordinals: np.ndarray, *, catalogue: FactCatalogue) -> tuple[str, ...]:
        """Which shared weights were trained on, or beside, any of the live facts `ordinals`."""
        public = ordinals[~catalogue.private_mask(ordinals)] if len(ordinals) else ordinals
        parts = {
            part
            for training in self.trainings
            if len(public) and public.min() < training.next_ordinal
            for part in training.trained
            if part != ROWS
        }
        return tuple(sorted(parts))

    def had(self, ordinals: np.ndarray) -> bool:
        """Whether any of the facts `ordinals` was there at a training: others' rows, at least, learnt beside it."""
        return bool(len(ordinals)) and any(ordinals.min() < training.next_ordinal for training in self.trainings)

    def num_gone(self, catalogue: FactCatalogue, *, has_rows: bool = False) -> int:
        """Public facts that shared weights were trained on, or beside, and that are no longer in `catalogue`; with
        `has_rows`, also those that only rows were trained beside."""
        alive = catalogue.alive()
        public = alive[~catalogue.private_mask(alive)] if len(alive) else alive
        trainings = [training for training in self.trainings if has_rows or training.is_shared]
        return max((t.num_seen - int(np.sum(public < t.next_ordinal)) for t in trainings), default=0)

    def save(self, snapshot: Path, catalogue: FactCatalogue) -> None:
        """Write the record into a snapshot, with nothing of facts that are not in `catalogue`; none if it is empty."""
        if not self.trainings:
            return
        self.trainings = [training.without_absent(catalogue) for training in self.trainings]
        parts, values = [pl.DataFrame(schema=_SCHEMA)], []
        for number, training in enumerate(self.trainings):
            parts.append(_rows(training, number))
            listed = {name: value for name, value in training.__dict__.items() if name not in ("ordinals", "questions")}
            values.append({**listed, "has_all": training.ordinals is None})
        write_table(pl.concat(parts), snapshot / FACTS_FILE)
        text = json.dumps({"version": _VERSION, "trainings": values}, ensure_ascii=False, indent=1)
        (snapshot / FILE_NAME).write_text(text + "\n", encoding="utf-8")
        if self.base is not None:
            self.base.save(snapshot / BASE_FOLDER)

    @classmethod
    def load(cls, snapshot: Path) -> TrainingRecord:
        """Read what `save` wrote; an empty record where there is none.

        Raises:
            ValueError: a damaged record, or one of another version.
        """
        path = snapshot / FILE_NAME
        if not path.is_file():
            return cls()
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            if read["version"] != _VERSION:
                raise ValueError(f"{path}: version {read['version']}, this release reads version {_VERSION}")
            rows = pl.read_parquet(snapshot / FACTS_FILE, glob=False)
            trainings = [_training(values, rows, number) for number, values in enumerate(read["trainings"])]
        except (json.JSONDecodeError, KeyError, TypeError, OSError, pl.exceptions.PolarsError) as error:
            raise ValueError(f"{path}: a damaged record of trainings: {str(error).splitlines()[0]}") from error
        base = snapshot / BASE_FOLDER
        return cls(trainings, Reader.load(base) if base.is_dir() else None)


def copy_of(reader: Reader) -> Reader:
    """A reader of its own on the CPU with the same weights; no random number is drawn."""
    return deepcopy(reader).cpu()


def asked_questions(questions: pl.DataFrame | None, ordinals: np.ndarray, catalogue: FactCatalogue) -> pl.DataFrame:
    """Of a questions frame those about facts, with the columns `ordinal` and `question`."""
    empty = pl.DataFrame(schema={name: _SCHEMA[name] for name in ("ordinal", "question")})
    if questions is None or not len(ordinals):
        return empty
    facts = catalogue.columns_for(ordinals, ["ordinal", "fact_id"])
    asked = questions.drop_nulls("fact_id").join(facts, on="fact_id", how="inner", maintain_order="left")
    return asked.select(*empty.columns)


def as_json(config: object) -> dict[str, object]:
    """The fields of a dataclass as JSON has them."""
    plain: Callable[[object], object] = lambda value: str(value) if isinstance(value, Path) else value  # noqa: E731
    return {name: plain(value) for name, value in asdict(config).items()}


def _rows(training: Training, number: int) -> pl.DataFrame:
    """The facts trained on, where they are listed, and the questions, as rows of the table."""
    listed = np.zeros(0, np.int64) if training.ordinals is None else training.ordinals
    facts = pl.DataFrame({"ordinal": listed}, schema={"ordinal": pl.Int64()})
    made = [facts.with_columns(pl.lit(None, pl.String()).alias("question")), training.questions]
    return pl.concat(made).select(pl.lit(number, pl.Int32()).alias("training"), "ordinal", "question")


def _training(values: dict[str, object], rows: pl.DataFrame, number: int) -> Training:
    own = rows.filter(pl.col("training") == number)
    has_all = values.pop("has_all")
    listed = own.filter(pl.col("question").is_null())["ordinal"].to_numpy()
    values["trained"] = tuple(values["trained"])
    questions = own.drop_nulls("question").select("ordinal", "question")
    return Training(**values, ordinals=None if has_all else listed, questions=questions)
