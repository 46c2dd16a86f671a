"""What `customgpt-emulator` does; needs the extra `emulator`."""

from __future__ import annotations

import threading
from pathlib import Path

import click

from customgpt_emulator.emulator import Emulator

__all__ = ["command"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-d",
    "--documents",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of .md, .txt, .html, .pdf and .docx files that the agent answers from.",
)
@click.option("-p", "--port", default=8123, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("-H", "--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("-k", "--api-key", help="Key to accept; a fresh one unless given.")
@click.option("--seed", type=int, help="Same requests, same bytes: fixes ids, session ids and the clock.")
@click.option("--state", type=click.Path(path_type=Path, dir_okay=False), help="File that keeps everything.")
def command(
    documents: Path, port: int, host: str, api_key: str | None, seed: int | None, state: Path | None
) -> None:
    """Serve the CustomGPT API over a folder of documents, on this machine."""
    emulator = Emulator(documents, host=host, port=port, api_key=api_key, seed=seed, state=state)
    try:
        emulator.start()
    except OSError as error:
        raise click.ClickException(str(error)) from error
    for skipped in emulator.skipped:
        click.echo(f"skipped {skipped.path}: {skipped.reason}", err=True)
    click.echo(
        f"Agent {emulator.project_id} answers from {documents} at {emulator.base_url}\n\n"
        f"export CUSTOMGPT_BASE_URL={emulator.base_url}\n"
        f"export CUSTOMGPT_API_KEY='{emulator.api_key}'\n"
        f"export CUSTOMGPT_PROJECT_ID={emulator.project_id}\n\n"
        "Ctrl-C stops it."
    )
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("Stopped.")
    finally:
        emulator.close()
