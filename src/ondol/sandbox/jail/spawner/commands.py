"""The fixed commands that the spawner takes, and what it answers.

```
create  name runtime account bound awaited [image] ──▶ answer with the descriptors of `slot.Listener.prepared`
start   name code layers ...    ──▶ answer                        freeze   name
stop    name grace_s extensions_s ──▶ answer                      thaw     name
throttle name share             reach    name ──▶ answer with 1 descriptor
unpack  digest bytes entries (+ 1 descriptor)  ──▶ answer
discard digest                  ──▶ answer
unpack_image digest             ──▶ answer                        discard_image digest ──▶ answer

events: sandbox ended out_of_memory; sandbox extensions (+ 1 descriptor); sandbox listed of status; sandbox peak
```

A command that wants an answer carries a number, which the answer repeats; `problem` in it says why it failed. The
platform process may have been taken over by what a stranger sent, so names are looked at before they become paths.
"""

from __future__ import annotations

import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from ondol.sandbox.jail import channel
from ondol.sandbox.jail.spawner import ARCHIVE_REFUSED, SHARED
from ondol.sandbox.jail.spawner.slot import Means, Slot
from ondol.sandbox.jail.spawner.zygotes import SLOW, Zygote, Zygotes

AT_ONCE = 8
"""Slots prepared at one time: more would only make each later, and a start behind them."""

GONE = "gone"
REFUSED = "refused"

_NAME_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_")
_NAME_LENGTH = 128


class Refused(Exception):
    """A command that is not one of ours."""


