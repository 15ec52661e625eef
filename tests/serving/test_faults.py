"""The fault test, a few kills of it: nothing that was acknowledged is lost."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_faults.py"
KILLS = 5


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(served_folder: Path) -> None:
    llm = served_folder.parent / "llm"
    words = ["--kills", str(KILLS), "--longest", "0.4", "--llm", str(llm)]
    done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    found = re.search(rf"^{KILLS} kills, (\d+) changes acknowledged, .* 0 subjects with a loss$", done.stdout, re.M)
    assert found and int(found[1]) >= KILLS - 1, done.stdout
