"""Run several trainings side by side on one or more GPUs and print a short table last.

    python benchmarks/gpu_queue.py --output OUT --minutes 9 name1="reader --steps 700 ..." name2="..."

Each argument is NAME=COMMAND, a `widedeep-kb` command line that is given `--output OUT/NAME`. Logs go to OUT/NAME.log.
With `--gpus 0,1` the commands are dealt to these GPUs in turn.
A leg that is cut off resumes with `--resume OUT/NAME/last.ckpt` in its command.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    """Start all commands, wait, print the last line (JSON) of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.0, help="kill what still runs then")
    parser.add_argument("--gpus", help="numbers by commas (default: every command sees all)")
    parser.add_argument("--module", default="widedeep_kb.cli.main", help="module that runs a command line")
    parser.add_argument("jobs", nargs="+", metavar="NAME=COMMAND")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    threads = str(max(1, (os.cpu_count() or 1) // (2 * len(args.jobs))))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"}
    started, running = time.monotonic(), {}
    for number, job in enumerate(args.jobs):
        name, command = job.split("=", 1)
        if args.gpus:
            gpus = args.gpus.split(",")
            environment["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
        log = (args.output / f"{name}.log").open("w")
        line = [sys.executable, "-m", args.module, *shlex.split(command), "--output", str(args.output / name)]
        running[name] = subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT, env=environment)
    for name, process in running.items():
        left = args.minutes * 60 - (time.monotonic() - started)
        try:
            process.wait(timeout=max(1.0, left))
        except subprocess.TimeoutExpired:
            process.kill()
        lines = (args.output / f"{name}.log").read_text(errors="replace").strip().splitlines() or [""]
        print(f"== {name}: exit {process.returncode}, {time.monotonic() - started:.0f} s")
        try:
            for key, value in sorted(json.loads(lines[-1]).items()):
                print(f"   {key:45s} {value}")
        except json.JSONDecodeError:
            print("\n".join(line[-300:] for line in lines[-12:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