class Commands:
    """Performs what the platform process asks; one per spawner."""

    def __init__(
        self, platform: socket.socket, means: Means, zygotes: Zygotes, code: str, unpacker: int | None
    ) -> None:
        self._platform = platform
        self._means = means
        self._zygotes = zygotes
        self._code = code
        self._unpacker = unpacker
        self._slots: dict[str, Slot] = {}
        self._preparing: dict[str, int] = {}
        self._stopping: dict[str, list[int | None]] = {}
        self._queue: deque[dict[str, Any]] = deque()
        self._do: dict[str, Callable[[dict[str, Any], list[int]], None]] = {
            "create": self._create,
            "start": self._start,
            "stop": self._stop,
            "throttle": lambda command, _: self._slot(command, lambda slot: slot.throttle(float(command["share"]))),
            "freeze": lambda command, _: self._slot(command, Slot.freeze),
            "thaw": lambda command, _: self._slot(command, Slot.thaw),
            "reach": self._reach,
            "unpack": self._unpack,
            "discard": self._discard,
            "unpack_image": self._unpack_image,
            "discard_image": self._discard_image,
        }

    def take(self) -> None:
        """Take one command from the socket. Raises `SystemExit` when the platform process is gone."""
        received = channel.receive(self._platform)
        if received is None:
            sys.exit(0)
        command, descriptors = received
        try:
            self._do[command["do"]](command, descriptors)
        except (KeyError, ValueError, TypeError, Refused) as error:
            self._answer(command.get("number"), f"not a command: {error!r}")
        except OSError as error:
            self._answer(command.get("number"), str(error))
        finally:
            channel.close_all(descriptors)

    def prepared(self, slot: Slot, descriptors: tuple[int, ...]) -> None:
        self._answer(self._preparing.pop(slot.name), "", descriptors)
        self._create_next()

    def failed(self, slot: Slot, problem: str) -> None:
        self._answer(self._preparing.pop(slot.name), f"the sandbox could not be made: {problem}")
        self._create_next()

    def ended(self, slot: Slot, status: int, out_of_memory: bool) -> None:
        channel.send(self._platform, {"sandbox": slot.name, "ended": status, "out_of_memory": out_of_memory})

    def extensions(self, slot: Slot, names: list[str], gate: int) -> None:
        channel.send(self._platform, {"sandbox": slot.name, "extensions": names}, (gate,))

    def listed_ended(self, slot: Slot, place: int, of: int, status: int) -> None:
        channel.send(self._platform, {"sandbox": slot.name, "listed": place, "of": of, "status": status})

    def gone(self, slot: Slot) -> None:
        self._slots.pop(slot.name, None)
        for number in self._stopping.pop(slot.name, ()):
            self._answer(number, "")
        if slot.name in self._preparing:
            self._answer(self._preparing.pop(slot.name), GONE)
            self._create_next()

    def _create(self, command: dict[str, Any], _: list[int]) -> None:
        if _name(command["name"]) in self._slots:
            raise Refused(f"there is a sandbox {command['name']} already")
        self._queue.append(command)
        self._create_next()

    def _create_next(self) -> None:
        while self._queue and len(self._preparing) < AT_ONCE:
            command = self._queue.popleft()
            name = command["name"]
            self._preparing[name] = command["number"]
            slot = self._slots[name] = Slot(
                name, self._means, self, _bound(command["bound"]), awaited=bool(command["awaited"])
            )
            runtime = command["runtime"]
            if "image" in command:
                runtime = self._zygotes.add_image(_name(command["image"]))
            self._zygotes.want(runtime, command["account"], self._preparer(slot))

    def _preparer(self, slot: Slot) -> Callable[[Zygote | None, str], None]:
        def prepare(zygote: Zygote | None, problem: str) -> None:
            if slot.name not in self._slots:
                return
            if zygote is None:
                slot.fail(problem)
            else:
                slot.prepare(zygote)

        return prepare

    def _start(self, command: dict[str, Any], _: list[int]) -> None:
        for digest in (command["code"], *command["layers"]):
            if digest is not None:
                _name(digest)
        number = command["number"]
        slot = self._slots.get(command["name"])
        if slot is None:
            self._answer(number, GONE)
        else:
            slot.start(command, lambda problem: self._answer(number, problem))

    def _stop(self, command: dict[str, Any], _: list[int]) -> None:
        number = command.get("number")
        slot = self._slots.get(command["name"])
        if slot is not None:
            self._stopping.setdefault(slot.name, []).append(number)
            slot.stop(float(command["grace_s"]), float(command["extensions_s"]))
            return
        for waiting in [waiting for waiting in self._queue if waiting["name"] == command["name"]]:
            self._queue.remove(waiting)
            self._answer(waiting["number"], GONE)
        self._answer(number, "")

    def _slot(self, command: dict[str, Any], act: Callable[[Slot], None]) -> None:
        slot = self._slots.get(command["name"])
        if slot is not None:
            act(slot)

    def _reach(self, command: dict[str, Any], _: list[int]) -> None:
        slot = self._slots.get(command["name"])
        if slot is None or not slot.lives:
            self._answer(command["number"], GONE)
            return
        with slot.socket_inside() as made:
            self._answer(command["number"], "", (made.fileno(),))

    def _unpack(self, command: dict[str, Any], descriptors: list[int]) -> None:
        limits = [str(int(command["bytes"])), str(int(command["entries"]))]
        order = ["unpack", f"{self._code}/{_name(command['digest'])}", *limits, str(self._unpacker or SHARED)]
        (archive,) = descriptors
        self._run_slow(order, command["number"], archive)

    def _discard(self, command: dict[str, Any], _: list[int]) -> None:
        self._run_slow(["discard", f"{self._code}/{_name(command['digest'])}"], command["number"], None)

    def _unpack_image(self, command: dict[str, Any], _: list[int]) -> None:
        number = command["number"]
        self._zygotes.build(
            self._zygotes.add_image(_name(command["digest"])),
            lambda problem, refused: self._answer(number, problem, refused=refused),
        )

    def _discard_image(self, command: dict[str, Any], _: list[int]) -> None:
        self._run_slow(["discard", self._zygotes.forget_image(_name(command["digest"]))], command["number"], None)

    def _run_slow(self, order: list[str], number: int, passed: int | None) -> None:
        def ended(status: int, errors: str) -> None:
            code = os.waitstatus_to_exitcode(status)
            problem = "" if code == 0 else errors or f"{order[0]} ended with {code}"
            self._answer(number, problem, refused=code == ARCHIVE_REFUSED)

        self._means.events.run_program([sys.executable, "-I", SLOW, *order], ended, passed)

    def _answer(
        self, number: int | None, problem: str, descriptors: tuple[int, ...] = (), *, refused: bool = False
    ) -> None:
        if number is None:
            return
        answer: dict[str, Any] = {"answer": number}
        if problem:
            answer["problem"] = problem
        if refused:
            answer[REFUSED] = True
        channel.send(self._platform, answer, descriptors)


def _bound(what: dict[str, Any]) -> dict[str, Any]:
    """What a sandbox is to bind: see `ondol.sandbox.jail.relay.Bound`."""
    ports = [int(port) for port in what["ports"]]
    return {"ports": ports, "resolver": bool(what["resolver"]), "refusals": bool(what["refusals"])}


def _name(text: Any) -> str:
    """The name, if it may be part of a path. Raises `Refused`."""
    if isinstance(text, str) and 0 < len(text) <= _NAME_LENGTH and _NAME_CHARACTERS.issuperset(text):
        return text
    raise Refused(f"not a name: {text!r}")
