"""Install the built wheel with one extra at a time, and ask a question with nothing else installed.

    python tests/extras.py

Needs the network of the package installation, so it is not a test of the suite; `.ci/run` calls it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

ASK = """
from importlib.util import find_spec
from customgpt_emulator import Emulator
assert find_spec({other!r}) is None, "the other framework came along"
assert find_spec("shared") is None
from {adapter} import {name}
with Emulator(documents={documents!r}) as emulator:
    made = {name}(project_id=emulator.project_id, api_key=emulator.api_key, base_url=emulator.base_url)
    answer = {call}
assert "five working days" in answer, answer
print({adapter!r}, "answers without", {other!r})
"""
CASES = {
    "langchain": ("langchain_customgpt", "ChatCustomGPT", "llama_index", "made.invoke({question!r}).content"),
    "llama-index": (
        "llama_index_customgpt",
        "CustomGPTQueryEngine",
        "langchain_core",
        "str(made.query({question!r}))",
    ),
}
QUESTION = "When are refunds paid?"


def main() -> None:
    """Build, install, ask; stops at the first failure."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", out, ROOT], check=True)
        (wheel,) = out.glob("*.whl")
        for extra, (adapter, name, other, call) in CASES.items():
            venv = out / extra
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
            inside = venv / "bin" / "python"
            subprocess.run([inside, "-m", "pip", "install", "--quiet", f"{wheel}[{extra}]"], check=True)
            program = ASK.format(
                adapter=adapter,
                name=name,
                other=other,
                documents=str(ROOT / "tests" / "documents"),
                call=call.format(question=QUESTION),
            )
            subprocess.run([inside, "-I", "-c", program], check=True, cwd=out)


if __name__ == "__main__":
    main()
