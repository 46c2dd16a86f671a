"""Ctrl-C between any two steps leaves no lock held for ever."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from customgpt_transport import _guard, _pacing, _sessions
from customgpt_transport._pacing import Gate
from customgpt_transport._sessions import Sessions

LOCKING = {module.__file__ for module in (_guard, _pacing, _sessions)}


def interrupted_at(step: int, work: Callable[[], object]) -> bool:
    """Run `work`, with a KeyboardInterrupt at its step number `step` in our code; False if it had fewer.

    Python lets signals in where a function begins and after each call that a line makes.
    """
    left = step

    def look(frame: FrameType, event: str, _: Any) -> None:
        nonlocal left
        if event in ("call", "c_return") and frame.f_code.co_filename in LOCKING:
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(before)
    return False


def test_an_interrupt_anywhere_in_a_turn_leaves_the_registry_free():
    for step in count(1):
        registry = Sessions()

        def turn(registry: Sessions = registry) -> None:
            place = registry.join(("https://x", "s"), blocking=True)
            registry.note(place.key, 1)
            registry.leave(place)

        hit = interrupted_at(step, turn)
        assert not registry._guard.lock.locked(), f"held for ever after an interrupt at step {step}"
        if not hit:
            break
    assert step > 10  # else nothing was interrupted


def test_an_interrupt_anywhere_in_taking_a_slot_leaves_the_gate_free():
    for step in count(1):
        gate = Gate()

        def prompt(gate: Gate = gate) -> None:
            gate.opening(0.0)
            gate.release(gate.take(1))

        hit = interrupted_at(step, prompt)
        assert not gate._guard.lock.locked(), f"held for ever after an interrupt at step {step}"
        if not hit:
            break
    assert step > 10


def test_what_an_interrupt_kept_from_being_given_back_is_given_back_later():
    registry = Sessions()
    place = registry.join(("https://x", "s"), blocking=True)
    with registry._guard.lock:
        del place  # on the thread that holds the lock
    with pytest.raises(KeyboardInterrupt), registry._guard:
        raise KeyboardInterrupt
    assert not registry._turns


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that sends signals")
@pytest.mark.parametrize("seed", [1, 2], ids=["one slot", "no bound"])
def test_signals_at_any_moment_of_a_prompt_leave_no_conversation_stuck_and_nothing_locked(seed):
    ran = subprocess.run(
        [sys.executable, "-m", "tests.transport.interrupted", "250", str(seed)],
        capture_output=True, text=True, timeout=90, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert 0 == ran.returncode, ran.stderr[-2000:]
    found = json.loads(ran.stdout)
    assert (250, [], 0) == (found["hit"], found["stuck"], found["places"])
