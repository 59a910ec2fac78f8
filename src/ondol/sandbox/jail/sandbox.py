"""One jail on the platform's side: its connections, its output, its measures, and who hears of it."""

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
import termios
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from ondol.model.ids import SandboxId
from ondol.model.runtime import Launch, Program, Runtime
from ondol.sandbox.driver import Exit, Guest, StartSpec, Stats
from ondol.sandbox.errors import SandboxError, SandboxGone
from ondol.sandbox.jail import channel
from ondol.sandbox.jail.gauge import Gauge
from ondol.sandbox.jail.link import Link, SpawnerGone
from ondol.sandbox.jail.pipe_pair import Ends, PipePair, connect

MAX_CONNECTIONS = 64
"""Of one sandbox to its Runtime API at one time; one more is closed at once."""

LAST_WORDS_S = 0.1
"""How long an exit is held back for what the runtime had sent before: its connections end by themselves, soon."""

_LAST_WORDS_CHECK_S = 0.001
_READ_BYTES = 8192
"""Of output in one turn of the loop: each may be a line of its own, a third of a microsecond's work."""

_NOTHING = bytes(4)
"""What FIONREAD answers when there is nothing to read."""

ENVIRONMENT_BYTES = channel.MAX_BYTES - 8192
"""What of one message is left for the function's variables."""

WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"


