"""Run the benchmarks: `python -m tests.benchmarks [NAME ...]`; exits with 1 when a figure misses its limit.

Each `bench_*.py` beside this file has a `run() -> list[Ratio]`, and is run in a process of its own.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    """Run the named benchmarks, all of them when none is named."""
    modules = sorted(path.stem for path in HERE.glob("bench_*.py"))
    chosen = [m for m in modules if not names or m.removeprefix("bench_") in names]
    codes = [
        subprocess.run([sys.executable, "-m", __package__ or "tests.benchmarks", "--run", module]).returncode
        for module in chosen
    ]
    return 0 if chosen and not any(codes) else 1


def run(module: str) -> int:
    """Run one benchmark in this process and print its lines."""
    print(f"\n{module.removeprefix('bench_')}", flush=True)
    missed = 0
    for ratio in importlib.import_module(f"tests.benchmarks.{module}").run():
        print(ratio, flush=True)
        missed += not ratio.holds
    return 1 if missed else 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(run(arguments[1]) if arguments[:1] == ["--run"] else main(arguments))
