"""The command `customgpt-demo`. It says what to install if an extra is missing."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the demo, or exit with 1 and a message that says what to install."""
    try:
        from customgpt_demo.cli import demo
    except ImportError as missing:
        if isinstance(missing, ModuleNotFoundError) and (missing.name or "").startswith("customgpt"):
            raise
        sys.exit(
            f"customgpt-demo needs more than is installed: pip install 'customgpt-adapters[all]' ({missing})"
        )
    demo(prog_name="customgpt-demo")


if __name__ == "__main__":
    main()
