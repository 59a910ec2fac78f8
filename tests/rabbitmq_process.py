"""Debian's RabbitMQ for tests: on loopback, in a directory of its own, with a port mapper (epmd) of its own."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The program itself: what stands on the path changes to a user of its own, and its directories."""

START_S = 120.0
USER, PASSWORD = "guest", "guest"


class RabbitMq:
    def __init__(self, directory: Path) -> None:
        self.port, distribution, mapper = _free_ports(3)
        config = directory / "rabbitmq.conf"
        config.write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\nloopback_users = none\n")
        (directory / "enabled_plugins").write_text("[].")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(mapper),
            "RABBITMQ_NODENAME": "test@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_CONF_ENV_FILE": str(directory / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "none.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
        }
        with (directory / "said").open("wb") as said:
            self._mapper = subprocess.Popen(["epmd", "-port", str(mapper), "-address", "127.0.0.1"], stdout=said)
            self._server = subprocess.Popen(
                [SERVER], env=environment, cwd=directory, start_new_session=True, stdout=said, stderr=said
            )
        self._wait_until_ready()

    def address(self, virtual_host: str = "") -> str:
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{virtual_host}"

    def close(self) -> None:
        os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait()
        self._mapper.kill()
        self._mapper.wait()

    def _wait_until_ready(self) -> None:
        """It listens only once it is ready to serve."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                assert self._server.poll() is None and time.monotonic() < deadline, "RabbitMQ does not start"
                time.sleep(0.05)
            else:
                return


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
