"""What `customgpt-emulator` does; needs the extra `emulator`."""

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
@click.option("-p", "--port", type=click.IntRange(0, 65535), default=8123, help="Port; 0 takes a free one.")
@click.option("-H", "--host", default="127.0.0.1", help="Address to listen on.")
@click.option("-k", "--api-key", help="Key to accept; a fresh one unless given.")
@click.option("--state", type=click.Path(path_type=Path, dir_okay=False), help="File that keeps everything.")
@click.option("--reset", is_flag=True, help="Forget what the state file holds, and begin again.")
@click.option("--seed", type=int, help="Same requests, same bytes: fixes ids, session ids and dates.")
@click.option("--watch/--no-watch", default=True, help="Index documents anew when they change.")
@click.option(
    "--fault",
    "faults",
    type=parse_fault_option,
    metavar="VERB:ARGS",
    multiple=True,
    is_eager=True,  # `help` needs no documents
    help="Misbehave, as in cut_after:events=3,times=1; may be repeated. `--fault help` names all verbs.",
)
@click.option("--rpm", type=int, help="Requests a minute; more are refused with 429. No limit unless given.")
@click.option("--credits", type=int, help="Queries until the credits are used up. No limit unless given.")
@click.option("--concurrency", type=int, help="Prompts answered at once. No limit unless given.")
@click.option("--ttft", type=float, default=0.0, help="Seconds to the first piece of an answer.")
@click.option("--tps", type=float, help="Pieces of an answer per second; as fast as possible unless given.")
@click.option("--jitter", type=float, default=0.0, help="From 0 to 1: by what share waits vary.")
@click.option(
    "--control/--no-control",
    default=None,
    help="Faults, journal and verdict over HTTP, under /_emulator/.  [default: on this machine only]",
)
@click.option(
    "--verdict", is_flag=True, help="At the end, say what clients did wrong; exit with 1 if any did."
)
@click.option(
    "--facts",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Behave as a service was seen to behave: a file of `customgpt calibrate --save`. "
    "--switch wins over it.",
)
@click.option(
    "--switch",
    "switches",
    type=parse_switch,
    metavar="NAME=VALUE",
    multiple=True,
    help=f"Behaviour where the service is unknown; may be repeated. Names: {', '.join(SWITCHES)}.",
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
            f"Listening on {host}: whoever reaches this machine and has the key can use the emulator."
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
    """The first Ctrl-C or SIGTERM raises `KeyboardInterrupt` in the main thread; the second one kills."""

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
    """What went wrong and what to do, for whoever typed the command."""
    if isinstance(error, OSError) and error.errno is not None:  # without a number the sentence is ours
        if error.errno == errno.EADDRINUSE:
            return f"Port {port} is taken: name another one with --port, or take a free one with --port 0."
        if error.errno in (errno.EACCES, errno.EPERM) and port:
            return f"Port {port} is not for everyone: name one above 1023 with --port."
        return f"Cannot listen on {host}: {error.strerror or error}."
    if isinstance(error, OSError) and "could not bind" in str(error):  # Python 3.13 on: without a number
        return f"Cannot listen on {host}: {error}."
    return str(error)
