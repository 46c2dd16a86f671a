"""Waiting until the service has read what it was given."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from customgpt_transport.errors import CustomGPTError, RequestTimeout
from customgpt_transport.models import Page

__all__ = ["every_option", "timeout_option", "wait_until_read"]

timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait at most.",
)
every_option = click.option(
    "--every",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)


def wait_until_read(
    look: Callable[[], list[Page]],
    advance: Callable[[float, float | None], None],
    *,
    timeout: float,
    every: float,
) -> list[Page]:
    """Look at the pages until the service is done with each of them, and return them.

    There is at least one page then, and there are not more than at the look before. Raises `RequestTimeout`
    (clock "ready") after `timeout` seconds, and `CustomGPTError` when none could be read.
    """
    deadline, before = time.monotonic() + timeout, -1
    while True:
        pages = look()
        done = [page for page in pages if page.index_status not in (None, "queued")]
        advance(len(done), len(pages) or None)
        if pages and len(done) == len(pages) == before:
            break
        before = len(pages)
        if time.monotonic() + every > deadline:
            raise RequestTimeout(
                f"After {timeout:g} s {len(done)} of {len(pages)} pages have been read. The service "
                "goes on without this command; `customgpt pages list` shows how far it is.",
                clock="ready",
            )
        time.sleep(every)
    if not any(page.index_status == "ok" for page in pages):
        raise CustomGPTError(
            "No page could be read: "
            + ", ".join(f"{page.filename or page.url or page.id} ({page.index_status})" for page in pages[:5])
        )
    return pages
