"""The entry point of `customgpt`: a helpful sentence when its extra is missing."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from customgpt_cli.app import app
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "click":
            raise
        sys.exit('customgpt needs click: pip install "customgpt-adapters[cli]"')
    sys.exit(app.main(prog_name="customgpt"))


if __name__ == "__main__":
    main()
