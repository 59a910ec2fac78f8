"""Templates as a person deploys them: by the command, on a real ondol with a moto server beside, called over HTTP."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_dev_loop import Dev
from test_function_urls import call

from conformance.event_sources import until
from ondol_process import ONDOL, ROLE, RUNTIME, OndolProcess, create, package

EXAMPLE = Path(__file__).parents[2] / "examples" / "orders"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    settings = {"WITH": "moto", "CODE_FOLDERS": str(tmp_path_factory.getbasetemp())}
    with OndolProcess(tmp_path_factory.mktemp("templates") / "data", settings) as process:
        yield process


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """The example, with the runtime of this machine."""
    directory = tmp_path / "orders"
    shutil.copytree(EXAMPLE, directory)
    template = directory / "template.yaml"
    template.write_text(template.read_text().replace("python3.11", RUNTIME))
    return template


class Said:
    def __init__(self, done: "subprocess.CompletedProcess[str]") -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def did(self) -> dict[str, str]:
        """What was done to what, by its name."""
        verbs = ("Created", "Updated", "Unchanged", "Deleted")
        lines = [line.split() for line in self.out.splitlines() if line.startswith(verbs)]
        return {words[-1]: words[0] for words in lines}

    def value(self, output: str) -> str:
        [line] = [line for line in self.out.splitlines() if line.startswith(f"{output} ")]
        return line.split()[-1]


def command(door: OndolProcess, *words: str | Path) -> Said:
    environment = {**os.environ, "ONDOL_ENDPOINT": door.endpoint, "AWS_REGION": "us-east-1"}
    return Said(subprocess.run([ONDOL, *words], env=environment, capture_output=True, text=True, check=False))


def deployed(door: OndolProcess, template: Path, *more: str) -> Said:
    said = command(door, "deploy", template, *more)
    assert said.code == 0, said.err
    return said


def get(door: OndolProcess, url: str, path: str = "", method: str = "GET") -> Any:
    # Where the name cannot be looked up, the Host says it.
    host, slash, rest = url.removeprefix("http://").partition("/")
    answer = call(door, f"http://{host}", slash + rest + path or "/", method)
    assert answer.status < 300, answer.body
    return json.loads(answer.body) if answer.headers["content-type"] == "application/json" else answer.body.decode()


def logged(door: OndolProcess, function: str, text: str) -> list[str]:
    logs = door.client("logs")
    try:
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", filterPattern=f'"{text}"')["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [event["message"] for event in events]


def test_the_example_is_deployed_called_changed_and_deleted(door: OndolProcess, orders: Path) -> None:
    planned = command(door, "deploy", "--plan", orders)
    assert planned.code == 0 and "orders-Shop" in planned.out
    assert door.client().list_functions()["Functions"] == []
    first = deployed(door, orders)
    assert set(first.did().values()) == {"Created"}
    menu, old = first.value("Menu"), first.value("OldMenu")
    assert get(door, menu) == {"bibimbap": "rice, vegetables, egg", "kimchi": "cabbage, chili, time"}
    assert get(door, old) == get(door, menu)
    assert get(door, menu.removesuffix("/menu"), "/orders/kimchi", "POST") == "kimchi is on its way."
    [line] = until(lambda: logged(door, "orders-Cook", "cooking"))
    assert line.strip() == "cooking kimchi upstairs: cabbage, chili, time"
    tags = door.client().get_function(FunctionName="orders-Shop")["Tags"]
    assert tags == {"ondol:stack": "orders", "ondol:logical-id": "Shop"}
    assert set(deployed(door, orders).did().values()) == {"Unchanged"}

    (orders.parent / "recipes" / "recipes.py").write_text('DISHES = {"tteok": "rice"}\n')
    text = orders.read_text()
    orders.write_text(text.replace("Path: /menu", "Path: /card").replace("Timeout: 10", "Timeout: 9"))
    second = deployed(door, orders, "--parameter", "Kitchen=downstairs").did()
    assert (second["orders-Recipes"], second["orders-Shop"], second["orders-Orders"]) == (
        "Updated",
        "Updated",
        "Unchanged",
    )
    assert get(door, menu.removesuffix("/menu"), "/card") == {"tteok": "rice"}
    assert call(door, menu, "").status == 404
    configuration = door.client().get_function_configuration(FunctionName="orders-Cook")
    assert (configuration["Timeout"], configuration["Environment"]["Variables"]) == (9, {"KITCHEN": "downstairs"})

    start, end = text.index("  Cook:\n    Type"), text.index("  Recipes:\n    Type")
    orders.write_text((text[:start] + text[end:]).replace("  Cook:\n    Value: !GetAtt Cook.Arn\n", ""))
    third = deployed(door, orders).did()
    assert third["orders-Cook"] == "Deleted"
    assert [each["FunctionName"] for each in door.client().list_functions()["Functions"]] == ["orders-Shop"]
    until(lambda: door.client().list_event_source_mappings()["EventSourceMappings"] == [])

    gone = command(door, "delete", "--yes", orders)
    assert gone.code == 0 and set(gone.did().values()) == {"Deleted"}
    assert door.client().list_functions()["Functions"] == []
    assert "QueueUrls" not in door.client("sqs").list_queues(QueueNamePrefix="orders")
    assert command(door, "delete", "--yes", orders).err == "There is no stack orders.\n"


def template(directory: Path, resources: str, name: str = "stack") -> Path:
    (directory / name).mkdir(exist_ok=True)
    file = directory / name / "template.yaml"
    file.write_text(
        f"Transform: AWS::Serverless-2016-10-31\nGlobals: {{Function: {{Runtime: {RUNTIME}}}}}\n{resources}"
    )
    return file


HELLO = """
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.h
      InlineCode: |
        def h(event, context): return context.invoked_function_arn.rpartition(":")[2]
