"""A moto server of a test's own, for what must outlive an ondol or be named to one."""

import os
import subprocess
import sys
from typing import Any

import boto3


class Moto:
    """Use as a context manager, or `close` it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "ondol.companion_moto", "127.0.0.1", str(os.getpid())]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        with self._process.stdout as told:
            self.endpoint = f"http://127.0.0.1:{int(told.readline())}"

    def client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "000000000000", "aws_secret_access_key": "secret"}
        return boto3.client(service, endpoint_url=self.endpoint, region_name="us-east-1", **keys)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Moto":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
