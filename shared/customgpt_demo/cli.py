"""The demo: choose a destination, stream through LangChain, list sources through LlamaIndex."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from customgpt_emulator import Emulator
from customgpt_transport import ClientOptions, ConfigurationError, CustomGPTError
from langchain_customgpt import ChatCustomGPT
from llama_index_customgpt import CustomGPTQueryEngine

HANDBOOK = Path(__file__).with_name("documents")
QUESTION = "How do refunds work, and what if I paid with a gift card?"


@dataclass(frozen=True)
class Destination:
    """Where the question goes, and a text that says which it is: the real service or an emulator."""

    base_url: str
    api_key: str = field(repr=False)
    project_id: int
    introduction: str


@contextmanager
def destination(documents: Path | None) -> Iterator[Destination]:
    """Yield the real service if a key is set and no documents are named, else an emulator on a free port.

    Raises `ConfigurationError` if a key is set but no agent.
    """
    if documents is None and os.environ.get("CUSTOMGPT_API_KEY"):
        options = ClientOptions().resolve()
        if options.project_id is None:
            raise ConfigurationError(
                "CUSTOMGPT_API_KEY is set but CUSTOMGPT_PROJECT_ID is not. Set it to your agent's id, "
                "or pass --documents to use the emulator."
            )
        yield Destination(
            options.base_url or "",
            options.api_key or "",
            options.project_id,
            f"Talking to the real service at {options.base_url}, agent {options.project_id}. "
            "Two prompts will be billed: one through LangChain, one through LlamaIndex.",
        )
        return
    subject = f"the files in {documents}" if documents else "the handbook of a made-up coffee roaster"
    with Emulator(documents=documents or HANDBOOK, tokens_per_second=60) as emulator:
        yield Destination(
            emulator.base_url,
            emulator.api_key,
            emulator.project_id,
            f"Talking to the embedded emulator at {emulator.base_url}, about {subject}. "
            "No key, no cost: its answers are sentences of those documents.",
        )


def stream_with_langchain(question: str, at: Destination, console: Console) -> None:
    """Print the answer of a LangChain chat model as it arrives."""
    model = ChatCustomGPT(project_id=at.project_id, api_key=at.api_key, base_url=at.base_url)
    for chunk in model.stream(question):
        console.print(chunk.text, end="", markup=False, highlight=False, soft_wrap=True)
    console.print("\n")


def sources_with_llama_index(question: str, at: Destination) -> Table:
    """Return the source nodes of a LlamaIndex query engine as a table."""
    engine = CustomGPTQueryEngine(project_id=at.project_id, api_key=at.api_key, base_url=at.base_url)
    response = engine.query(question)
    table = Table("citation", "title", "address", title=f"{len(response.source_nodes)} source nodes")
    for source in response.source_nodes:
        metadata = source.node.metadata
        table.add_row(str(metadata["citation_id"]), metadata.get("title", ""), metadata.get("url", ""))
    return table


@click.command()
@click.argument("question", default=QUESTION)
@click.option(
    "--documents",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Ask the emulator about the files in this folder, even if a key is set.",
)
def demo(question: str, documents: Path | None) -> None:
    """Ask QUESTION through a LangChain chat model and through a LlamaIndex query engine.

    With CUSTOMGPT_API_KEY and CUSTOMGPT_PROJECT_ID set it asks your agent (two prompts are billed);
    without them it starts the embedded emulator over the handbook of a made-up coffee roaster.
    """
    console = Console()
    try:
        with destination(documents) as chosen:
            console.print(chosen.introduction, style="dim", highlight=False, markup=False)
            console.print(f"\n[bold]LangChain[/bold] · ChatCustomGPT.stream\n> {question}\n", highlight=False)
            stream_with_langchain(question, chosen, console)
            console.print("[bold]LlamaIndex[/bold] · CustomGPTQueryEngine.query", highlight=False)
            console.print(sources_with_llama_index(question, chosen))
    except CustomGPTError as error:
        raise click.ClickException(str(error)) from None