"""


def test_what_is_not_served_changes_nothing(door: OndolProcess, tmp_path: Path) -> None:
    file = template(tmp_path, HELLO + "      VpcConfig: {}\n  X: {Type: AWS::Batch::JobQueue}\n", "refused")
    said = command(door, "deploy", file)
    assert said.code == 2
    assert said.err.splitlines() == [
        f"{file} cannot be deployed, and nothing was changed:",
        "  line 11: Resources.Hello.Properties.VpcConfig: ondol does not serve it",
        "  line 12: X: ondol does not serve AWS::Batch::JobQueue",
    ]
    missing = command(
        door, "deploy", template(tmp_path, HELLO.replace("InlineCode: |", "CodeUri: nowhere")[:-84], "refused")
    )
    assert missing.code == 2 and "Hello: there is no" in missing.err
    assert command(door, "list").out == ""


def test_a_function_of_somebody_else_is_left_alone(door: OndolProcess, tmp_path: Path) -> None:
    create(door.client(), "foreign-Hello", "def h(event, context): return 1")
    said = command(door, "deploy", template(tmp_path, HELLO, "foreign"))
    assert (said.code, "there is a function foreign-Hello already, that no template made" in said.err) == (2, True)
    assert door.client().get_function(FunctionName="foreign-Hello")["Configuration"]["Role"] == ROLE
    door.client().delete_function(FunctionName="foreign-Hello")


def test_a_failure_in_the_middle_is_gone_on_from(door: OndolProcess, tmp_path: Path) -> None:
    resources = HELLO + "  Zoo:\n    Type: AWS::Serverless::Function\n    Properties:\n      Handler: x\n"
    file = template(tmp_path, resources + "      Timeout: 9999\n      InlineCode: x = 1\n", "halves")
    said = command(door, "deploy", file)
    assert said.code == 1 and said.did() == {"halves-Hello": "Created"}
    assert "Stopped after 1 of 2 steps, which stay; the same command goes on from there." in said.err
    file = template(tmp_path, resources + "      Timeout: 9\n      InlineCode: x = 1\n", "halves")
    assert deployed(door, file).did() == {"halves-Hello": "Unchanged", "halves-Zoo": "Created"}
    # What was about to be made when it failed is known all the same.
    file = template(
        tmp_path, resources + "      Timeout: 9999\n      InlineCode: x = 1\n      FunctionName: other\n", "halves"
    )
    assert command(door, "deploy", file).code == 1
    file = template(tmp_path, HELLO, "halves")
    assert deployed(door, file).did() == {"halves-Hello": "Unchanged", "other": "Deleted", "halves-Zoo": "Deleted"}
    assert command(door, "delete", "--yes", file).code == 0


def test_an_alias_with_a_url_follows_the_code(door: OndolProcess, tmp_path: Path) -> None:
    more = """
      AutoPublishAlias: live
      FunctionUrlConfig: {AuthType: NONE, Cors: {AllowOrigins: ["*"]}}
      EventInvokeConfig: {MaximumRetryAttempts: 1}
      ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 1}
