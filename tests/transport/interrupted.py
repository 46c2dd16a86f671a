"""Prompts that a signal breaks off at any moment, again and again; prints what they left behind.

Run by `test_interrupts` in a process of its own: `python -m tests.transport.interrupted HITS SEED`.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import random
import signal
import socket
import sys
import threading
import time
import warnings

from customgpt_transport import Client, ClientOptions, CustomGPTError, RetryPolicy
from customgpt_transport._pacing import pacing
from customgpt_transport._sessions import sessions

EVENTS = b'data: {"status":"progress","message":"hi"}\n\ndata: {"status":"finish","id":1}\n\n'
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(EVENTS), EVENTS)
WHOLE = b'{"status":"success","data":{"id":1,"openai_response":"hi"}}'
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)


def serve(connection: socket.socket) -> None:
    """Answer every prompt on a connection at once."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, contextlib.suppress(OSError), connection.makefile("rb") as lines:
        while first := lines.readline():
            length = 0
            while (line := lines.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line[15:])
            lines.read(length)
            connection.sendall(STREAM if b"stream=true" in first else WHOLE)


def accept(listening: socket.socket) -> None:
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def main(hits: int, seed: int) -> None:
    rng = random.Random(seed)
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listening,), daemon=True).start()
    faulthandler.dump_traceback_later(60, exit=True)
    client = Client(
        options=ClientOptions(
            api_key="1|k",
            base_url=f"http://127.0.0.1:{listening.getsockname()[1]}",
            project_id=7,
            recovery_patience=0,
            session_wait=2,
            max_concurrent_prompts=1 if seed % 2 else None,
            retry=RetryPolicy(max_retries=0),
        )
    )

    def prompt(session: str, streamed: bool) -> None:
        if not streamed:
            client.ask("Why?", session_id=session)
            return
        with client.stream("Why?", session_id=session) as answer:
            for _ in answer:
                pass

    armed = False

    def interrupt(*_: object) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    def interrupted(session: str, streamed: bool) -> bool:
        nonlocal armed
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.00002, took * 1.2))
            prompt(session, streamed)
            armed = False
        except KeyboardInterrupt:
            return True
        return False

    left: list[str] = []
    warnings.simplefilter("always", ResourceWarning)
    warnings.showwarning = lambda message, *_, **__: left.append(str(message))
    signal.signal(signal.SIGALRM, interrupt)
    began = time.perf_counter()
    for number in range(20):
        prompt("before", bool(number % 2))
    took = (time.perf_counter() - began) / 20
    hit, asked, stuck = 0, 0, []
    while hit < hits:
        asked += 1
        session, streamed = f"s{asked}", bool(asked % 2)
        hit += interrupted(session, streamed)
        try:
            prompt(session, not streamed)
        except CustomGPTError as error:
            stuck.append(str(error))
    gc.collect()
    places = [
        *sessions._turns,
        *(slot for gate in pacing._gates.values() for slot in gate._flying + gate._waiting),
    ]
    print(json.dumps({"hit": hit, "asked": asked, "stuck": stuck, "places": len(places), "left open": left}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
