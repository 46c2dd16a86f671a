"""The blocking and the asynchronous client are twins: what one promises, the other does.

Each pair has the same public names, parameters, defaults and docstrings but for the words of colour; and
methods that close do the same steps in the same order.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from types import FunctionType

import pytest

from customgpt_transport._async import client as async_client
from customgpt_transport._async import http as async_http
from customgpt_transport._async import performing as async_performing
from customgpt_transport._async import reader as async_reader
from customgpt_transport._async import stream as async_stream
from customgpt_transport._sync import client, http, performing, reader, stream

PAIRS = {
    "client": (client.Client, async_client.AsyncClient),
    "stream": (stream.MessageStream, async_stream.AsyncMessageStream),
    "reader": (reader.Reader, async_reader.Reader),
    "http": (http.Connections, async_http.Connections),
    "performing": (performing, async_performing),
}
COLOUR = {
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "AsyncClient": "Client",
    "AsyncMessageStream": "MessageStream",
    "AsyncIterator": "Iterator",
    "StopAsyncIteration": "StopIteration",
    "session_factory": "session",
    "async with": "with",
    "this loop's": "the",
}
OWN_WORDS = {
    ("http", "close"),  # aiohttp's session serves one loop, and waits for requests under way
    ("http", "__init__"),  # what a caller may bring: a session, or a factory of sessions for each loop
    ("reader", "__init__"),  # aiohttp's body tells its session when it has ended
    ("client", "__init__"),  # as for http
}


def plain(text: str) -> str:
    """Return text without the words of colour."""
    for word, other in COLOUR.items():
        text = re.sub(rf"(?<![\w]){word}(?![\w])", other, text)
    return text


def public(of: object) -> dict[str, object]:
    """Return the public names that a class or module defines itself, and its special methods."""
    shown = {}
    for name, value in vars(of).items():
        defined = not inspect.ismodule(of) or getattr(value, "__module__", "") == of.__name__
        special = name.startswith("__") and isinstance(value, FunctionType)
        if defined and (special or not name.startswith("_")):
            shown[COLOUR.get(name, name)] = value
    return shown


METHODS = [
    (pair, name)
    for pair, (one, _) in PAIRS.items()
    for name, value in public(one).items()
    if isinstance(inspect.unwrap(value), FunctionType)  # type: ignore[arg-type]
]


@pytest.mark.parametrize("pair", PAIRS)
def test_both_have_the_same_names(pair: str) -> None:
    one, other = map(public, PAIRS[pair])
    own = {"SessionFactory"}
    assert one.keys() - own == other.keys() - own
    assert one


@pytest.mark.parametrize(("pair", "name"), METHODS)
def test_both_take_the_same_and_say_the_same(pair: str, name: str) -> None:
    one, other = (public(each)[name] for each in PAIRS[pair])
    if (pair, name) in OWN_WORDS:
        return
    signatures = [inspect.signature(each) for each in (one, other)]  # type: ignore[arg-type]
    shown = [[(p.name, p.kind, p.default) for p in each.parameters.values()] for each in signatures]
    assert shown[0] == shown[1]
    assert inspect.getdoc(one) == plain(inspect.getdoc(other) or "") or name.startswith("__")


@pytest.mark.parametrize(
    ("pair", "name"), [("stream", "close"), ("stream", "__exit__"), ("client", "__exit__")]
)
def test_both_close_in_the_same_order(pair: str, name: str) -> None:
    assert steps(public(PAIRS[pair][0])[name]) == steps(public(PAIRS[pair][1])[name])


def test_a_prompt_is_asked_in_the_same_steps() -> None:
    for pair, name in (("client", "ask"), ("client", "stream"), ("client", "run"), ("performing", "drive")):
        one, other = (steps(public(each)[name]) for each in PAIRS[pair])
        assert one.replace("blocking=True", "blocking=False") == other


def steps(function: object) -> str:
    """Return the source of a function without its docstring, `await` and the words of colour."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))  # type: ignore[arg-type]
    body = tree.body[0].body  # type: ignore[attr-defined]
    kept = body[1:] if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) else body
    text = "\n".join(map(ast.unparse, kept))
    return plain(re.sub(r"\bawait ", "", text))