Outputs: {Url: {Value: !GetAtt HelloUrl.FunctionUrl}, Version: {Value: !Ref Hello.Version}}
"""
    said = deployed(door, template(tmp_path, HELLO + more, "aliased"))
    url = said.value("Url")
    assert said.value("Version").endswith(":function:aliased-Hello:1")
    assert call(door, url).body == b"live"
    changed = HELLO.replace("return context", "return 'v2 ' + context") + more.replace(
        ', Cors: {AllowOrigins: ["*"]}', ""
    )
    said = deployed(door, template(tmp_path, changed, "aliased"))
    assert said.value("Version").endswith(":2") and said.value("Url") == url
    assert call(door, url).body == b"v2 live"
    assert "Cors" not in door.client().get_function_url_config(FunctionName="aliased-Hello", Qualifier="live")
    said = deployed(door, template(tmp_path, HELLO, "aliased"))
    assert set(said.did().values()) == {"Updated", "Deleted"} and call(door, url).status == 403
    assert door.client().list_aliases(FunctionName="aliased-Hello")["Aliases"] == []
    assert command(door, "delete", "--yes", tmp_path / "aliased" / "template.yaml").code == 0


def test_code_in_s3_and_in_an_image(door: OndolProcess, tmp_path: Path) -> None:
    build = EXAMPLE.parent / "container-image"
    subprocess.run([sys.executable, build / "build.py", build, tmp_path / "image"], check=True, capture_output=True)
    door.client("s3").create_bucket(Bucket="packages")
    zipped = package({"index.py": "def h(event, context): return 'from s3'"})
    door.client("s3").put_object(Bucket="packages", Key="a/b.zip", Body=zipped)
    resources = f"""
