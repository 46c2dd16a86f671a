"""The version of this adapter, which is that of the whole distribution."""

from __future__ import annotations

from customgpt_transport import __version__

__all__ = ["__version__"]
