"""`ondol dev template.yaml`: deployed as a whole, then at each save what the save changes; logs shown meanwhile."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ondol.cli import syntax
from ondol.cli.client import Client
from ondol.cli.console import Progress, say
from ondol.cli.deployment import current_of
from ondol.cli.failure import CommandFailed
from ondol.cli.feed import Deployed, Feed
from ondol.cli.log_tail import LogTail
from ondol.cli.logs import group_of
from ondol.cli.template import addresses, checked, read_plan
from ondol.cli.watcher import Watcher
from ondol.cli.workbench import OWN_VERSION, faults_by

if TYPE_CHECKING:
    from ondol.cli.stack import Done, StackRun
    from ondol.templates.plan import Plan
    from ondol.templates.steps import Kind, Step


class TemplateBench:
    """One template and the directories that it is made from. Decides what a save deploys."""

    def __init__(
        self,
        client: Client,
        template: Path,
        name: str | None,
        given: Mapping[str, str],
        *,
        nearest: bool,
        feed: Feed,
    ) -> None:
        from ondol.cli.code_packages import CodePackages  # noqa: PLC0415 - `ondol --help` does without

        self.template = template
        self._client = client
        self._name = name
        self._given = given
        self._nearest = nearest
        self._feed = feed
        self._packages = CodePackages(template.parent)
        self._plan: Plan | None = None
        self._run: StackRun | None = None
        """What was performed last, as a whole; None if that failed."""

        self._logs: dict[str, LogTail] = {}
        self._broken: frozenset[str] = frozenset()
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        self._cleanup.enter_context(self._packages)
        return self

    def __exit__(self, *_: object) -> None:
        for log in self._logs.values():
            log.stop()
        self._cleanup.close()

    def others(self) -> frozenset[Path]:
        """Directories of code that are not below the template's."""
        root = self.template.parent.resolve()
        paths = (self._folder(step) for step in (self._plan.steps if self._plan is not None else ()))
        return frozenset(path for path in paths if path is not None and path.exists() and not path.is_relative_to(root))

    def update(self, changed: frozenset[str]) -> None:
        """Deploy what these files change, unless one of them cannot be compiled. Raises `CommandFailed`."""
        began = time.monotonic()
        if self._refuse_broken(changed):
            return

        def done(what: str, kind: "Kind", name: str) -> None:
            self._tell(what, kind, name, round((time.monotonic() - began) * 1000), sorted(changed))

        with Progress(f"Deploying {self.template.name}"):
            if self._run is None or self.template.name in changed:
                self._deploy_all(done)
            else:
                paths = [(self.template.parent / name).resolve() for name in changed]
                self._run.perform_again(lambda step: self._has_code(step, paths), done)

    def _deploy_all(self, done: "Done") -> None:
        from ondol.cli.stack import StackRun  # noqa: PLC0415

        self._run = None
        self._plan = read_plan(self._client, self.template, self._name, self._given)
        run = StackRun(self._client, self._plan, self._packages, small=False, nearest=self._nearest)
        checked(self.template, run)
        run.perform(done)
        self._run = run
        self._follow_logs()

    def show_addresses(self) -> None:
        for method, url, function in addresses(self._client, self._plan) if self._plan is not None else ():
            self._feed.address(method, url, function)

    def failed(self, reason: str) -> None:
        """A save could not be deployed."""
        self._feed.failed(reason)

    def _tell(self, what: str, kind: "Kind", name: str, taken: int, files: list[str]) -> None:
        from ondol.templates.steps import Kind  # noqa: PLC0415

        if what == "Unchanged":
            return
        if kind is Kind.FUNCTION and what != "Deleted":
            size = 0 if self._run is None else self._run.sizes.get(name, 0)
            self._feed.deployed(Deployed(name, what == "Created", taken, size, files))
        else:
            self._feed.changed(what, kind, name)

    def _has_code(self, step: "Step", paths: list[Path]) -> bool:
        folder = self._folder(step)
        return folder is not None and any(path.is_relative_to(folder) for path in paths)

    def _folder(self, step: "Step") -> Path | None:
        from ondol.templates.steps import Folder  # noqa: PLC0415

        return self._packages.path_of(step.code).resolve() if isinstance(step.code, Folder) else None

    def _refuse_broken(self, changed: frozenset[str]) -> bool:
        """Whether a Python file that was saved, or was broken before, cannot be compiled."""
        names = sorted(name for name in changed | self._broken if name.endswith(".py"))
        found = syntax.faults([str(self.template.parent / name) for name in names])
        faults = [fault for fault in found if not self._compiles_there(fault.file)]
        at_fault = {fault.file for fault in faults}
        self._broken = frozenset(name for name in names if str(self.template.parent / name) in at_fault)
        if faults:
            self._feed.broken(faults)
        return bool(faults)

    def _compiles_there(self, file: str) -> bool:
        """Whether the interpreter of the function that has this file takes it, though this one does not."""
        for step in self._plan.steps if self._plan is not None else ():
            runtime = str(step.members.get("Runtime", OWN_VERSION))
            if runtime != OWN_VERSION and self._has_code(step, [Path(file).resolve()]):
                found = self._packages.catalog.runtimes.get(runtime)
                interpreter = found.interpreter if found is not None else None
                return interpreter is not None and not faults_by(interpreter, [file])
        return False

    def _follow_logs(self) -> None:
        from ondol.templates.steps import Kind  # noqa: PLC0415

        for step in self._plan.steps if self._plan is not None else ():
            name = str(step.name)
            if step.kind is Kind.FUNCTION and name not in self._logs:
                feed = self._feed.of(step.id, self._folder(step) or self.template.parent)
                group = group_of(current_of(self._client, name) or {}, name)
                self._logs[name] = LogTail(self._client, feed, group)
                self._logs[name].start()


def dev_template(bench: TemplateBench) -> None:
    """Until Ctrl-C. Raises `CommandFailed` if the template cannot be deployed at first."""
    root = bench.template.parent
    try:
        with bench, ExitStack() as watching:
            watcher = watching.enter_context(Watcher(root))
            bench.update(frozenset())
            bench.show_addresses()
            say(f"Watching {root}. Ctrl-C ends it; what was deployed stays.")
            others: frozenset[Path] = frozenset()
            while True:
                if bench.others() != others:
                    others = bench.others()
                    watcher = watching.enter_context(Watcher(root, others))
                changed = watcher.changed()
                try:
                    bench.update(changed)
                except CommandFailed as failed:
                    bench.failed(str(failed))
    except KeyboardInterrupt:
        # The way to end it; what was deployed last runs on.
        return
