"""Sitemaps without the web: pages invented from a URL. Pure functions."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from customgpt_emulator.knowledge.documents import Document
from customgpt_emulator.knowledge.library import NewPage

__all__ = ["CHOICES", "SETTINGS", "invented_pages", "is_address", "is_sitemap", "with_scheme"]

NAMES = ("", "about", "pricing", "faq", "contact")
# The settings of a new sitemap source: captured 2023; the newer documented ones with their defaults.
SETTINGS = {
    "data_refresh": False,
    "executive_js": True,
    "data_refresh_frequency": "never",
    "create_new_pages": True,
    "remove_unexist_pages": False,
    "refresh_existing_pages": "never",
    "refresh_schedule": [],
}
CHOICES = {
    "data_refresh_frequency": ("never", "daily", "weekly", "monthly", "advanced"),
    "refresh_existing_pages": ("never", "always", "if_updated"),
}


def is_address(text: str) -> bool:
    """Return whether a text is an HTTP URL with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def with_scheme(text: str) -> str:
    """Return an address without a scheme as https: `sitemap.com` is in the vendor's guide."""
    host = text.partition("/")[0]
    bare = "://" not in text and "." in host.strip(".") and not any(map(str.isspace, text))
    return f"https://{text}" if bare and is_address(f"https://{text}") else text


def is_sitemap(address: str) -> bool:
    """Return whether a URL names a sitemap, not a single page."""
    path = urlsplit(address).path.lower()
    return path.endswith(".xml") or "sitemap" in path


def invented_pages(address: str) -> list[NewPage]:
    """Return five pages for a sitemap, one for another URL. Nothing is fetched, and each page says so."""
    if not is_sitemap(address):
        return [_page(address)]
    parts = urlsplit(address)
    return [_page(f"{parts.scheme}://{parts.netloc}/{name}") for name in NAMES]


_SUFFIX = re.compile(r"\.\w{2,5}$")
_BETWEEN_WORDS = re.compile(r"[\W_]+")


def _page(address: str) -> NewPage:
    parts = urlsplit(address)
    slug = _SUFFIX.sub("", parts.path.rstrip("/").rpartition("/")[2])
    words = _BETWEEN_WORDS.sub(" ", slug).strip()
    title = f"{words.capitalize()} - {parts.hostname}" if words else f"{parts.hostname}"
    text = (
        f"This page stands in for {address}: the emulator does not fetch pages, so nothing more is known "
        f"about {words or 'the home page'} of {parts.hostname}."
    )
    return NewPage(address, Document(title, text, description=text, url=address), url=address)
