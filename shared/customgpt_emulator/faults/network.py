"""Faults of the network: a port that refuses, connections that are reset before use."""

from __future__ import annotations

from types import TracebackType

from customgpt_emulator.faults.fault import Fault, Order, checked
from customgpt_emulator.faults.orders import CONNECT, Orders
from customgpt_emulator.serving.listener import Listener

__all__ = ["NetworkVerbs", "Refusal"]


class Refusal:
    """A port that refuses, until `end` or the end of a `with` block."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def end(self) -> None:
        """Open the port again. Calling it twice is harmless."""
        self._listener.accept()

    def __enter__(self) -> Refusal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class NetworkVerbs(Orders):
    """Connections that fail before any request."""

    _listener: Listener | None = None

    def attach(self, listener: Listener | None) -> None:
        """Set the open port, or None when the emulator has closed it for good."""
        self._listener = listener

    def refuse(self, seconds: float | None = None) -> Refusal:
        """Refuse connections for some seconds, or until `clear` or the `end` of the returned `Refusal`.

        The port is closed when this returns, and keeps its number. Idle connections are closed at once, busy
        ones after their answer. Refused connections are not counted: the operating system refuses them.

        ```python
        with emulator.faults.refuse():
            ...
        ```

        Raises `RuntimeError` if the emulator is not running.
        """
        checked("refuse", seconds=seconds)
        if self._listener is None:
            raise RuntimeError("refuse: the emulator is not running.")
        self._listener.refuse(seconds)
        return Refusal(self._listener)

    def reset_on_connect(self, times: int | None = 1) -> Order:
        """Reset connections (RST) right after they are accepted, before anything is read."""
        return self._place("reset_on_connect", Fault, {"times": times, "on": CONNECT})

    def takes_connection(self) -> bool:
        """Return whether a new connection is to be reset."""
        return self.take(CONNECT, streamed=False) is not None

    def clear(self) -> None:
        """Cancel every order, end its silences and open the port."""
        super().clear()
        if self._listener is not None:
            self._listener.accept()
