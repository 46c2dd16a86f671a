"""An agent that has one of everything, for tests that ask for things by their ids."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import requests

from customgpt_emulator import Emulator
from tests.conftest import DOCUMENTS


class Things:
    """An agent with a file, a sitemap, a conversation and an answer; `ids` are named as in the paths."""

    def __init__(self, emulator: Emulator) -> None:
        self.http = requests.Session()
        self.http.trust_env = False  # no proxies: this is loopback
        self.http.headers["Authorization"] = f"Bearer {emulator.api_key}"
        self.root = emulator.base_url
        with (DOCUMENTS / "refunds.md").open("rb") as file:
            agent = self._made("/projects", data={"project_name": "Things"}, files={"file": file})
        self.project = f"/projects/{agent['id']}"
        conversation = self._made(f"{self.project}/conversations", json={"name": "a"})
        self.messages = f"{self.project}/conversations/{conversation['session_id']}/messages"
        message = self._made(self.messages, json={"prompt": "How do refunds work?"})
        source = self._made(
            f"{self.project}/sources", json={"sitemap_path": "https://shop.example/sitemap.xml"}
        )
        self.ids: dict[str, Any] = {
            "project_id": agent["id"],
            "session_id": conversation["session_id"],
            "prompt_id": message["id"],
            "citation_id": message["citations"][0],
            "page_id": message["citations"][0],
            "source_id": source["id"],
        }

    def __enter__(self) -> Things:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """One request to a path from the root."""
        return self.http.request(method, self.root + path, timeout=20, **options)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """One request below the agent, or from `/projects`; `{...}` are filled from the ids."""
        below = "" if path.startswith("/projects") else "/projects/{project_id}"
        return self.ask(method, ("/api/v1" + below + path).format(**self.ids), **options)

    def only_a_sitemap(self) -> None:
        """Go over to another agent, which has the pages of a sitemap and nothing else."""
        made = self._made(
            "/projects", json={"project_name": "a", "sitemap_path": "https://shop.example/sitemap.xml"}
        )
        self.ids["project_id"] = made["id"]
        page = self.call("GET", "/pages").json()["data"]["pages"]["data"][0]["id"]
        self.ids |= {"page_id": page, "citation_id": page}

    def _made(self, path: str, **options: Any) -> Any:
        answer = self.ask("POST", "/api/v1" + path, **options)
        assert answer.ok, answer.text
        return answer.json()["data"]
