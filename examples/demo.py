"""Start ondol, deploy a function with boto3, invoke it cold and warm, show its log. Run by `make demo`."""

import base64
import io
import json
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import boto3
from botocore.config import Config

HERE = Path(__file__).parent
ONDOL = Path(sys.executable).with_name("ondol")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ondol-demo-") as data_dir:
        command = [ONDOL, "up", "--port", "0", "--data-dir", data_dir]
        print(f"$ ondol up --data-dir {data_dir}")
        began = time.perf_counter()
        ondol = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert ondol.stdout is not None
            ready = ondol.stdout.readline().strip()
            if not ready.startswith("ondol ready on "):
                print("ondol did not start; what it said is above.", file=sys.stderr)
                return 1
            print(f"{ready}   ({time.perf_counter() - began:.2f} s)")
            show(ready.split()[3])
        finally:
            ondol.send_signal(signal.SIGTERM)
            ondol.wait(timeout=40)
        print("Stopped; nothing of it remains.")
    return 0


def show(endpoint: str) -> None:
    client = boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="demo",
        aws_secret_access_key="demo",
        config=Config(retries={"max_attempts": 0}),
    )
    print("\nCreateFunction hello, from examples/hello")
    client.create_function(
        FunctionName="hello",
        Runtime=f"python3.{sys.version_info.minor}",
        Role="arn:aws:iam::000000000000:role/demo",
        Handler="lambda_function.lambda_handler",
        Code={"ZipFile": package(HERE / "hello")},
        MemorySize=256,
    )
    client.get_waiter("function_active_v2").wait(FunctionName="hello", WaiterConfig={"Delay": 0.05})
    for kind in ("cold", "warm", "warm"):
        began = time.perf_counter()
        answer = client.invoke(FunctionName="hello", Payload=json.dumps({"name": "ondol"}), LogType="Tail")
        took_ms = (time.perf_counter() - began) * 1000
        print(f"Invoke, {kind}: {took_ms:6.1f} ms  {answer['Payload'].read().decode()}")
    print("\nIts log, as CloudWatch would show it:")
    for line in base64.b64decode(answer["LogResult"]).decode().splitlines():
        print(f"  {line}")
    client.delete_function(FunctionName="hello")
    print("\nDeleteFunction hello")


def package(directory: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(directory.rglob("*.py")):
            archive.write(file, file.relative_to(directory))
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
