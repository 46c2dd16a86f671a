"""The version of the distribution, for `__version__` and the User-Agent."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("customgpt-adapters")
except PackageNotFoundError:  # the source folder on sys.path, not installed
    __version__ = "0+unknown"
