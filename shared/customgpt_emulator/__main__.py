"""`customgpt-emulator`, or `python -m customgpt_emulator`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the emulator until it is interrupted."""
    try:
        from customgpt_emulator.cli.command import command
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("click", "rich"):
            raise
        sys.exit(f'customgpt-emulator needs {missing}: pip install "customgpt-adapters[emulator]"')
    command()


if __name__ == "__main__":
    main()
