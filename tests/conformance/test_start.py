"""How `ondol up` begins, whatever it was started from."""

import resource
from pathlib import Path

from ondol_process import OndolProcess, create


def test_it_opens_as_many_files_as_it_may_not_as_few_as_a_shell_says(tmp_path: Path) -> None:
    ondol = OndolProcess(tmp_path / "data")
    ondol.program = ("prlimit", "--nofile=128:", *ondol.program)
    with ondol:
        client = ondol.client()
        create(client, "f", "import resource\ndef h(event, context): return resource.getrlimit(resource.RLIMIT_NOFILE)")
        assert client.invoke(FunctionName="f")["Payload"].read() == b"[1024, 1024]"
        assert ondol.process is not None
        assert resource.prlimit(ondol.process.pid, resource.RLIMIT_NOFILE) == (most(), most())


def most() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
