"""The HTML of the page. Everything that is filled in is escaped, unless it is `Html` already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from customgpt_emulator.journal.entries import Entry

__all__ = [
    "DocumentRow",
    "Html",
    "ShownMessage",
    "View",
    "asset",
    "document",
    "index",
    "journal_rows",
    "refusal",
    "sources",
]


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def fill(template: str, **values: object) -> Html:
    """Return the template with the values, which are escaped unless they are `Html`."""
    return Html(template.format_map({name: _safe(value) for name, value in values.items()}))


def joined(parts: Iterable[Html]) -> Html:
    """Return the parts as one."""
    return Html("".join(parts))


@cache
def asset(name: str) -> Html:
    """Return a file of the page, its style, script or template, as it is."""
    return Html(Path(__file__).with_name(name).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class DocumentRow:
    """A document in the list."""

    id: int
    title: str
    key: str
    state: str
    size: int
    words: int


@dataclass(frozen=True)
class ShownMessage:
    """A prompt, its answer, and its sources as citations."""

    prompt: str
    answer: str
    citations: Sequence[Mapping[str, Any]] = ()


@dataclass
class View:
    """Everything that the page shows."""

    base_url: str
    agent_id: int = 0
    agents: list[tuple[int, str, int]] = field(default_factory=list)
    """(id, name, number of documents)."""
    documents: list[DocumentRow] = field(default_factory=list)
    documents_total: int = 0
    part: int = 1
    parts: int = 1
    session_id: str = ""
    messages: list[ShownMessage] = field(default_factory=list)
    journal: list[Entry] = field(default_factory=list)
    dropped: int = 0
    problem: str = ""
    prompt: str = ""
    """The text in the input field."""


def index(view: View) -> Html:
    """Return the whole page."""
    agent = next((name for number, name, _ in view.agents if number == view.agent_id), "")
    return _page(
        agent or "CustomGPT emulator",
        fill(
            asset("page.html"),
            agent=agent or "No agent",
            agent_id=view.agent_id or "",
            base_url=view.base_url,
            agents=joined(_agent(view, *row) for row in view.agents),
            turns=joined(map(_message, view.messages)),
            blank_turn=_message(ShownMessage("", "")),
            session_id=view.session_id,
            prompt=view.prompt,
            problem=_problem(view.problem),
            documents=joined(map(_document, view.documents)),
            documents_total=view.documents_total,
            paging=_paging(view),
            journal=journal_rows(view.journal),
            dropped=f"{view.dropped} older ones were dropped." if view.dropped else "",
        ),
    )


def document(title: str, key: str, url: str | None, passages: Sequence[tuple[str, str]]) -> Html:
    """Return the page about one document, whose passages are (heading, text)."""
    parts = [
        fill(
            '<section class="passage"><h2>{heading}</h2><div class="text">{text}</div></section>',
            heading=h,
            text=t,
        )
        for h, t in passages
    ]
    return _page(
        title,
        fill(
            '<main class="narrow"><p><a href="/">Back to the emulator</a></p><h1>{title}</h1>'
            '<p class="quiet">{key} · {count} passages{address}</p>{parts}</main>',
            title=title,
            key=key,
            count=len(passages),
            address=fill(" · {link}", link=_link(url, url)) if url else "",
            parts=joined(parts),
        ),
    )


def refusal(reason: str) -> Html:
    """Return what is shown instead of the page."""
    return _page(
        "CustomGPT emulator",
        fill('<main class="narrow"><h1>CustomGPT emulator</h1><p>{reason}</p></main>', reason=reason),
    )


def sources(citations: Sequence[Mapping[str, Any]]) -> Html:
    """Return the sources of one answer."""
    if not citations:
        return Html("")
    return fill("<h4>Sources</h4><ol>{items}</ol>", items=joined(map(_source, citations)))


def journal_rows(entries: Iterable[Entry]) -> Html:
    """Return the rows of the journal's table."""
    rows = joined(map(_entry, entries))
    return rows or Html('<tr><td colspan="6" class="quiet">No request yet.</td></tr>')


