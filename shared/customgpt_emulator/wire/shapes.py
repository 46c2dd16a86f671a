"""The bodies of resources: dates, pages of a list, and one pure function per resource."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol
from urllib.parse import urlencode

from customgpt_emulator.state.switches import Switches

__all__ = ["Row", "Shapes", "dump", "paginated"]


class Row(Protocol):
    """A row of a table: values by column."""

    def __getitem__(self, column: str, /) -> Any: ...


USER_ID = 35
TEAM_ID = 12


_ASCII = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))  # made once, used for each token
_UTF8 = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def dump(data: Any, *, ascii_only: bool = True) -> bytes:
    """Return JSON as PHP writes it: no spaces, slashes escaped, and by default in ASCII."""
    text = (_ASCII if ascii_only else _UTF8).encode(data)
    return text.replace("/", "\\/").encode("utf-8", "replace")


def paginated(
    rows: Sequence[Any], total: int, *, page: int, per_page: int, path: str, query: Mapping[str, str]
) -> dict[str, Any]:
    """Return one page of a list, with the thirteen keys of the vendor's paginator (captured)."""
    last = max(1, -(-total // per_page))
    rest = {name: value for name, value in query.items() if name != "page"}

    def url(number: int) -> str:
        return f"{path}?{urlencode({'page': number, **rest})}"

    first = (page - 1) * per_page + 1 if rows else None
    return {
        "current_page": page,
        "data": list(rows),
        "first_page_url": url(1),
        "from": first,
        "last_page": last,
        "last_page_url": url(last),
        "next_page_url": url(page + 1) if page < last else None,
        "path": path,
        "per_page": per_page,
        "prev_page_url": url(page - 1) if page > 1 else None,
        "to": first + len(rows) - 1 if first is not None else None,
        "total": total,
    }


@dataclass(frozen=True)
class Shapes:
    """The bodies of resources for one request, whose origin is part of their URLs."""

    origin: str
    switches: Switches
    now: float
    """The real time."""

    def date(self, seconds: float) -> str:
        """Return `2024-05-23T03:12:49.000000Z`, the form of almost every date."""
        return _utc(seconds).strftime("%Y-%m-%dT%H:%M:%S.000000Z")

    def updated(self, seconds: float) -> str:
        """Return `updated_at` of agents and pages, which had no zone in the captures of 2023."""
        return _utc(seconds).strftime("%Y-%m-%d %H:%M:%S") if self.switches.old_dates else self.date(seconds)

    def message_date(self, seconds: float) -> str:
        """Return the date of a message: in June 2023 `25 Jun 2023 05:01:11`, 12 hours without AM or PM."""
        if not self.switches.old_dates:
            return self.date(seconds)
        moment = _utc(seconds)
        return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.strftime('%Y %I:%M:%S')}"

    def preview(self, page_id: int) -> str:
        """Return the URL of a stored file, which is also the page URL of a file (captured)."""
        return f"{self.origin}/api/v1/preview/{page_id}"

    def agent(self, row: Row, *, active: bool | None) -> dict[str, Any]:
        """Return an agent. The share fields appear only if it is shared (captured 2023)."""
        body: dict[str, Any] = {
            "id": row["id"],
            "project_name": row["name"],
            "sitemap_path": None,  # in every capture, even when one was given
            "user_id": USER_ID,
            "team_id": TEAM_ID,
            "is_chat_active": active,
            "created_at": self.date(row["created_at"]),
            "updated_at": self.updated(row["updated_at"]),
            "is_shared": bool(row["is_shared"]),
            "deleted_at": None,
            "type": row["type"],
            "are_licenses_allowed": bool(row["are_licenses_allowed"]),
        }
        if row["is_shared"]:
            number, slug = row["id"], row["slug"]
            body |= {
                "shareable_slug": slug,
                "shareable_link": f"{self.origin}/projects/{number}/ask-me-anything?shareable_slug={slug}",
                "embed_code": "<div id='customgpt_chat'></div><script div_id='customgpt_chat' "
                f"p_id='{number}' p_key='{slug}' src='https://cdn.customgpt.ai/js/embed.js'></script>",
                "live_chat_code": "<script src='https://cdn.customgpt.ai/js/chat.js'></script><script>"
                f"window.onload = function () {{ CustomGPT.init({{ p_id: '{number}', p_key: '{slug}' }}); }};"
                "</script>",
            }
        return body

    def conversation(self, row: Row) -> dict[str, Any]:
        """Return a conversation, whose `project_id` and `created_by` are numbers (captured), not texts."""
        return {
            "id": row["id"],
            "created_at": self.date(row["created_at"]),
            "updated_at": self.date(row["updated_at"]),
            "session_id": row["session_id"],
            "project_id": row["project_id"],
            "created_by": USER_ID,
            "name": row["name"],
            "deleted_at": None,
        }

    def citations(self, page_ids: Sequence[int]) -> list[int] | list[str] | None:
        """Return the ids of an answer's pages; None if there are none (captured 2024)."""
        kind = self.switches.citation_type
        if not page_ids or kind == "null":
            return None
        return list(page_ids) if kind == "int" else [f"{number}.0" for number in page_ids]

    def message(self, row: Row) -> dict[str, Any]:
        """Return a prompt with its answer. `conversation_id` is null, as in the newest capture (2025)."""
        feedback = None
        if row["feedback_at"] is not None:
            feedback = {
                "created_at": self.date(row["feedback_at"]),
                "updated_at": self.date(row["feedback_updated_at"]),
                "user_id": USER_ID,
                "reaction": row["reaction"],
            }
        return {
            "id": row["id"],
            "created_at": self.message_date(row["created_at"]),
            "updated_at": self.message_date(row["updated_at"]),
            "user_id": USER_ID,
            "user_query": row["prompt"],
            "openai_response": row["answer"],
            "conversation_id": None,
            "citations": self.citations(json.loads(row["citations"])),
            "metadata": {
                "user_ip": row["user_ip"],
                "user_agent": row["user_agent"],
                "external_id": row["external_id"] if self.switches.external_id_echo else None,
                "request_source": row["request_source"],
            },
            "response_feedback": feedback,
        }

    def finish(self, row: Row, session_id: str) -> dict[str, Any]:
        """Return the data of a stream's last event (captured)."""
        return {
            "status": "finish",
            "id": row["id"],
            "created_at": self.message_date(row["created_at"]),
            "session_id": session_id,
            "citations": self.citations(json.loads(row["citations"])),
        }

    def citation(self, page: Row, metadata: Row) -> dict[str, Any]:
        """Return the five documented keys. The `url` of a file that names none is its preview."""
        return {
            "id": page["id"],
            "url": metadata["url"] or page["url"] or self.preview(page["id"]),
            "title": metadata["title"],
            "description": metadata["description"],
            "image": metadata["image"],
        }

    def page(self, row: Row) -> dict[str, Any]:
        """Return a page of an agent. A file has four more keys, and its preview for `page_url`."""
        url = row["url"] if not row["is_file"] else self.preview(row["id"])
        crawl, index = self.page_state(row)
        body: dict[str, Any] = {
            "id": row["id"],
            "page_url": url,
            "page_url_hash": hashlib.md5(url.encode(), usedforsecurity=False).hexdigest(),
            "project_id": row["project_id"],
            "created_at": self.date(row["created_at"]),
            "updated_at": self.updated(row["updated_at"]),
            "crawl_status": crawl,
            "index_status": index,
            "is_file": bool(row["is_file"]),
            "is_refreshable": not row["is_file"],
            "deleted_at": None,
        }
        if row["is_file"]:
            body |= {
                "is_file_kept": bool(row["is_file_kept"]),
                "filename": row["filename"],
                "filesize": row["filesize"],
                "s3_path": f"projects/{row['project_id']}/{row['digest'][:40]}{_suffix(row['filename'])}",
            }
        return body

    def page_state(self, row: Row) -> tuple[str, str]:
        """Return (crawl_status, index_status). A page counts as crawled half-way to being indexed."""
        if row["failure"]:
            return "ok", "failed"
        half = row["ready_at"] - self.switches.readiness_delay / 2
        return "ok" if self.now >= half else "queued", "ok" if self.now >= row["ready_at"] else "queued"

    def source(self, row: Row, pages: Sequence[Row] | None, *, fresh: bool = False) -> dict[str, Any]:
        """Return a source. New pages have null states (captured)."""
        uploads: Any = {} if self.switches.upload_settings == "object" else []
        body: dict[str, Any] = {
            "id": row["id"],
            "created_at": self.date(row["created_at"]),
            "updated_at": self.date(row["updated_at"]),
            "type": row["type"],
            "settings": json.loads(row["settings"]) if row["type"] == "sitemap" else uploads,
        }
        if pages is not None:
            body["pages"] = [self.page(page) for page in pages]
            if fresh:
                for page in body["pages"]:
                    page |= {"crawl_status": None, "index_status": None}
        return body

    def metadata(self, row: Row) -> dict[str, Any]:
        """Return how a page is shown: the five documented keys, `id` being the page's."""
        return {
            "id": row["page_id"],
            "url": row["url"],
            "title": row["title"],
            "description": row["description"],
            "image": row["image"],
        }

    def each(self, rows: Sequence[Row], shape: Callable[[Row], dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the bodies of all rows."""
        return [shape(row) for row in rows]


_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), timezone.utc)


def _suffix(filename: str) -> str:
    _, dot, suffix = filename.rpartition(".")
    return dot + suffix
