"""What the command remembers between two runs, in the user's state folder."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

__all__ = ["LastConversations", "state_folder", "write_private"]


def state_folder() -> Path:
    """Return where this user's programs keep their state. Makes nothing."""
    if given := os.environ.get("XDG_STATE_HOME"):
        return Path(given) / "customgpt"
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/customgpt").expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "customgpt"
    return Path("~/.local/state/customgpt").expanduser()


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:  # made with 0600
        file.write(text)
    os.replace(file.name, path)


@dataclass(frozen=True)
class LastConversations:
    """The last conversation with each agent of one service. Without a folder to write to it forgets."""

    path: Path
    service: str

    def of(self, project_id: int) -> str | None:
        """Return the session id of the last conversation with an agent, or None."""
        return self._read().get(f"{self.service} {project_id}")

    def keep(self, project_id: int, session_id: str) -> None:
        """Remember the conversation as the agent's last."""
        known = self._read() | {f"{self.service} {project_id}": session_id}
        with suppress(OSError):
            write_private(self.path, json.dumps(known, indent=1) + "\n")

    def _read(self) -> dict[str, str]:
        try:
            known = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}
