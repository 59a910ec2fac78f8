"""Code and layers as mounts that belong nowhere yet: a sandbox's first process puts them in place."""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH102

from __future__ import annotations

import os

from ondol.linux import mounts

_ATTRIBUTES = mounts.ATTRIBUTE_READ_ONLY | mounts.ATTRIBUTE_NO_SUID | mounts.ATTRIBUTE_NO_DEVICES


class Trees:
    """The trees in one directory, each named by its digest; `scratch` is a private directory to mount on."""

    def __init__(self, directory: str, scratch: str) -> None:
        self._directory = directory
        self._scratch = f"{scratch}/layers"
        os.mkdir(self._scratch)

    def mount(self, digests: list[str]) -> int:
        """A read-only view of one tree, or of several merged, the later over the earlier. Raises `OSError`."""
        if len(digests) == 1:
            return mounts.clone_tree(f"{self._directory}/{digests[0]}", _ATTRIBUTES)
        # Relative, because what separates the names may be part of a path; the uppermost comes first.
        os.chdir(self._directory)
        # Marks of other overlays are looked for where any user may write them, not where only root may.
        options = f"userxattr,lowerdir={':'.join(reversed(digests))}"
        mounts.mount("overlay", self._scratch, "overlay", mounts.READ_ONLY, options)
        try:
            return mounts.clone_tree(self._scratch, _ATTRIBUTES)
        finally:
            mounts.detach(self._scratch)
            os.chdir("/")
