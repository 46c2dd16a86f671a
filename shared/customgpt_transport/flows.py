"""Several calls of the API as one flow, written once for `Client` and `AsyncClient`.

    def replace(api: ApiFlows, page_id: int, file: FileInput) -> Flow[Source]:
        source = yield from api.sources.add(file=file)
        yield from api.pages.delete(page_id)
        return source

    client.run(replace(ApiFlows(client.options), 17, "refunds.md"))
    await async_client.run(replace(ApiFlows(async_client.options), 17, "refunds.md"))

The calls of `ApiFlows` take the same arguments as a client's and return flows, for `yield from`; its lists
are `Pages`. `yield Sleep(seconds)` waits, and `yield Disk(look)` calls `look` off the event loop.
"""

from __future__ import annotations

from customgpt_transport._api.resources import ApiFlows
from customgpt_transport._flows import Disk, Flow, Sleep
from customgpt_transport._flows.paging import Pages

__all__ = ["ApiFlows", "Flow", "Pages", "Sleep", "Disk"]
