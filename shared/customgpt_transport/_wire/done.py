"""The answers that only say that something was done: `{"deleted": true}`, `{"updated": true}`."""

from __future__ import annotations

from collections.abc import Mapping

from customgpt_transport._wire.http import Response
from customgpt_transport._wire.problems import read_data
from customgpt_transport._wire.values import boolean
from customgpt_transport.errors import ProtocolError


def parse_done(response: Response) -> None:
    """Return if it was done; raise `APIError` for a refusal, `ProtocolError` for a success denying it."""
    data = read_data(response)
    if isinstance(data, Mapping):
        for word in ("deleted", "updated"):
            if boolean(data.get(word)) is False:
                raise ProtocolError(
                    f"The service answered {response.status}, yet says that nothing was {word}.",
                    excerpt=response.text,
                )
