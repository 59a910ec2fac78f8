"""Writes docs/api.md: each operation of AWS Lambda's service model, and what ondol makes of it.

`make docs` writes it; `make check` runs this with `--check`, which fails if the page is not what would be written.
"""

import sys
from pathlib import Path

from ondol.aws.wire import LambdaWire
from ondol.control.refusals import UNSERVED_SETTINGS
from ondol.control.unserved import UNSERVED
from ondol.frontend.rights import NEEDS

PAGE = Path(__file__).with_name("api.md")

STORED = {
    **dict.fromkeys(
        ("PutRuntimeManagementConfig", "GetRuntimeManagementConfig"),
        "each runtime has one version, so when it would be updated makes no difference; another version is refused",
    ),
}
"""Operations whose settings are kept and shown, and change nothing else."""

STORED_SETTINGS = {
    "Architectures": "functions run as this machine is, whichever they name: native code must be made for it",
    "KMSKeyArn": "the data directory is closed to others, and encrypted as far as its file system is",
    "SnapStart": "OptimizationStatus is Off for versions too: [ADR 10](adr/0010-snap-start-is-kept-and-off.md)",
    "VpcConfig": "without subnets and security groups: it is shown as empty, as on AWS",
}
"""Settings of functions that are kept and shown, and why that is all."""

NOTES = {
    "CreateFunction": "images: see [container-images.md](container-images.md); settings that are refused: see below",
    "UpdateFunctionConfiguration": "settings that are refused: see below",
    "UpdateFunctionCode": "settings that are refused: see below",
    "Invoke": "type Event: see [asynchronous-invocations.md](asynchronous-invocations.md)",
    "PutFunctionRecursionConfig": "loops of asynchronous invocations",
    "PutFunctionEventInvokeConfig": "see [asynchronous-invocations.md](asynchronous-invocations.md)",
    "PutFunctionCodeSigningConfig": "to ondol no package is signed: Enforce lets nothing be deployed",
    "CreateEventSourceMapping": "of SQS, Kinesis, DynamoDB streams: see [event-sources.md](event-sources.md)",
    "PutProvisionedConcurrencyConfig": "see [provisioned-concurrency.md](provisioned-concurrency.md)",
    "PutResourcePolicy": "of functions, versions and aliases; what would not be evaluated in it is refused",
    "CheckpointDurableExecution": "see [durable-executions.md](durable-executions.md)",
    "CreateFunctionUrlConfig": "see [function-urls.md](function-urls.md)",
}
"""What is to be known of an operation that is otherwise complete."""

OPENING = """\
# AWS Lambda's operations

Written by `make docs` from the service model and from ondol's own tables. **Complete**: answers as AWS does.
**Stored**: kept and shown, and changes nothing else. **Refused**: answers 501 NotImplementedException, and says why.
**Needs**: the right that a caller must have, where callers are verified ([callers.md](callers.md)).
"""

KEPT = """
## Settings that are stored

Kept and shown, and nothing else follows.
"""

SETTINGS = """
## Settings that are refused

Of CreateFunction, UpdateFunctionCode, UpdateFunctionConfiguration and PublishLayerVersion: 400
InvalidParameterValueException, where the setting would do something that ondol does not do. Never stored and forgotten.
"""


def main() -> int:
    text = page()
    if sys.argv[1:] == ["--check"]:
        if PAGE.read_text() != text:
            print(f"{PAGE} is not current: make docs", file=sys.stderr)
            return 1
    else:
        PAGE.write_text(text)
    return 0


def page() -> str:
    operations = sorted(LambdaWire().operations)
    kinds = [kind(operation) for operation in operations]
    counts = ", ".join(f"{sum(each == name for each, _ in kinds)} {name}" for name in ("complete", "stored", "refused"))
    rows = [f"| {name} | {how} | {NEEDS[name]} | {why} |" for name, (how, why) in zip(operations, kinds, strict=True)]
    settings = [f"| {member} | {feature} |" for member, feature in sorted(UNSERVED_SETTINGS.items())]
    return "\n".join(
        [
            f"{OPENING}\nOf {len(operations)} operations: {counts}.\n",
            "| operation | | needs | why, or what to know |",
            "|---|---|---|---|",
            *rows,
            KEPT,
            "| setting | |",
            "|---|---|",
            *(f"| {member} | {what} |" for member, what in STORED_SETTINGS.items()),
            SETTINGS,
            "| setting | what ondol does not have yet |",
            "|---|---|",
            *settings,
            "",
        ]
    )


def kind(operation: str) -> tuple[str, str]:
    if operation in UNSERVED:
        return "refused", UNSERVED[operation]
    if operation in STORED:
        return "stored", STORED[operation]
    return "complete", NOTES.get(operation, "")


if __name__ == "__main__":
    sys.exit(main())