Resources:
  Boxed:
    Type: AWS::Serverless::Function
    Properties: {{PackageType: Image, ImageUri: "oci:{tmp_path}/image"}}
  Stored:
    Type: AWS::Serverless::Function
    Properties: {{CodeUri: s3://packages/a/b.zip, Handler: index.h}}
"""
    file = template(tmp_path, resources, "elsewhere")
    assert set(deployed(door, file).did().values()) == {"Created"}
    invoked = {
        name: door.client().invoke(FunctionName=f"elsewhere-{name}", Payload=b"{}") for name in ("Boxed", "Stored")
    }
    assert all("FunctionError" not in answer for answer in invoked.values())
    assert json.loads(invoked["Stored"]["Payload"].read()) == "from s3"
    assert set(deployed(door, file).did().values()) == {"Unchanged"}
    assert command(door, "delete", "--yes", file).code == 0


def test_tables_buckets_and_topics(door: OndolProcess, tmp_path: Path) -> None:
    resources = """
Resources:
  Rooms: {Type: AWS::Serverless::SimpleTable}
  Heat:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      StreamSpecification: {StreamViewType: NEW_IMAGE}
  Files: {Type: AWS::S3::Bucket}
  News: {Type: AWS::SNS::Topic, Properties: {Subscription: [{Protocol: sqs, Endpoint: !GetAtt Inbox.Arn}]}}
  Inbox: {Type: AWS::SQS::Queue, Properties: {DelaySeconds: "1"}}
  Reader:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.h
      InlineCode: "def h(event, context): print('read', event['Records'][0]['dynamodb']['Keys'])"
      Events:
        Heat: {Type: DynamoDB, Properties: {Stream: !GetAtt Heat.StreamArn, StartingPosition: TRIM_HORIZON}}
Outputs: {Topic: {Value: !Ref News}, Bucket: {Value: !Ref Files}}
"""
    file = template(tmp_path, resources, "stores")
    said = deployed(door, file)
    assert (said.value("Topic"), said.value("Bucket")) == (
        "arn:aws:sns:us-east-1:000000000000:stores-News",
        "stores-files",
    )
    door.client("dynamodb").put_item(TableName="stores-Heat", Item={"id": {"S": "one"}})
    until(lambda: logged(door, "stores-Reader", "read"))
    assert set(deployed(door, file).did().values()) == {"Unchanged"}
    file.write_text(resources_with(file, 'DelaySeconds: "1"', "DelaySeconds: 2"))
    assert deployed(door, file).did()["stores-Inbox"] == "Updated"
    door.client("s3").put_object(Bucket="stores-files", Key="k", Body=b"x")
    said = command(door, "delete", "--yes", file)
    assert said.code == 1 and "The bucket stores-files is not empty" in said.err
    door.client("s3").delete_object(Bucket="stores-files", Key="k")
    assert command(door, "delete", "--yes", file).code == 0
    assert door.client("dynamodb").list_tables()["TableNames"] == []


def resources_with(file: Path, old: str, new: str) -> str:
    assert old in file.read_text()
    return file.read_text().replace(old, new)


EAR = """
Resources:
  Ear:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.h
      InlineCode: |
        import json
        def h(event, context): print("heard", json.dumps(event))
      Events:
"""
"""A function that says what it hears; its events follow."""


def test_what_services_invoke_functions_by(door: OndolProcess, tmp_path: Path) -> None:
    resources = (
        EAR
        + """        Beat: {Type: Schedule, Properties: {Schedule: rate(1 minute), Input: '{"beat": 1}'}}
        Ordered: {Type: EventBridgeRule, Properties: {Pattern: {source: [shop]}}}
        Soon: {Type: ScheduleV2, Properties: {ScheduleExpression: "at(2020-01-01T00:00:00)", Input: "{}"}}
        Stored: {Type: S3, Properties: {Bucket: !Ref Files, Events: "s3:ObjectCreated:*"}}
        News: {Type: SNS, Properties: {Topic: !Ref News, FilterPolicy: {kind: [hot]}}}
  Files: {Type: AWS::S3::Bucket}
  News: {Type: AWS::SNS::Topic}
Outputs: {News: {Value: !Ref News}}
"""
    )
    file = template(tmp_path, resources, "ears")
    first = deployed(door, file)
    assert set(first.did().values()) == {"Created"}
    attributes = {kind: {"kind": {"DataType": "String", "StringValue": kind}} for kind in ("cold", "hot")}
    for kind, told in attributes.items():
        door.client("sns").publish(TopicArn=first.value("News"), Message=f"{kind} news", MessageAttributes=told)
    door.client("events").put_events(Entries=[{"Source": "shop", "DetailType": "ordered", "Detail": "{}"}])
    door.client("s3").put_object(Bucket="ears-files", Key="k", Body=b"x")
    for heard in ("ordered", "ObjectCreated:Put", "hot news"):
        until(lambda heard=heard: logged(door, "ears-Ear", heard))
    assert logged(door, "ears-Ear", "cold news") == []
    rule = door.client("events").describe_rule(Name="ears-EarBeat")
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 minute)", "ENABLED")
    assert set(deployed(door, file).did().values()) == {"Unchanged"}
    changed = resources_with(file, "source: [shop]", "source: [bank]").replace("{Type: S3,", "{Type: SQS,")
    file.write_text(changed.replace('Bucket: !Ref Files, Events: "s3:ObjectCreated:*"', "Queue: !GetAtt Inbox.Arn"))
    file.write_text(resources_with(file, "Outputs:", "  Inbox: {Type: AWS::SQS::Queue}\nOutputs:"))
    did = deployed(door, file).did()
    assert (did["ears-EarOrdered"], did["ears-EarBeat"]) == ("Updated", "Unchanged")
    told = door.client("s3").get_bucket_notification_configuration(Bucket="ears-files")
    assert "LambdaFunctionConfigurations" not in told
    door.client("s3").delete_object(Bucket="ears-files", Key="k")
    gone = command(door, "delete", "--yes", file)
    assert gone.code == 0, gone.err
    assert door.client("events").list_rules()["Rules"] == []
    assert door.client("scheduler").list_schedules()["Schedules"] == []


def test_a_service_that_nobody_serves_is_noticed_first(ondol: OndolProcess, orders: Path) -> None:
    said = command(ondol, "deploy", orders)
    assert said.code == 1 and "ondol up --with moto" in said.err and said.did() == {}
    assert "orders-Shop" not in command(ondol, "list").out


def test_options_that_do_not_fit(ondol: OndolProcess, orders: Path) -> None:
    assert "--memory is for a function" in command(ondol, "deploy", orders, "--memory", "256").err
    assert (
        "--parameter and --plan are for templates" in command(ondol, "deploy", EXAMPLE.parent / "hello", "--plan").err
    )
    assert "no such parameter" in command(ondol, "deploy", orders, "--parameter", "A=b").err


def test_a_save_deploys_what_it_changes(door: OndolProcess, orders: Path) -> None:
    dev = Dev(door, orders, "saved")
    try:
        assert dev.next("deployed", function="saved-Shop")["created"]
        assert dev.next("deployed", function="saved-Cook")["created"]
        dev.next("changed", what="event source mapping")
        client = door.client()
        before = client.get_function_configuration(FunctionName="saved-Shop")["LastModified"]
        cook = orders.parent / "kitchen" / "app.py"
        cook.write_text(cook.read_text().replace("cooking", "burning"))
        assert dev.next("deployed")["function"] == "saved-Cook"
        payload = {"Records": [{"body": "kimchi"}]}
        client.invoke(FunctionName="saved-Cook", Payload=json.dumps(payload))
        assert (
            "burning kimchi"
            in dev.next("log", function="Cook", message="burning kimchi upstairs: cabbage, chili, time\n")["message"]
        )
        assert client.get_function_configuration(FunctionName="saved-Shop")["LastModified"] == before
        cook.write_text("def handler(:\n")
        assert dev.next("broken")["line"] == 1
        cook.write_text("def handler(event, context): return 1\n")
        assert dev.next("deployed")["function"] == "saved-Cook"
        orders.write_text(orders.read_text().replace("Transform:", "Transfrom:"))
        assert "Transfrom: ondol does not serve this section" in dev.next("failed")["message"]
        orders.write_text(orders.read_text().replace("Transfrom:", "Transform:").replace("Timeout: 10", "Timeout: 8"))
        assert dev.next("deployed")["files"] == ["template.yaml"]
    finally:
        assert dev.end() == 0
    assert command(door, "delete", "--yes", orders, "--name", "saved").code == 0
