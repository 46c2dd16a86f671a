"""Write the cassettes under `cassettes/vendor` from the vendor's published answers: `python -m tests.contract.transcribe`.

Nothing here was recorded. Each answer is a captured or documented body from `samples/`, byte for byte, put
behind the request that it answers; `cassettes/README.md` says so of each file.
"""  # noqa: E501 - the command stays on one line

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from vcr.serializers import yamlserializer

from tests.cassettes import LIBRARY, VENDOR

SAMPLES = Path(__file__).with_name("samples")
SESSION = "99722e7b-9f6d-4f29-8fcf-aae2566e89e8"  # of the documentation's stream
PROJECT = 1
_CONVERSATION = f"projects/{PROJECT}/conversations/{SESSION}"
_ERRORS = json.loads((SAMPLES / "errors.docs-examples.json").read_text())


@dataclass(frozen=True)
class Transcript:
    """One request, and the published body that answers it."""

    cassette: str
    method: str
    path: str
    sent: Any
    status: int
    body: str
    headers: str = "messages.send.200.repeated-prompt.headers.json"

    def interaction(self) -> dict[str, Any]:
        """Return the exchange as vcrpy writes it."""
        published = json.loads((SAMPLES / self.headers).read_text())
        # The body stands here whole and not compressed, so the framing headers of the capture are left out.
        framing = {"transfer-encoding", "connection", "content-encoding", "server", "date"}
        return {
            "request": {
                "method": self.method,
                "uri": f"{VENDOR}/api/v1/{self.path}",
                "body": None if self.sent is None else json.dumps(self.sent, separators=(",", ":")),
                "headers": {} if self.sent is None else {"Content-Type": ["application/json"]},
            },
            "response": {
                "status": {"code": self.status, "message": HTTPStatus(self.status).phrase},
                "headers": {n: [v] for n, v in published.items() if n.lower() not in framing},
                "body": {"string": self.body},
            },
        }


def sample(name: str) -> str:
    """Return a published body as it is."""
    return (SAMPLES / name).read_text()


def stream(name: str) -> str:
    """Return a published stream; where only the data was published, the data-only stream that it shows."""
    text = sample(name)
    if name.endswith(".sse"):
        return text
    return "".join(f"data: {line}\n\n" for line in text.splitlines())


def send(cassette: str, name: str, prompt: str) -> Transcript:
    """A prompt answered in one piece."""
    return Transcript(cassette, "POST", f"{_CONVERSATION}/messages", {"prompt": prompt}, 200, sample(name))


def streamed(cassette: str, name: str, prompt: str) -> Transcript:
    """A prompt answered by a stream."""
    path = f"{_CONVERSATION}/messages?stream=true"
    headers = "stream.headers.json"
    return Transcript(cassette, "POST", path, {"prompt": prompt}, 200, stream(name), headers)


def refused(cassette: str, method: str, path: str, sent: Any, error: str) -> Transcript:
    """A request that the API turns away, in the words of its documentation."""
    body = _ERRORS[error]
    return Transcript(cassette, method, path, sent, body["data"]["code"], json.dumps(body))


HELLO = {"prompt": "Hello!"}
TRANSCRIPTS = [
    Transcript(
        "create", "POST", "projects/529/conversations", {"name": "Example ChatBot using Sitemap"}, 201,
        sample("conversations.create.201.json"), "projects.create.201.headers.json",
    ),
    send("send-2024", "messages.send.200.docs-2024.json", "Hello!"),
    send("send-integer-citations", "messages.send.200.int-citations.json", "Who is Tom"),
    send("send-string-citations", "messages.send.200.string-citations.json", "Who is Tom"),
    send("send-null-metadata", "messages.send.200.metadata-nulls.json", "Who is vanka"),
    streamed("stream-2024", "stream.docs-2024.sse", "Hello!"),
    streamed("stream-2023-data-only", "stream.fresh.1.sse-data.jsonl", "Who is Professor Mois ture"),
    streamed("stream-2023-repeated", "stream.repeated-prompt.sse-data.jsonl", "Who is Tom Brady"),
    Transcript(
        "list", "GET", f"{_CONVERSATION}/messages?page=1&order=desc", None, 200,
        sample("messages.list.200.json"),
    ),
    Transcript(
        "list-odd-dates", "GET", f"{_CONVERSATION}/messages?page=1&order=desc", None, 200,
        sample("messages.list.200.odd-dates.json"),
    ),
    Transcript("citation-web", "GET", f"projects/{PROJECT}/citations/12050", None, 200,
               sample("citations.get.200.web.json")),
    Transcript("citation-file", "GET", f"projects/{PROJECT}/citations/16334", None, 200,
               sample("citations.get.200.file.json")),
    refused("error-400", "POST", f"{_CONVERSATION}/messages", HELLO, "400"),
    refused("error-401", "POST", f"{_CONVERSATION}/messages", HELLO, "401"),
    Transcript("error-403", "DELETE", _CONVERSATION, None, 403, sample("projects.delete.unauthorized.json")),
    refused("error-404-agent", "POST", f"{_CONVERSATION}/messages", HELLO, "404.agent"),
    refused("error-404-message", "GET", f"{_CONVERSATION}/messages/1", None, "404.message"),
    refused("error-404-page", "GET", f"projects/{PROJECT}/citations/1", None, "404.page"),
    refused("error-429-credits", "POST", f"{_CONVERSATION}/messages", HELLO, "429.credits"),
    refused("error-500", "POST", f"{_CONVERSATION}/messages", HELLO, "500"),
    refused("error-501", "POST", f"{_CONVERSATION}/messages", HELLO, "501"),
]  # fmt: skip


def main() -> None:
    """Write every cassette anew."""
    (LIBRARY / "vendor").mkdir(parents=True, exist_ok=True)
    for transcript in TRANSCRIPTS:
        cassette = {"interactions": [transcript.interaction()], "version": 1}
        (LIBRARY / "vendor" / f"{transcript.cassette}.yaml").write_text(yamlserializer.serialize(cassette))


if __name__ == "__main__":
    main()
