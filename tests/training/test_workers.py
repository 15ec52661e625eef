"""Worker processes: results in order, the same as in this process, with few threads and no file left behind."""

import os
import tempfile
import threading
from itertools import count, islice
from pathlib import Path

import pytest

from widedeep_kb.training.workers import in_order, start_server


class Describe:
    """A job that tells where it was done."""

    def __call__(self, number: int, share: float) -> tuple[int, float, int, str]:
        return number, share, os.getpid(), os.environ["OMP_NUM_THREADS"]


class Fail:
    """A job that cannot do one number."""

    def __call__(self, number: int, share: float) -> int:
        if number == 1:
            raise ValueError(f"no result for {number}")
        return number


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_in_order_by_other_processes_of_one_thread(folder: Path) -> None:
    start_server([])
    results = list(in_order(Describe(), range(7, 12), num_workers=2, first_share=0.1))
    assert [(number, share) for number, share, *_ in results] == [(7, 0.1), (8, 0.1), (9, 1.0), (10, 1.0), (11, 1.0)]
    assert os.getpid() not in {pid for *_, pid, _ in results}
    assert {threads for *_, threads in results} == {"1"}
    assert not list(folder.glob("widedeep-kb-*"))


def test_an_endless_stream_can_be_left(folder: Path) -> None:
    stream = in_order(Describe(), count(), num_workers=1, first_share=1.0)
    assert [number for number, *_ in islice(stream, 2)] == [0, 1]
    stream.close()
    assert not list(folder.glob("widedeep-kb-*"))
    assert not [thread for thread in threading.enumerate() if "worker" in thread.name.lower() and thread.is_alive()]


def test_an_error_in_a_worker_reaches_the_caller() -> None:
    stream = in_order(Fail(), range(3), num_workers=1, first_share=1.0)
    assert next(stream) == 0
    with pytest.raises(ValueError, match="no result for 1"):
        next(stream)


def test_no_worker_is_refused() -> None:
    with pytest.raises(ValueError, match="num_workers must be at least 1, got 0"):
        next(in_order(Describe(), range(3), num_workers=0, first_share=1.0))