class JailSandbox:
    """See `ondol.sandbox.driver.Sandbox`."""

    def __init__(
        self,
        name: SandboxId,
        runtime: Runtime,
        link: Link,
        gauge: Gauge,
        *,
        listener: int,
        pipes: Ends,
        output: int,
        begun: Callable[[SandboxId], None],
        forget: Callable[[SandboxId], None],
    ) -> None:
        self._name = name
        self._runtime = runtime
        self._link = link
        self._gauge = gauge
        self._listener = socket.socket(fileno=listener)
        self._listener.setblocking(False)
        self._pipes: Ends | None = pipes
        self._output = output
        self._begun = begun
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._guest: Guest | None = None
        self._share = 1.0
        self._exit: Exit | None = None
        self._told = False
        self._extensions: list[str] = []
        self._gate: socket.socket | None = None
        self._gone = False
        self._connections: set[asyncio.BaseTransport | PipePair] = set()
        self._accepting: set[asyncio.Task[None]] = set()

    @property
    def id(self) -> SandboxId:
        return self._name

    def attach(self, guest: Guest) -> None:
        self._guest = guest
        if self._exit is not None:
            self._tell_exit()
            return
        self._loop.add_reader(self._listener.fileno(), self._accept)
        self._loop.add_reader(self._output, self._read_output)

    async def start(self, spec: StartSpec) -> None:
        if self._exit is not None or self._gone:
            raise SandboxGone(f"sandbox {self._name} has ended")
        self._share = spec.cpu_share
        self._gauge.started(spec.memory_mb << 20)
        command = self._command(spec)
        size = sum(len(name) + len(value) for name, value in spec.environment.items()) + 2 * sum(map(len, command))
        if size > ENVIRONMENT_BYTES:
            raise SandboxError(f"environment and command of {self._name} have more than {ENVIRONMENT_BYTES} bytes")
        forked = self._runtime.launch is Launch.ZYGOTE and not spec.fresh_interpreter
        order = {
            "do": "start",
            "name": self._name,
            "code": spec.code,
            "layers": spec.layers,
            "memory_mb": spec.memory_mb,
            "tmp_mb": spec.tmp_mb,
            "fork": forked,
            "command": command,
            "directory": self._directory(spec),
            "shown": None if spec.program is None else _shown(spec.program),
            "environment": dict(spec.environment),
        }
        self._use_pipes(wanted=forked)
        answer, _ = await self._link.ask(order)
        problem = answer.get("problem")
        if problem == "gone":
            raise SandboxGone(f"sandbox {self._name} has ended")
        if problem:
            raise SandboxError(f"sandbox {self._name} could not be started: {problem}")

    def start_extensions(self, environment: Mapping[str, str]) -> None:
        self._say_at_gate({"environment": dict(environment)})

    def start_runtime(self) -> None:
        self._say_at_gate({})
        self._close_gate()

    def throttle(self) -> None:
        self._tell("throttle", share=self._share)
        self._begun(self._name)

    def freeze(self) -> None:
        self._tell("freeze")
        self._gauge.rest()

    def thaw(self) -> None:
        # At once, for an invocation waits; and by the spawner, in case a freeze is still on its way to it.
        self._gauge.thaw()
        self._tell("thaw")

    def drain_output(self) -> None:
        # To ask is cheaper than a read that finds nothing: that allocates, and raises. And it is asked once: a process
        # of the customer's may write as fast as this can read.
        if self._output >= 0 and (told := fcntl.ioctl(self._output, termios.FIONREAD, _NOTHING)) != _NOTHING:
            left = int.from_bytes(told, sys.byteorder)
            while left > 0 and self._output >= 0 and (size := self._read_output()):
                left -= size

    async def reach(self) -> socket.socket:
        answer, descriptors = await self._link.ask({"do": "reach", "name": self._name})
        if "problem" in answer:
            raise SandboxGone(f"sandbox {self._name} cannot be reached: {answer['problem']}")
        made = socket.socket(fileno=descriptors[0])
        made.setblocking(False)
        return made

    def stats(self) -> Stats:
        try:
            return Stats(self._gauge.memory_peak_bytes(), self._gauge.cpu_time_ns())
        except OSError:
            return Stats(0, 0)

    def memory_peak_bytes(self) -> int:
        try:
            return self._gauge.memory_peak_bytes()
        except OSError:
            return 0

    async def stop(self, grace_s: float, extensions_s: float = 0.0) -> None:
        if self._gone:
            return
        order = {"do": "stop", "name": self._name, "grace_s": grace_s, "extensions_s": extensions_s}
        # Nothing outlives the spawner.
        with contextlib.suppress(SpawnerGone):
            await self._link.ask(order)
        self.exited(signal.SIGKILL, False)
        self._tell_exit()
        self.drain_output()
        self._close()
        for transport in self._connections:
            transport.close()
        self._gauge.close()
        self._gone = True
        self._forget(self._name)

    def heard(self, message: dict[str, Any], descriptors: list[int]) -> None:
        """What the spawner says of this sandbox."""
        if "ended" in message:
            self.exited(message["ended"], message["out_of_memory"])
        elif "extensions" in message:
            self._found_extensions(message["extensions"], *descriptors)
        elif "peak" in message:
            self._gauge.sampled(message["peak"])
        else:
            self._listed_ended(message["listed"], message["of"], message["status"])

    def exited(self, status: int, out_of_memory: bool) -> None:
        """The runtime process has ended with this wait status; heard once."""
        if self._exit is not None:
            return
        self._exit = _as_exit(status, out_of_memory)
        self._tell_exit_when_heard(self._loop.time() + LAST_WORDS_S)

    def tell(self, text: str) -> None:
        """Something that whoever reads the function's log should know."""
        if self._guest is not None and not self._told:
            self._guest.told(text)

    def spawner_lost(self) -> None:
        """Its processes are being ended by the kernel; heard once."""
        # In cgroups of version 1, what is frozen does not even die.
        self._gauge.thaw()
        self.exited(signal.SIGKILL, False)

    def _command(self, spec: StartSpec) -> tuple[str, ...]:
        """What is executed, if anything is: empty for the function's own bootstrap."""
        if spec.program is not None:
            return spec.program.command
        command, image, environment = self._runtime.command, self._runtime.image, spec.environment
        if image is not None:
            return (*command, environment["_HANDLER"]) if image.takes_handler else command
        # An image's own programs see to a wrapper, as AWS's do; `provided.*` knows none.
        wrapper = environment.get(WRAPPER)
        return (wrapper, *command) if wrapper and command else command

    def _directory(self, spec: StartSpec) -> str | None:
        """Where it starts, if not in /var/task."""
        if spec.program is not None:
            return spec.program.directory
        return None if self._runtime.image is None else self._runtime.image.directory

    def _found_extensions(self, names: list[str], gate: int) -> None:
        self._gate = socket.socket(fileno=gate)
        self._gate.setblocking(False)
        self._extensions = names
        if self._guest is not None:
            self._guest.extensions_found(names)

    def _listed_ended(self, place: int, of: int, status: int) -> None:
        """The first on the roster is the launcher; if it fails, then on the extension after the last listed."""
        if self._guest is None or self._gone:
            return
        self.drain_output()
        if place > 0:
            self._guest.extension_exited(self._extensions[place - 1], _as_exit(status, False))
        elif status != 0 and of <= len(self._extensions):
            reason = os.strerror(os.WEXITSTATUS(status)).lower() if os.WIFEXITED(status) else "it was ended"
            self._guest.extension_refused(self._extensions[of - 1], reason)

    def _say_at_gate(self, message: dict[str, Any]) -> None:
        """Who waits there may have ended: that is told elsewhere."""
        if self._gate is not None:
            with contextlib.suppress(OSError):
                channel.send(self._gate, message)

    def _close_gate(self) -> None:
        if self._gate is not None:
            self._gate.close()
            self._gate = None

    def _tell_exit_when_heard(self, deadline: float) -> None:
        speaking = self._accepting or any(not transport.is_closing() for transport in self._connections)
        if speaking and self._loop.time() < deadline:
            self._loop.call_later(_LAST_WORDS_CHECK_S, self._tell_exit_when_heard, deadline)
        else:
            self._tell_exit()

    def _tell_exit(self) -> None:
        if self._guest is None or self._exit is None or self._told:
            return
        self._told = True
        self.drain_output()
        if not self._extensions:
            self._close()
        self._guest.exited(self._exit)

    def _use_pipes(self, wanted: bool) -> None:
        """What is executed instead of forked knows nothing of them."""
        assert self._pipes is not None
        pipes, self._pipes = self._pipes, None
        if wanted:
            # Takes a millisecond, of which nobody waits for any: so long the runtime has nothing to say.
            self._spawn(self._serve_pipes(pipes))
        else:
            channel.close_all(pipes)

    async def _serve_pipes(self, pipes: Ends) -> None:
        assert self._guest is not None
        # Not in one line: the set is another by the time that this is connected, if somebody else connects meanwhile.
        connected = await connect(self._guest.connected(), pipes)
        self._connections.add(connected)

    def _spawn(self, serving: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(serving)
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    def _close(self) -> None:
        self._close_gate()
        if self._pipes is not None:
            channel.close_all(self._pipes)
            self._pipes = None
        if self._output >= 0:
            self._loop.remove_reader(self._output)
            os.close(self._output)
            self._output = -1
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()

    def _tell(self, command: str, **arguments: float) -> None:
        if self._exit is None and not self._gone:
            # If the spawner is gone, `exited` has been said, or is about to be: there is nothing left to command.
            with contextlib.suppress(SpawnerGone):
                self._link.tell({"do": command, "name": self._name, **arguments})

    def _read_output(self) -> int:
        """Deliver one portion: so many bytes, 0 when there is none now."""
        assert self._guest is not None
        try:
            data = os.read(self._output, _READ_BYTES)
        except BlockingIOError:
            return 0
        if not data:
            self._loop.remove_reader(self._output)
            return 0
        self._guest.output(data)
        return len(data)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self._connections = {transport for transport in self._connections if not transport.is_closing()}
        if len(self._connections) + len(self._accepting) >= MAX_CONNECTIONS:
            connection.close()
            return
        self._spawn(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        assert self._guest is not None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport, _ = await self._loop.connect_accepted_socket(self._guest.connected, connection)
        self._connections.add(transport)


def _shown(program: Program) -> str:
    """What AWS's log says of an image's program that could not be launched, after the reason."""
    entry_point, arguments = ",".join(program.entry_point), ",".join(program.arguments)
    return f"\tEntrypoint: [{entry_point}]\tCmd: [{arguments}]\tWorkingDir: [{program.directory}]"


def _as_exit(status: int, out_of_memory: bool) -> Exit:
    if os.WIFSIGNALED(status):
        return Exit(signal=os.WTERMSIG(status), out_of_memory=out_of_memory)
    return Exit(code=os.WEXITSTATUS(status), out_of_memory=out_of_memory)
