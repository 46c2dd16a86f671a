"""One method for two clients: `@call` and `@walk` turn a method that returns a flow into one that runs it.

On a `Client` the method runs the flow and returns its result; on an `AsyncClient` it is a coroutine function;
inside another flow it returns the flow, for `yield from`. The client's colour decides, for the interpreter
and for type checkers alike.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import update_wrapper
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeAlias, TypeVar, overload

from customgpt_transport._flows import Flow
from customgpt_transport._flows.paging import Pages
from customgpt_transport._flows.prompts import project_of
from customgpt_transport.options import ClientOptions

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """The colour of a `Client`."""


class Awaited:
    """The colour of an `AsyncClient`."""


class AsFlow:
    """The colour inside a flow."""


Colour = TypeVar("Colour", Blocking, Awaited, AsFlow)


class Runner(Generic[Colour]):
    """Runs flows for its resources, in its own colour."""

    options: ClientOptions
    _colour: type[Colour]

    def run(self, flow: Flow[Any]) -> Any:
        """Run a flow to its result."""
        raise NotImplementedError

    def walk(self, pages: Pages[Any]) -> Any:
        """Iterate over the rows of a list."""
        raise NotImplementedError


class Resource(Generic[Colour]):
    """A part of the API. `project_id` defaults to the client's own agent."""

    def __init__(self, client: Runner[Colour]) -> None:
        self._client: Runner[Colour] = client

    @property
    def _options(self) -> ClientOptions:
        options: ClientOptions = self._client.options
        return options

    def _agent(self, project_id: int | None) -> int:
        return project_of(project_id, self._client.options)


Owner: TypeAlias = Resource[Colour] | Runner[Colour]


class _Method(Generic[P, T]):
    """A method in three colours, each made once; reading it binds the one of its owner."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.__doc__ = method.__doc__
        self._colours: dict[type, Callable[..., Any]] = {AsFlow: method}

    def _add(self, colour: type, method: Callable[..., Any], returns: Any) -> None:
        """Add a colour, with the signature and the docstring of the method as it was written."""
        written = self._colours[AsFlow]
        update_wrapper(method, written)
        method.__annotations__ = {**written.__annotations__, "return": returns}
        method.__signature__ = inspect.signature(written).replace(return_annotation=returns)  # type: ignore[attr-defined]  # functions may have one
        self._colours[colour] = method

    def _bind(self, owner: Any) -> Any:
        if owner is None:  # read from the class, by `help` for one
            return self._colours[Blocking]
        return MethodType(self._colours[_runner(owner)._colour], owner)


class call(_Method[P, T]):
    """A call of the API: the method returns its flow."""

    def __init__(self, method: Callable[Concatenate[Any, P], Flow[T]]) -> None:
        super().__init__(method)

        def blocking(owner: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
            return _runner(owner).run(method(owner, *args, **kwargs))

        async def awaited(owner: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
            return await _runner(owner).run(method(owner, *args, **kwargs))

        result = _argument(method)
        self._add(Blocking, blocking, result)
        self._add(Awaited, awaited, result)

    @overload
    def __get__(self, owner: None, kind: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, owner: Owner[Blocking], kind: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, owner: Owner[Awaited], kind: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, owner: Owner[AsFlow], kind: type) -> Callable[P, Flow[T]]: ...
    def __get__(self, owner: Any, kind: type) -> Any:
        return self._bind(owner)


class walk(_Method[P, T]):
    """A list of the API: the method returns its pages, and the clients iterate over their rows."""

    def __init__(self, method: Callable[Concatenate[Any, P], Pages[T]]) -> None:
        super().__init__(method)

        def blocking(owner: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
            return _runner(owner).walk(method(owner, *args, **kwargs))

        def awaited(owner: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
            return _runner(owner).walk(method(owner, *args, **kwargs))

        row: Any = _argument(method)
        self._add(Blocking, blocking, Iterator[row])
        self._add(Awaited, awaited, AsyncIterator[row])

    @overload
    def __get__(self, owner: None, kind: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, owner: Owner[Blocking], kind: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, owner: Owner[Awaited], kind: type) -> Callable[P, AsyncIterator[T]]: ...
    @overload
    def __get__(self, owner: Owner[AsFlow], kind: type) -> Callable[P, Pages[T]]: ...
    def __get__(self, owner: Any, kind: type) -> Any:
        return self._bind(owner)


def _runner(owner: Any) -> Runner[Any]:
    return owner if isinstance(owner, Runner) else owner._client


def _argument(method: Callable[..., Any]) -> str:
    """Return the X of a method annotated to return `Flow[X]` or `Pages[X]`."""
    annotation: str = method.__annotations__["return"]
    return annotation[annotation.index("[") + 1 : -1]
