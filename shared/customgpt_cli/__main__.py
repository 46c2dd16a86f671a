"""The entry point of `customgpt`: a helpful sentence when its extra is missing."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

__all__ = ["main"]

INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from customgpt_cli.app import app
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "click":
            raise
        sys.exit('customgpt needs click: pip install "customgpt-adapters[cli]"')
    code = app.main(prog_name="customgpt")
    if code == INTERRUPTED:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)  # taking the interpreter apart takes longer than everything else after Ctrl-C
    sys.exit(code)


if __name__ == "__main__":
    main()
