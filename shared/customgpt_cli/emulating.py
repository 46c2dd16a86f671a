"""`--emulate DIR`: an emulator of this process that remembers what earlier commands did."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from customgpt_cli.output import note
from customgpt_cli.state import LastConversations, state_folder, write_private
from customgpt_emulator import Emulator
from customgpt_transport import ClientOptions
from customgpt_transport.errors import ConfigurationError

__all__ = ["emulated"]

PATIENCE = 10.0
"""Seconds to wait for another command that uses the same emulator, the one before in a pipe for example."""


@contextmanager
def emulated(documents: Path) -> Iterator[tuple[ClientOptions, LastConversations]]:
    """Provide an emulator over a folder, with the conversations and the key that it had the last time.

    Raises `ConfigurationError` when there is no such folder, or another command keeps the emulator.
    """
    home = _home(documents)
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        emulator = _started(documents, home)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigurationError(str(error)) from None
    try:
        if emulator.skipped:
            count = len(emulator.skipped)
            note(
                f"{count} file{'s' if count > 1 else ''} in {documents} could not be read: "
                f"`customgpt emulator -d {documents}` says why.",
                dim=True,
            )
        options = ClientOptions(
            api_key=emulator.api_key,
            base_url=emulator.base_url,
            project_id=emulator.project_id,
            proxy="",
            adapter="customgpt-cli",
        )
        yield options, LastConversations(home / "conversations.json", "emulator")
    finally:
        emulator.close()


def _home(documents: Path) -> Path:
    """Return where what belongs to this folder is kept: a name for people, a hash for its address."""
    folder = documents.expanduser().resolve()
    return state_folder() / "emulated" / f"{folder.name}-{hashlib.sha256(bytes(folder)).hexdigest()[:12]}"


def _key(home: Path) -> str:
    path = home / "api-key"
    try:
        if key := path.read_text(encoding="ascii").strip():
            return key
    except (OSError, UnicodeDecodeError):
        pass
    key = f"{secrets.randbelow(9000) + 1000}|{secrets.token_urlsafe(30)}"
    write_private(path, key + "\n")
    return key


def _started(documents: Path, home: Path) -> Emulator:
    """Start it, as soon as no other command has its state open."""
    deadline, told = time.monotonic() + PATIENCE, False
    while True:
        try:
            return Emulator(documents.expanduser(), state=home / "emulator.db", api_key=_key(home)).start()
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            if "another emulator uses it" not in str(error):
                raise
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"Another command is using the emulator over {documents}. End that one first, or run "
                f"`customgpt emulator -d {documents}` and set the variables that it prints: "
                "any number of commands can use that."
            )
        if not told:
            note("Waiting for another command that uses this emulator.", dim=True)
            told = True
        time.sleep(0.1)
