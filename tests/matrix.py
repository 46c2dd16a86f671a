"""Run the tests on every Python found, with the lowest and with the newest supported frameworks.

    python tests/matrix.py                       every Python from 3.10 to 3.14, both ends
    python tests/matrix.py --only lowest --python python3.11

Each combination gets an environment of its own, `.venv-<version>-<end>`, kept for the next time.
Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOWEST = ["langchain-core==1.6.0", "llama-index-core==0.13.0"]
# On the lowest frameworks only what touches a framework is run again; the rest does not change.
TESTS = {"lowest": ["tests/langchain", "tests/llama_index"], "newest": []}


def interpreters() -> list[str]:
    """Every `python3.N`, 3.10 to 3.14, that is on PATH or in pyenv, and starts."""
    found = []
    for minor in range(10, 15):
        name = f"python3.{minor}"
        versions = Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/{name}")
        for candidate in [shutil.which(name), *map(str, sorted(versions))]:
            if candidate and subprocess.run([candidate, "--version"], capture_output=True).returncode == 0:
                found.append(candidate)
                break
    return found


def run(python: str, end: str) -> bool:
    """Install and test one combination. True when it passed."""
    version = subprocess.run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    venv = ROOT / f".venv-{version}-{end}"
    inside = str(venv / "bin" / "python")
    print(f"== Python {version}, {end} frameworks", flush=True)
    if not venv.exists():
        subprocess.run([python, "-m", "venv", venv], check=True)
        subprocess.run([inside, "-m", "pip", "install", "--quiet", "--upgrade", "pip"], check=True)
    pins = LOWEST if end == "lowest" else []
    install = [inside, "-m", "pip", "install", "--quiet", "--editable", ".[all]", "--group", "dev", *pins]
    if subprocess.run(install, cwd=ROOT).returncode != 0:
        return False
    return subprocess.run([inside, "-m", "pytest", "-n", "auto", *TESTS[end]], cwd=ROOT).returncode == 0


def main() -> int:
    """Run the combinations that were asked for. Return 0 when all passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=sorted(TESTS))
    parser.add_argument("--python", action="append", default=[])
    arguments = parser.parse_args()
    ends = [arguments.only] if arguments.only else ["lowest", "newest"]
    results = {
        (python, end): run(python, end) for python in arguments.python or interpreters() for end in ends
    }
    for (python, end), passed in results.items():
        print(f"{'passed' if passed else 'FAILED':7} {python} {end}")
    return 0 if all(results.values()) and results else 1


if __name__ == "__main__":
    sys.exit(main())
