"""Names of things. Each is a string on the wire and a type of its own in the code."""

from typing import NewType

AccountId = NewType("AccountId", str)
"""Twelve digits."""

Region = NewType("Region", str)

RequestId = NewType("RequestId", str)
"""A UUID: one invocation, through every attempt and every log line."""

EnvironmentId = NewType("EnvironmentId", str)
"""32 hexadecimal digits: one execution environment, and the tail of its log stream's name."""

SandboxId = NewType("SandboxId", str)
"""Names a sandbox on its worker: its cgroup, its mounts and its control socket carry it."""

WorkerId = NewType("WorkerId", str)

FrontendId = NewType("FrontendId", str)

VersionId = NewType("VersionId", str)
"""One runnable state of one function version: it changes when the code or the configuration does,
so environments of different ids never serve each other's invocations."""

CodeDigest = NewType("CodeDigest", str)
"""SHA-256 of a package, in hexadecimal."""