def _page(title: str, body: Html) -> Html:
    return fill(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,"><style>{style}</style></head>'
        "<body>{body}<script>{script}</script></body></html>",
        title=title,
        body=body,
        style=asset("page.css"),
        script=asset("page.js"),
    )


def _safe(value: object) -> Html:
    return value if isinstance(value, Html) else Html(escape(str(value)))


def _problem(text: str) -> Html:
    return fill('<p class="problem" role="alert">{text}</p>', text=text) if text else Html("")


def _agent(view: View, number: int, name: str, documents: int) -> Html:
    return fill(
        '<li><a href="/?agent={number}"{current}>'
        "<span>{name}</span> <small>{number} · {documents}</small></a></li>",
        number=number,
        current=Html(' aria-current="page"' if number == view.agent_id else ""),
        name=name,
        documents=f"{documents} document{'s' if documents != 1 else ''}",
    )


def _message(message: ShownMessage) -> Html:
    return fill(
        '<article class="turn"><h3 class="prompt">{prompt}</h3><div class="answer">{answer}</div>'
        '<div class="sources">{sources}</div></article>',
        prompt=message.prompt,
        answer=message.answer,
        sources=sources(message.citations),
    )


def _source(citation: Mapping[str, Any]) -> Html:
    title = citation["title"] or citation["url"] or f"Page {citation['id']}"
    return fill(
        "<li>{title} <small>{description}</small></li>",
        title=_link(citation["url"], title),
        description=citation["description"] or "",
    )


def _link(url: str | None, text: object) -> Html:
    """Return a link, but only if it is harmless: a document may name any URL as its own."""
    if url and (url.startswith(("http://", "https://")) or url.startswith("/page/")):
        return fill('<a href="{url}" rel="noreferrer">{text}</a>', url=url, text=text)
    return fill("<span>{text}</span>", text=text)


def _document(row: DocumentRow) -> Html:
    return fill(
        '<tr><td><a href="/page/documents/{id}">{title}</a><small>{key}</small></td>'
        '<td><span class="state" data-state="{kind}">{state}</span></td><td class="number">{words}</td></tr>',
        id=row.id,
        title=row.title or row.key,
        key=row.key,
        kind=row.state.partition(":")[0],
        state=row.state,
        words=f"{row.words:,}",
    )


def _paging(view: View) -> Html:
    if view.parts < 2:
        return Html("")

    def link(part: int, text: str) -> Html:
        if not 1 <= part <= view.parts:
            return fill("<span>{text}</span>", text=text)
        query = urlencode({"agent": view.agent_id, "page": part, "session": view.session_id})
        return fill('<a href="/?{query}#documents">{text}</a>', query=query, text=text)

    return fill(
        '<nav class="paging" aria-label="Documents">{back}<span>{part} of {parts}</span>{on}</nav>',
        back=link(view.part - 1, "Back"),
        part=view.part,
        parts=view.parts,
        on=link(view.part + 1, "Next"),
    )


def _entry(entry: Entry) -> Html:
    moment = datetime.fromtimestamp(entry.time, timezone.utc)
    notes = [
        entry.prompt or "",
        f"{entry.events_sent} events" if entry.events_sent else "",
        f"fault: {entry.fault}" if entry.fault else "",
        "client left" if entry.disconnected else "",
    ]
    query = f"?{urlencode(entry.query)}" if entry.query else ""
    return fill(
        '<tr><td class="number">{number}</td><td><time>{time}</time></td><td>{method}</td>'
        '<td class="path">{path}</td><td><span class="status" data-kind="{kind}">{status}</span></td>'
        '<td class="notes">{notes}</td></tr>',
        number=entry.number,
        time=f"{moment:%H:%M:%S}",
        method=entry.method,
        path=entry.path.removeprefix("/api/v1") + query,
        kind=str(entry.status or "")[:1],
        status=entry.status or "…",
        notes=" · ".join(filter(None, notes)),
    )
