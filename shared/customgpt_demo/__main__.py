"""The command `customgpt-demo`: nothing but a helpful sentence when an extra is missing."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the demo's command line; exits with 1 and a sentence when it cannot."""
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
