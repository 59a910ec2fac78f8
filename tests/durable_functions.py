"""Functions written with AWS's durable execution SDK, as it is published, and the layer that it is in."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

PACKAGES = Path(__file__).parents[1] / ".venvs" / "third_party"
SDK = "aws_durable_execution_sdk_python"

WORKFLOWS = """
import json, os, time
import boto3
from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import (
    CallbackConfig, ChildConfig, CompletionConfig, Duration, MapConfig, ParallelConfig, StepConfig, StepSemantics,
    WaitForCallbackConfig,
)
from aws_durable_execution_sdk_python.retries import RetryDecision
from aws_durable_execution_sdk_python.waits import WaitForConditionConfig, WaitForConditionDecision

SECOND = Duration.from_seconds(1)

def again(error, attempt):
    return RetryDecision.retry(SECOND) if attempt < 3 else RetryDecision.no_retry()

def never(error, attempt):
    return RetryDecision.no_retry()

@durable_execution
def h(event, context: DurableContext):
    return globals()[event["do"]](event, context)

def steps(event, context):
    print("from the beginning")
    first = context.step(lambda _: event["by"] * 2, name="double")
    context.wait(SECOND, name="nap")
    return context.step(lambda _: first + 1, name="increment")

def retries(event, context):
    def fail(step):
        raise ValueError(f"attempt {step.attempt}")
    try:
        context.step(fail, name="hopeless", config=StepConfig(retry_strategy=again))
    except Exception as error:
        return str(error)

def fails(event, context):
    context.step(lambda _: 1 / 0, name="impossible", config=StepConfig(retry_strategy=never))

def approval(event, context):
    def submit(callback_id, _):
        boto3.client("sqs").send_message(QueueUrl=event["queue"], MessageBody=callback_id)
    return context.wait_for_callback(submit, name="approval")

def waits_for_approval(event, context):
    options = CallbackConfig(
        timeout=Duration.from_seconds(event.get("timeout", 0)),
        heartbeat_timeout=Duration.from_seconds(event.get("heartbeat", 0)),
    )
    callback = context.create_callback(name="approval", config=options)
    try:
        return {"approved": callback.result()}
    except Exception as error:
        return {"refused": str(error)}

def chain(event, context):
    try:
        return {"answer": context.invoke(event["function"], event["payload"], name="other")}
    except Exception as error:
        return {"error": str(error)}

def fan_out(event, context):
    def branch(number):
        def run(inside):
            inside.step(lambda _: None, name="before")
            inside.wait(SECOND, name="nap")
            return inside.step(lambda _: number * number, name="square")
        return run
    squares = context.parallel([branch(number) for number in range(event["branches"])], name="squares")
    halves = context.map(
        [2, 4, 6], lambda inside, item, index, items: inside.step(lambda _: item // 2, name="half"), name="halves"
    )
    nested = context.run_in_child_context(lambda inside: inside.step(lambda _: "inside", name="s"), name="child")
    return [squares.get_results(), halves.get_results(), nested]

def polls(event, context):
    def strategy(state, attempt):
        if state >= 2:
            return WaitForConditionDecision.stop_polling()
        return WaitForConditionDecision.continue_waiting(SECOND)
    config = WaitForConditionConfig(wait_strategy=strategy, initial_state=0)
    return context.wait_for_condition(lambda state, _: state + 1, config, name="poll")

def large(event, context):
    parts = [context.step(lambda _: "x" * event["size"], name=f"part {n}") for n in range(event["parts"])]
    context.wait(SECOND)
    return [len(part) for part in parts]

def many(event, context):
    for number in range(event["steps"]):
        context.step(lambda _: number, name=f"s{number}")
    context.wait(SECOND)
    return context.step(lambda _: "done")

def sleeps(event, context):
    context.step(lambda _: "begun", name="begin")
    context.wait(Duration.from_seconds(event["seconds"]))
    return "slept"

def dies(event, context):
    if not context.step(lambda _: time.time(), name="first"):
        return
    os._exit(3)

def other_executions(event, context):
    client = boto3.client("lambda")
    try:
        token = "dG9rZW4="
        return client.checkpoint_durable_execution(DurableExecutionArn=event["arn"], CheckpointToken=token, Updates=[])
    except Exception as error:
        return str(error)
"""


def sdk_layer(client: Any) -> str:
    """The ARN of a layer with the SDK, without boto3: the runtime has that."""
    if not (PACKAGES / SDK).exists():
        pytest.fail("the SDK is not set up: run .venv/bin/python tests/prepare.py")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in PACKAGES.glob(f"{SDK}*/**/*"):
            if path.is_file():
                archive.write(path, Path("python", path.relative_to(PACKAGES)))
    published = client.publish_layer_version(LayerName="durable-sdk", Content={"ZipFile": content.getvalue()})
    arn: str = published["LayerVersionArn"]
    return arn
