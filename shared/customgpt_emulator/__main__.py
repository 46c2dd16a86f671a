"""The command line: `customgpt-emulator --documents DIR`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the emulator until it is interrupted."""
    try:
        from customgpt_emulator.cli import command
    except ImportError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(f'customgpt-emulator needs {error.name}: pip install "customgpt-adapters[emulator]"')
    command()


if __name__ == "__main__":
    main()
