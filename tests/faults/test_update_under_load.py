"""Code is updated fifty times while sixteen clients invoke: no error, and nothing old runs after Successful."""

import json
import threading
import time
from pathlib import Path

from ondol_process import OndolProcess, create, package

UPDATES = 50
CLIENTS = 16


def code(number: int) -> str:
    return f"def h(event, context): return {number}"


def test_updates_under_load(tmp_path: Path) -> None:
    with OndolProcess(tmp_path / "data") as ondol:
        client = ondol.client()
        create(client, "f", code(0))
        successful = 0
        """The highest number whose update was reported Successful: what starts from then on must run it, or newer."""
        done = threading.Event()
        invoked = [0] * CLIENTS
        wrong: list[str] = []

        def invoke_on_and_on(which: int) -> None:
            own = ondol.client()
            while not done.is_set():
                least = successful
                answer = own.invoke(FunctionName="f")
                number = json.loads(answer["Payload"].read())
                if "FunctionError" in answer or number < least:
                    wrong.append(f"got {number}, wanted at least {least}")
                invoked[which] += 1

        def supervised(which: int) -> None:
            try:
                invoke_on_and_on(which)
            except Exception as error:  # noqa: BLE001 - told to the test's own thread
                wrong.append(repr(error))

        threads = [threading.Thread(target=supervised, args=(which,)) for which in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for number in range(1, UPDATES + 1):
            client.update_function_code(FunctionName="f", ZipFile=package({"m.py": code(number)}))
            deadline = time.monotonic() + 30
            while client.get_function_configuration(FunctionName="f")["LastUpdateStatus"] != "Successful":
                assert time.monotonic() < deadline
            successful = number
        done.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert min(invoked) > 10
        assert json.loads(client.invoke(FunctionName="f")["Payload"].read()) == UPDATES
