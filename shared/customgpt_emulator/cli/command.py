"""The command itself: its options, its exit code, and how it is interrupted."""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import click

from customgpt_emulator.cli.options import SWITCHES, parse_fault_option, parse_switch
from customgpt_emulator.cli.screen import Screen
from customgpt_emulator.control import is_loopback
from customgpt_emulator.emulator import Emulator
from customgpt_emulator.faults.parse import order_fault
from customgpt_emulator.state.facts import read_facts
from customgpt_emulator.state.switches import Switches

__all__ = ["command"]

LONG_NAMES = {
    "rpm": "requests_per_minute",
    "concurrency": "concurrent_prompts",
    "ttft": "time_to_first_token",
    "tps": "tokens_per_second",
}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "-d",
    "--documents",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of .md, .txt, .html, .pdf and .docx files that the agent answers from.",
)
@click.option(
    "-p", "--port", type=click.IntRange(0, 65535), default=8123, help="Port to listen on; 0 picks a free one."
)
@click.option("-H", "--host", default="127.0.0.1", help="Address to listen on.")
@click.option("-k", "--api-key", help="API key to accept. Default: a new random one.")
@click.option(
    "--state", type=click.Path(path_type=Path, dir_okay=False), help="File that keeps all data between runs."
)
@click.option("--reset", is_flag=True, help="Delete all data in the state file first.")
@click.option("--seed", type=int, help="Fix ids and dates: the same requests get the same bytes.")
@click.option("--watch/--no-watch", default=True, help="Index documents again when they change.")
@click.option("--follow-links", is_flag=True, help="Follow links that lead out of the documents folder.")
@click.option(
    "--fault",
    "faults",
    type=parse_fault_option,
    metavar="VERB:ARGS",
    multiple=True,
    is_eager=True,  # `help` needs no documents
    help="A fault to play, such as cut_after:events=3,times=1. Can be repeated. `--fault help` lists all.",
)
@click.option("--rpm", type=int, help="Requests allowed per minute; more get 429. Default: no limit.")
@click.option("--credits", type=int, help="Prompts until the credits run out. Default: no limit.")
@click.option("--concurrency", type=int, help="Prompts answered at the same time. Default: no limit.")
@click.option("--ttft", type=float, default=0.0, help="Seconds before the first token of an answer.")
@click.option("--tps", type=float, help="Tokens of an answer per second. Default: no limit.")
@click.option("--jitter", type=float, default=0.0, help="How much the waits vary, from 0 to 1.")
@click.option(
    "--control/--no-control",
    default=None,
    help="Serve faults, journal and verdict over HTTP, under /_emulator/.  [default: on this machine only]",
)
@click.option(
    "--verdict", is_flag=True, help="At the end, report what clients did wrong; exit with 1 if any did."
)
@click.option(
    "--facts",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help='Behave as a real service was seen to: a JSON file, {"facts": {SWITCH: VALUE}}. '
    "--switch overrides it.",
)
@click.option(
    "--switch",
    "switches",
    type=parse_switch,
    metavar="NAME=VALUE",
    multiple=True,
    help=f"Choose a behaviour that the service may have. Can be repeated. Names: {', '.join(SWITCHES)}.",
)
def command(
    documents: Path,
    faults: Sequence[tuple[str, dict[str, Any]]],
    facts: Path | None,
    switches: Sequence[tuple[str, Any]],
    reset: bool,
    verdict: bool,
    **options: Any,
) -> None:
    """Serve the CustomGPT API over a folder of documents, on this machine."""
    screen = Screen()
    screen.follow_log()
    interrupt = _Interrupt()

    def progress(done: int, total: int) -> None:
        if interrupt.came and not screen.is_ready:
            raise _Interrupted  # ends the indexing, in the emulator's thread
        screen.indexing(done, total)

    try:
        settled = read_facts(facts) if facts else {}
        given = Switches(**settled | dict(switches))
        named = {LONG_NAMES.get(name, name): value for name, value in options.items()}
        emulator = Emulator(documents, switches=given, progress=progress, **named)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    host, port = options["host"], options["port"]
    if not is_loopback(host):
        screen.warn(
            f"Listening on {host}: anyone who reaches this machine and has the key can use the emulator."
        )
    with interrupt:
        try:
            emulator.start()
            if reset:
                emulator.reset()
            for verb, arguments in faults:
                order_fault(emulator.faults, verb, arguments)
            screen.ready(emulator, documents, watched=options["watch"])
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        except (OSError, ImportError) as error:
            raise click.ClickException(_sentence(error, host, port)) from error
        finally:
            screen.end_of_indexing()
            judged = emulator.verdict() if verdict else None
            emulator.close()
        screen.stopped(emulator)
    if judged is not None:
        screen.judged(judged)
        if judged.findings:
            raise SystemExit(1)


class _Interrupted(Exception):
    pass


class _Interrupt:
    """The first Ctrl-C or SIGTERM raises `KeyboardInterrupt` in the main thread, the second kills."""

    def __init__(self) -> None:
        self.came = False

    def __enter__(self) -> _Interrupt:
        self._before = {
            number: signal.signal(number, self._take) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if not self.came:
            self.came = True
            raise KeyboardInterrupt
        # Whatever the first one waits for may never end: a file on a dead network drive, say.
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _sentence(error: Exception, host: str, port: int) -> str:
    """Return what went wrong and what to do about it, for the person at the terminal."""
    if isinstance(error, OSError) and error.errno is not None:  # without a number the text is ours
        if error.errno == errno.EADDRINUSE:
            return f"Port {port} is in use. Choose another with --port, or let --port 0 pick a free one."
        if error.errno in (errno.EACCES, errno.EPERM) and port:
            return f"Port {port} needs special rights. Choose one above 1023 with --port."
        return f"Cannot listen on {host}: {error.strerror or error}."
    if isinstance(error, OSError) and "could not bind" in str(error):  # Python 3.13 on: without a number
        return f"Cannot listen on {host}: {error}."
    return str(error)
