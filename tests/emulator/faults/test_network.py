"""Trouble before any request: a port that refuses, connections that are reset."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import requests

from customgpt_emulator import Emulator
from tests.emulator.conftest import Raw


def connect(server: Emulator) -> None:
    host, port = server.base_url.removeprefix("http://").split(":")
    socket.create_connection((host, int(port)), timeout=5).close()


class TestARefusingPort:
    def test_refuses_until_the_block_ends(self, server: Emulator):
        connect(server)
        with server.faults.refuse():
            for _ in range(3):
                with pytest.raises(ConnectionRefusedError):
                    connect(server)
        connect(server)

    def test_refuses_until_it_is_cleared(self, raw: Raw):
        raw.emulator.faults.refuse()
        with pytest.raises(requests.ConnectionError):
            raw.call("GET", "/projects")
        raw.emulator.faults.clear()
        assert raw.call("GET", "/projects").status_code == 200

    def test_refuses_until_a_reset(self, raw: Raw):
        raw.emulator.faults.refuse()
        raw.emulator.reset()
        assert raw.call("GET", "/projects").status_code == 200

    def test_refuses_for_some_seconds(self, server: Emulator):
        server.faults.refuse(seconds=0.05)
        with pytest.raises(ConnectionRefusedError):
            connect(server)
        while True:  # until it accepts again; the test's time limit ends this otherwise
            try:
                connect(server)
                break
            except ConnectionRefusedError:
                continue

    def test_keeps_its_number_from_others(self, server: Emulator):
        with server.faults.refuse(), socket.socket() as other:
            host, port = server.base_url.removeprefix("http://").split(":")
            with pytest.raises(OSError, match="in use"):
                other.bind((host, int(port)))

    def test_refuses_those_with_an_idle_connection_too(self, raw: Raw):
        raw.call("GET", "/projects")
        assert raw.emulator.open_connections == 1
        with raw.emulator.faults.refuse(), pytest.raises(requests.ConnectionError):
            raw.call("GET", "/projects")
        assert raw.call("GET", "/projects").status_code == 200

    def test_lets_an_answer_end_that_has_begun(self, raw: Raw):
        order = raw.emulator.faults.stall(after_events=1)
        answer = raw.send("Aurora", params={"stream": 1}, stream=True)
        with raw.emulator.faults.refuse(), answer:
            order.release()
            assert b"event: finish" in answer.content
        raw.emulator.journal.wait_for(lambda entry: entry.complete and entry.prompt is not None)

    def test_twice_is_once(self, server: Emulator):
        refusal = server.faults.refuse()
        server.faults.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(server)
        refusal.end()
        refusal.end()
        connect(server)

    def test_does_not_keep_the_emulator_from_closing(self, handbook: Any):
        with Emulator(documents=handbook) as emulator:
            emulator.faults.refuse(seconds=30)
        with pytest.raises(RuntimeError, match="not running"):
            emulator.faults.refuse()

    def test_on_all_addresses_of_a_name(self, handbook: Any):
        with Emulator(documents=handbook, host="localhost") as emulator:
            port = int(emulator.base_url.rpartition(":")[2])
            with emulator.faults.refuse(), pytest.raises(ConnectionRefusedError):
                socket.create_connection(("localhost", port))
            socket.create_connection(("localhost", port)).close()


class TestAConnectionThatIsReset:
    def test_before_anything_is_read(self, server: Emulator):
        order = server.faults.reset_on_connect(times=2)
        headers = {"Authorization": f"Bearer {server.api_key}"}
        url = f"{server.base_url}/api/v1/projects"
        for _ in range(2):
            with pytest.raises(requests.ConnectionError):
                requests.get(url, headers=headers, timeout=20)
        assert requests.get(url, headers=headers, timeout=20).status_code == 200
        assert order.played == 2
        assert len(server.journal) == 1
