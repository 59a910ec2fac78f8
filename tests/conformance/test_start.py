"""How `ondol up` begins, whatever it was started from."""

import resource
import subprocess
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


def test_a_second_one_on_the_same_data_is_told_of_the_first(ondol: OndolProcess) -> None:
    command = [*ondol.program, "up", "--port", "0", "--data-dir", str(ondol.data_dir)]
    second = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    assert second.stderr == (
        f"Another ondol runs with its data in {ondol.data_dir} (see: ondol status). "
        "Stop it, or choose another directory with --data-dir.\n"
    )


def most() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
