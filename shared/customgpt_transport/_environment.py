"""The environment variables, read here only: base URL, key, proxies and certificates."""

from __future__ import annotations

import ipaddress
import os
import sys
from urllib.parse import urlsplit, urlunsplit

from customgpt_transport.errors import ConfigurationError

API_KEY, PROJECT_ID, BASE_URL = "CUSTOMGPT_API_KEY", "CUSTOMGPT_PROJECT_ID", "CUSTOMGPT_BASE_URL"
VENDOR_URL = "https://app.customgpt.ai"
_API = "/api/v1"


def variable(name: str) -> str | None:
    """Return an environment variable, stripped of white space; None when unset or blank."""
    return (os.environ.get(name) or "").strip() or None


def api_url(given: str, *, allow_http: bool) -> str:
    """Return the base URL that paths are appended to: with `/api/v1`, without a slash at the end.

    Raises `ConfigurationError` when it is no absolute http(s) address, has credentials, a query or a
    fragment, or would send the key unencrypted to another machine.
    """
    text = given.strip()
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"base_url {text!r:.200} is not an address: {error}.") from None
    if parts.scheme in ("http", "https") and host:
        _check_host(host)
    else:
        raise ConfigurationError(
            f"base_url {text!r:.200} is not an absolute address. Give one such as {VENDOR_URL}."
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("base_url must not hold a user name or password. Give the key as api_key.")
    if parts.query or parts.fragment or any(ord(c) <= 32 or ord(c) == 127 or c == "\\" for c in text):
        raise ConfigurationError(f"base_url {text!r:.200} must not have a query, fragment or white space.")
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise ConfigurationError(
            f"base_url {text!r:.200} would send the API key unencrypted. Use https://, "
            "or say ClientOptions(allow_http=True) if that network is yours."
        )
    path = parts.path.rstrip("/")
    if not path.endswith(_API):
        path += _API
    address = f"[{host}]" if ":" in host else host
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        address += f":{port}"
    return urlunsplit((parts.scheme, address, path, "", ""))


def _check_host(host: str) -> None:
    """Raise `ConfigurationError` for a host that no resolver accepts; the HTTP libraries differ in theirs."""
    if host.isascii():
        labels = host.removesuffix(".").split(".")
        fits = all(0 < len(label) < 64 for label in labels)
        problem = "" if fits else "each part between dots has 1 to 63 characters"
    else:
        import idna  # comes with requests and yarl, which encode host names with it

        try:
            idna.encode(host, uts46=True)
        except UnicodeError as error:
            problem = str(error)
        else:
            problem = ""
    if problem:
        raise ConfigurationError(f"base_url has an unfit host name, {host!r:.200}: {problem}.")


def is_loopback(host: str) -> bool:
    """Return whether `host` can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def origin(url: str) -> str:
    """Return scheme, host and port of a URL, spelled the same for equal origins."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def is_http(url: str) -> bool:
    """Return whether `url` is an http(s) address at all."""
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False


def proxy_for(base_url: str) -> str | None:
    """Return the environment's proxy for `base_url`; None without one, or where `NO_PROXY` exempts it."""
    parts = urlsplit(base_url)
    found = _proxy(parts.scheme)
    if not found:
        return None
    from urllib.request import proxy_bypass  # imported late, because it loads ssl

    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return found if "://" in found else f"http://{found}"


def _proxy(scheme: str) -> str | None:
    """Return the proxy for a scheme, like `urllib.request.getproxies`, which walks the whole environment."""
    if sys.platform in ("darwin", "win32"):
        from urllib.request import getproxies

        proxies = getproxies()  # includes the system's settings
        return proxies.get(scheme) or proxies.get("all")
    for name in (f"{scheme}_proxy", "all_proxy"):
        if (found := os.environ.get(name)) is None and (
            name != "http_proxy" or "REQUEST_METHOD" not in os.environ
        ):
            found = os.environ.get(name.upper())  # not under CGI, where HTTP_PROXY is what a client sent
        if found:
            return found
    return None


def certificates() -> str | None:
    """Return the file or folder of CA certificates that the environment names, or None."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        if path := variable(name):
            return path
    return None
