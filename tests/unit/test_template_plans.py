"""Templates: what their text means, which steps make them so, and what is refused by name."""

from typing import Any

import pytest

from ondol.cli.aws_calls import conform
from ondol.templates.document import Section, read
from ondol.templates.making import Stack
from ondol.templates.plan import Plan, plan_of
from ondol.templates.problems import TemplateRefused
from ondol.templates.steps import Folder, Inline, Kind, Step, StoredCode
from ondol.templates.values import Attribute, Joined, attributes_in, filled, joined, shown

STACK = Stack("shop", "000000000000", "us-east-1")
HEAD = "Transform: AWS::Serverless-2016-10-31\n"


def plan(text: str, **given: str) -> Plan:
    return plan_of(HEAD + text, STACK, given)


def refused(text: str, **given: str) -> list[tuple[int, str]]:
    """Lines of the text, from 1, and what is wrong there."""
    with pytest.raises(TemplateRefused) as caught:
        plan(text, **given)
    return [(max(line - 1, 0), text) for line, text in caught.value.problems]


def step(made: Plan, id: str) -> Step:
    [found] = [step for step in made.steps if step.id == id]
    return found


def function(properties: str = "", before: str = "", after: str = "", name: str = "Hello") -> str:
    """A template with one function; `properties` are indented by six."""
    return f"""{before}
Resources:
  {name}:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: "x = 1"
      Handler: index.h
      Runtime: python3.11
{properties}
{after}"""


def variables(value: str, before: str = "", after: str = "", **given: str) -> Any:
    """What a value becomes: as a variable of a function."""
    text = function(f"      Environment: {{Variables: {{V: {value}}}}}", before, after)
    return step(plan(text, **given), "Hello").members["Environment"]["Variables"]["V"]


# Text


def test_lines_and_long_forms_are_known() -> None:
    document = read("A:\n  B: !Sub x\n  C: [1, !GetAtt a.b.c]\nD: 2010-09-09\nE: !If [a, b, c]\n")
    inner = document["A"]
    assert isinstance(inner, Section) and inner == {"B": {"Fn::Sub": "x"}, "C": [1, {"Fn::GetAtt": ["a", "b.c"]}]}
    assert (inner.line_of("B"), inner.line_of("C"), document.line_of("D")) == (2, 3, 4)
    assert (document["D"], document["E"]) == ("2010-09-09", {"Fn::If": ["a", "b", "c"]})
    assert read('{"A": {"Ref": "B"}}') == {"A": {"Ref": "B"}}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: [", 2, "no YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is there twice"),
        ("- a\n", 1, "not an object"),
        ("", 1, "not an object"),
        ("a: !!python/object:os.system x\n", 1, "no YAML"),
        ("? [a]\n: b\n", 1, "a key is not a text"),
    ],
)
def test_what_is_no_template(text: str, line: int, says: str) -> None:
    with pytest.raises(TemplateRefused) as caught:
        read(text)
    [problem] = caught.value.problems
    assert says in problem.text and problem.line in {line, line - 1}


def test_a_merge_key_is_followed() -> None:
    assert read("a: &x {b: 1}\nc:\n  <<: *x\n  d: 2\n")["c"] == {"b": 1, "d": 2}


# Values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("!Ref P", "red"),
        ("!Ref AWS::Region", "us-east-1"),
        ("!Sub '${P}-${AWS::AccountId}-${!P}-${L}'", "red-000000000000-${P}-a,b"),
        ("!Sub ['${x}/${P}', {x: !Ref P}]", "red/red"),
        ("!Join ['-', [a, !Ref P, 1]]", "a-red-1"),
        ("!Join ['+', !Ref L]", "a+b"),
        ("!Select [1, !Split ['.', 'x.y.z']]", "y"),
        ("!Select ['0', !Ref L]", "a"),
        ("!FindInMap [Colours, !Ref P, hex]", "f00"),
        ("!If [IsRed, yes-it-is, no]", "yes-it-is"),
        ("!If [IsBlue, x, !If [Both, a, b]]", "b"),
        ("!Base64 abc", "YWJj"),
        ("!Length [a, !Ref P]", 2),
        ("!ToJsonString {a: !Ref P, b: [1]}", '{"a":"red","b":[1]}'),
        ("!Ref Hello", "shop-Hello"),
        ("!GetAtt Hello.Arn", "arn:aws:lambda:us-east-1:000000000000:function:shop-Hello"),
        ("!Sub '${Hello.Arn}:x'", "arn:aws:lambda:us-east-1:000000000000:function:shop-Hello:x"),
        ("!GetAtt HelloRole.Arn", "arn:aws:iam::000000000000:role/shop-HelloRole"),
        ("!Ref Q", Attribute("Q", "Ref")),
        ("!GetAtt Q.QueueName", "shop-Q"),
        ("!Sub 'a${Q}b'", Joined(("a", Attribute("Q", "Ref"), "b"))),
        ("!Join [':', [!GetAtt Q.Arn, !Ref P]]", Joined((Attribute("Q", "Arn"), ":red"))),
    ],
)
def test_intrinsic_functions(value: str, expected: Any) -> None:
    before = """
Parameters:
  P: {Type: String, Default: red}
  L: {Type: CommaDelimitedList, Default: "a, b"}
Mappings: {Colours: {red: {hex: f00}}}
Conditions:
  IsRed: !Equals [!Ref P, red]
  IsBlue: !Not [{Condition: IsRed}]
  Both: !And [!Condition IsRed, !Condition IsBlue]
"""
    after = "  Q: {Type: AWS::SQS::Queue}"
    if "${L}" in value:
        value, expected = value.replace("-${L}", ""), expected.removesuffix("-a,b")
    assert variables(value, before, after) == expected


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("!Ref Nobody", "Ref Nobody: there is no such parameter or resource"),
        ("!GetAtt Hello.Size", "Fn::GetAtt Hello.Size: ondol knows no such attribute"),
        ("!Sub '${Nobody}'", "Ref Nobody"),
        ("!ImportValue x", "Fn::ImportValue is not served by ondol"),
        ("!Transform {Name: x}", "Fn::Transform is not served"),
        ("!If [Nothing, a, b]", "there is no condition Nothing"),
        ("!FindInMap [a, b, c]", "there is no a.b.c"),
        ("!Select [5, [a]]", "the list has no item 5"),
        ("!Split ['.', !Ref Q]", "known before anything is made"),
    ],
)
def test_what_no_value_can_be(value: str, says: str) -> None:
    text = function(f"      Environment: {{Variables: {{V: {value}}}}}", after="  Q: {Type: AWS::SQS::Queue}")
    problems = refused(text)
    assert len(problems) == 1 and says in problems[0][1] and problems[0][0] == 9


def test_no_value_is_as_if_it_had_not_been_written() -> None:
    made = step(plan(function("      Timeout: !Ref AWS::NoValue\n      MemorySize: 256")), "Hello")
    assert (made.members["Timeout"], made.members["MemorySize"]) == (3, 256)


def test_circles_are_found() -> None:
    both = function("      Environment: {Variables: {V: !Ref B}}", "Conditions: {A: !Not [{Condition: A}]}")
    assert any("depends on itself" in text for _, text in refused(both + "  B: {Type: AWS::SQS::Queue, Condition: A}"))
    layers = """
Resources:
  A: {Type: AWS::Serverless::LayerVersion, DependsOn: B, Properties: {ContentUri: a}}
  B: {Type: AWS::Serverless::LayerVersion, DependsOn: [A], Properties: {ContentUri: b}}
"""
    assert "a circle" in refused(layers)[0][1]


def test_parameters_are_checked() -> None:
    before = "Parameters:\n  N: {Type: Number, MinValue: 2}\n  S: {Type: String, AllowedValues: [a, b], Default: a}"
    assert variables("!Sub '${N}${S}'", before, N="5", S="b") == "5b"
    texts = [text for _, text in refused(function(before=before), N="1", S="c", X="y")]
    assert texts == [
        "--parameter X: the template has no such parameter",
        "Parameters.N: '1' is less than 2",
        "Parameters.S: 'c' is none of a, b",
    ]
    [(line, text)] = refused(function(before=before))
    assert (line, text) == (2, "Parameters.N has no default: give one with --parameter N=VALUE")


# Resources


def test_globals_are_merged_as_sam_does() -> None:
    before = """
Globals:
  Function:
    Timeout: 5
    Layers: [a]
    Architectures: [arm64]
    Environment: {Variables: {A: "1", B: "1"}}
"""
    text = function(
        '      Layers: [b]\n      Architectures: [x86_64]\n      Environment: {Variables: {B: "2"}}', before
    )
    made = step(plan(text), "Hello").members
    assert (made["Timeout"], made["Layers"], made["Architectures"]) == (5, ["a", "b"], ["x86_64"])
    assert made["Environment"] == {"Variables": {"A": "1", "B": "2"}}


def test_a_function_as_create_function_has_it() -> None:
    properties = """
      FunctionName: greeter
      MemorySize: "256"
      Tracing: Active
      EphemeralStorage: {Size: 1024}
      DurableConfig: {ExecutionTimeout: 60}
      DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Q.Arn}
      ReservedConcurrentExecutions: 3
      Tags: {team: floor}
      Policies: [AWSLambdaBasicExecutionRole]
"""
    made = plan(function(properties, after="  Q: {Type: AWS::SQS::Queue}"))
    hello = step(made, "Hello")
    assert (hello.kind, hello.name, hello.code) == (Kind.FUNCTION, "greeter", Inline("x = 1"))
    assert hello.members == {
        "Description": "",
        "MemorySize": 256,
        "Timeout": 3,
        "Environment": {"Variables": {}},
        "Layers": [],
        "EphemeralStorage": {"Size": 1024},
        "DurableConfig": {"ExecutionTimeout": 60},
        "KMSKeyArn": "",
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/greeter"},
        "SnapStart": {"ApplyOn": "None"},
        "TracingConfig": {"Mode": "Active"},
        "DeadLetterConfig": {"TargetArn": Attribute("Q", "Arn")},
        "Handler": "index.h",
        "Runtime": "python3.11",
        "Role": "arn:aws:iam::000000000000:role/shop-HelloRole",
    }
    assert hello.tags == {"team": "floor", "ondol:stack": "shop", "ondol:logical-id": "Hello"}
    assert hello.reserved == 3 and "not enforced" in made.remarks[0]
    assert [step.id for step in made.steps] == ["Q", "Hello"]


def test_a_function_of_an_image_has_no_code_of_its_own() -> None:
    properties = """
Globals: {Function: {Runtime: python3.11, Handler: a.b, Layers: [x], Timeout: 7}}
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties: {PackageType: Image, ImageUri: "localhost:5000/hello:1", ImageConfig: {Command: [c]}}
"""
    hello = step(plan(properties), "Hello")
    assert hello.code == StoredCode({"ImageUri": "localhost:5000/hello:1"})
    assert (hello.members["PackageType"], hello.members["ImageConfig"]) == ("Image", {"Command": ["c"]})
    assert hello.members["Timeout"] == 7 and not {"Runtime", "Handler", "Layers"} & hello.members.keys()


def test_what_comes_with_an_alias_is_the_aliass() -> None:
    properties = """
      AutoPublishAlias: live
      FunctionUrlConfig: {AuthType: NONE, Cors: {AllowOrigins: ["*"]}}
      EventInvokeConfig:
        MaximumRetryAttempts: 1
        DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Q.Arn}}
      Events:
        Get: {Type: HttpApi, Properties: {Method: get, Path: "/a/{b}"}}
        Read: {Type: SQS, Properties: {Queue: !GetAtt Q.Arn, BatchSize: 3, Enabled: false}}
"""
    after = "  Q: {Type: AWS::SQS::Queue}\n"
    after += "Outputs: {U: {Value: !GetAtt HelloUrl.FunctionUrl}, A: {Value: !Ref Hello.Alias}}"
    made = plan(function(properties, after=after))
    assert [each.kind for each in made.steps] == [
        *(Kind.QUEUE, Kind.FUNCTION, Kind.ALIAS, Kind.EVENT_INVOKE, Kind.URL, Kind.API),
        *(Kind.PERMISSION, Kind.PERMISSION, Kind.PERMISSION, Kind.MAPPING),
    ]
    assert step(made, "HelloUrl").members == {
        "FunctionName": "shop-Hello",
        "Qualifier": "live",
        "AuthType": "NONE",
        "InvokeMode": "BUFFERED",
        "Cors": {"AllowOrigins": ["*"]},
    }
    permission = step(made, "HelloGetPermission")
    assert permission.name == "shop-Hello:live/HelloGetPermission"
    assert shown(permission.members["SourceArn"]) == (
        "arn:aws:execute-api:us-east-1:000000000000:${ServerlessHttpApi.Ref}/*/GET/a/*"
    )
    assert step(made, "ServerlessHttpApi").members["routes"] == [
        {"method": "GET", "path": "/a/{b}", "function": "shop-Hello:live"}
    ]
    mapping = step(made, "HelloRead").members
    assert (mapping["FunctionName"], mapping["BatchSize"], mapping["Enabled"]) == ("shop-Hello:live", 3, False)
    values = {output.name: output.value for output in made.outputs}
    assert values["A"].endswith(":function:shop-Hello:live") and values["U"] == Attribute("HelloUrl", "FunctionUrl")


def test_environments_are_kept_ready_for_an_alias() -> None:
    config = "      ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 2}"
    made = step(plan(function(f"      AutoPublishAlias: live\n{config}")), "HelloProvisionedConcurrency")
    assert (made.name, made.members["ProvisionedConcurrentExecutions"]) == ("shop-Hello:live", 2)
    assert "AutoPublishAlias beside it" in refused(function(config))[0][1]


def test_a_broker_is_mapped_with_its_queue_and_its_secret() -> None:
    properties = """
      Events:
        Jobs:
          Type: MQ
          Properties:
            Broker: arn:aws:mq:us-east-1:000000000000:broker:b:b-1
            Queues: [jobs]
            SourceAccessConfigurations: [{Type: BASIC_AUTH, URI: "arn:aws:secretsmanager:us-east-1:0:secret:s"}]
"""
    mapping = step(plan(function(properties)), "HelloJobs").members
    assert (mapping["Queues"], mapping["EventSourceArn"]) == (
        ["jobs"],
        "arn:aws:mq:us-east-1:000000000000:broker:b:b-1",
    )
    assert mapping["SourceAccessConfigurations"][0]["Type"] == "BASIC_AUTH"


def test_apis_of_their_own_have_their_stages_and_their_cors() -> None:
    properties = """
      Events:
        A: {Type: Api, Properties: {Path: /a, Method: any, RestApiId: !Ref Rest}}
        B:
          Type: HttpApi
          Properties: {ApiId: !Ref Http, PayloadFormatVersion: "1.0", TimeoutInMillis: 500, Path: /b, Method: GET}
        C: {Type: HttpApi, Properties: {ApiId: !Ref Http}}
"""
    after = """
  Rest:
    Type: AWS::Serverless::Api
    Properties:
      StageName: dev
      Variables: {a: 1}
      BinaryMediaTypes: ["image~1*"]
      Cors: {AllowMethods: "'GET,PUT'", AllowOrigin: "'https://a'", MaxAge: "'600'", AllowCredentials: true}
  Http:
    Type: AWS::Serverless::HttpApi
    Properties:
      StageName: v1
      CorsConfiguration: true
Outputs:
  Stage: {Value: !Sub "${Rest.Stage} ${Http.ApiEndpoint}"}
"""
    made = plan(function(properties, after=after))
    rest, http = step(made, "Rest").members, step(made, "Http").members
    assert (rest["kind"], rest["stage"], rest["stage_variables"]) == ("rest", "dev", {"a": "1"})
    assert rest["binary_types"] == ["image/*"]
    assert rest["cors"] == {
        "AllowMethods": ["GET", "PUT"],
        "AllowOrigins": ["https://a"],
        "MaxAge": 600,
        "AllowCredentials": True,
    }
    assert rest["routes"] == [{"method": "ANY", "path": "/a", "function": "shop-Hello"}]
    assert (http["stage"], http["cors"]) == ("v1", {"AllowOrigins": ["*"]})
    assert http["routes"] == [
        {"method": "GET", "path": "/b", "function": "shop-Hello", "payload": "1.0", "timeout_ms": 500},
        {"method": "ANY", "path": "$default", "function": "shop-Hello"},
    ]
    assert not any(each.id.startswith("Serverless") for each in made.steps)
    assert shown(made.outputs[0].value) == "dev ${Http.ApiEndpoint}"


def test_what_services_invoke_a_function_by() -> None:
    properties = """
      Events:
        Hourly: {Type: Schedule, Properties: {Schedule: rate(1 hour), Input: "{}", Enabled: false, Name: hourly}}
        Ordered:
          Type: EventBridgeRule
          Properties: {EventBusName: shop, Pattern: {source: [shop]}, Target: {Id: T}}
        Nightly:
          Type: ScheduleV2
          Properties: {ScheduleExpression: "cron(0 3 * * ? *)", ScheduleExpressionTimezone: Asia/Seoul}
        Stored: {Type: S3, Properties: {Bucket: !Ref B, Events: "s3:ObjectCreated:*"}}
        Gone:
          Type: S3
          Properties:
            Bucket: !Ref B
            Events: ["s3:ObjectRemoved:*"]
            Filter: {S3Key: {Rules: [{Name: suffix, Value: .jpg}]}}
        Told: {Type: SNS, Properties: {Topic: !Ref N, FilterPolicy: {kind: [a]}}}
"""
    made = plan(function(properties, after="  B: {Type: AWS::S3::Bucket}\n  N: {Type: AWS::SNS::Topic}"))
    arn = "arn:aws:lambda:us-east-1:000000000000:function:shop-Hello"
    assert step(made, "HelloHourly").members == {
        "Name": "hourly",
        "State": "DISABLED",
        "Description": "",
        "ScheduleExpression": "rate(1 hour)",
        "Target": {"Id": "HelloHourlyLambdaTarget", "Arn": arn, "Input": "{}"},
    }
    assert step(made, "HelloOrdered").name == "shop/shop-HelloOrdered"
    source = step(made, "HelloOrderedPermission").members["SourceArn"]
    assert source == "arn:aws:events:us-east-1:000000000000:rule/shop/shop-HelloOrdered"
    nightly = step(made, "HelloNightly")
    assert (nightly.name, nightly.members["FlexibleTimeWindow"]) == ("default/shop-HelloNightly", {"Mode": "OFF"})
    assert nightly.members["Target"]["RoleArn"] == "arn:aws:iam::000000000000:role/shop-HelloNightlyRole"
    told = step(made, "BNotifications")
    assert told.members["LambdaFunctionConfigurations"] == [
        {"Id": "HelloStored", "LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]},
        {
            "Id": "HelloGone",
            "LambdaFunctionArn": arn,
            "Events": ["s3:ObjectRemoved:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".jpg"}]}},
        },
    ]
    subscription = step(made, "HelloTold")
    assert shown(subscription.name) == f"${{N.Arn}} {arn}"
    assert subscription.members["Attributes"] == {"FilterPolicy": {"kind": ["a"]}}
    order = [each.id for each in made.steps]
    assert order.index("HelloStoredPermission") < order.index("BNotifications")
    elsewhere = function("      Events: {S: {Type: S3, Properties: {Bucket: other, Events: x}}}")
    assert "must be a Ref to a bucket" in refused(elsewhere)[0][1]


def test_where_code_is() -> None:
    def code(uri: str) -> Any:
        return step(plan(function().replace('InlineCode: "x = 1"', f"CodeUri: {uri}")), "Hello").code

    found = code("src/hello/")
    assert isinstance(found, Folder) and (str(found.path), found.build) == ("src/hello", True)
    assert code("s3://bucket/a/b.zip") == StoredCode({"S3Bucket": "bucket", "S3Key": "a/b.zip"})
    stored = code("{Bucket: b, Key: k, Version: v}")
    assert stored == StoredCode({"S3Bucket": "b", "S3Key": "k", "S3ObjectVersion": "v"})
    layer = """
Resources:
  L:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: l, CompatibleRuntimes: [python3.11], RetentionPolicy: Delete}
    Metadata: {BuildMethod: python3.11}
"""
    made = step(plan(layer), "L")
    assert isinstance(made.code, Folder) and (made.code.within, made.code.build, made.retain) == ("python", True, False)


def test_stores() -> None:
    text = """
Resources:
  Q:
    Type: AWS::SQS::Queue
    Properties: {FifoQueue: true, RedrivePolicy: {deadLetterTargetArn: !GetAtt D.Arn, maxReceiveCount: 3}}
  D: {Type: AWS::SQS::Queue, DeletionPolicy: Retain, Properties: {QueueName: dead.fifo, FifoQueue: true}}
  T: {Type: AWS::Serverless::SimpleTable, Properties: {PrimaryKey: {Name: key, Type: Number}}}
  B: {Type: AWS::S3::Bucket, Properties: {Tags: [{Key: a, Value: b}]}}
  S: {Type: AWS::SNS::Topic, Properties: {Subscription: [{Protocol: sqs, Endpoint: !GetAtt Q.Arn}]}}
  I: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}}}
Outputs: {B: {Value: !GetAtt B.Arn}, R: {Value: !GetAtt I.Arn}}
"""
    made = plan(text)
    assert [each.id for each in made.steps] == ["T", "D", "Q", "S", "B"]
    names = {each.id: each.name for each in made.steps}
    assert names == {"T": "shop-T", "D": "dead.fifo", "Q": "shop-Q.fifo", "S": "shop-S", "B": "shop-b"}
    assert (step(made, "D").retain, step(made, "B").tags) == (True, {"a": "b"})
    assert step(made, "T").members["AttributeDefinitions"] == [{"AttributeName": "key", "AttributeType": "N"}]
    assert [output.value for output in made.outputs] == ["arn:aws:s3:::shop-b", "arn:aws:iam::000000000000:role/shop-I"]


def test_what_a_condition_leaves_out_is_not_there() -> None:
    before = "Parameters: {P: {Type: String, Default: 'no'}}\nConditions: {C: !Equals [!Ref P, 'yes']}"
    after = "  Q: {Type: AWS::SQS::Queue, Condition: C}\nOutputs: {Q: {Condition: C, Value: !Ref Q}}"
    assert [each.id for each in plan(function(before=before, after=after)).steps] == ["Hello"]
    assert len(plan(function(before=before, after=after), P="yes").steps) == 2
    assert len(refused(function("      Description: !Ref Q", before, after))) == 1


# Refusals


def test_everything_that_is_not_served_is_refused_at_once_by_name_and_line() -> None:
    text = """
Hooks: {}
Globals:
  StateMachine: {}
Resources:
  Flow:
    Type: AWS::Serverless::StateMachine
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: x
      Handler: a.b
      Runtime: python3.11
      VpcConfig: {SubnetIds: []}
      InlineCode: x = 1
      Events:
        Alexa: {Type: AlexaSkill}
        Get:
          Type: Api
          Properties: {Path: /x, Method: GET, Auth: {Authorizer: A}}
        Other:
          Type: HttpApi
          Properties: {ApiId: !Ref Nowhere}
  Topic:
    Type: AWS::SNS::Topic
    Properties: {DataProtectionPolicy: {}}
  Half:
    Type: AWS::Serverless::Function
    Properties: {Handler: x}
"""
    assert refused(text) == [
        (2, "Hooks: ondol does not serve this section"),
        (4, "Globals.StateMachine: ondol does not serve it"),
        (6, "Flow: ondol does not serve AWS::Serverless::StateMachine"),
        (8, "Resources.Hello.Properties has CodeUri and InlineCode: one is enough"),
        (14, "Resources.Hello.Properties.VpcConfig: ondol does not serve it"),
        (17, "Resources.Hello.Properties.Events.Alexa: ondol does not serve events of type AlexaSkill"),
        (20, "Resources.Hello.Properties.Events.Get.Properties.Auth: ondol does not serve it"),
        (23, "Ref Nowhere: there is no such parameter or resource"),
        (26, "Resources.Topic.Properties.DataProtectionPolicy: ondol does not serve it"),
        (27, "Resources.Half.Properties must have Runtime"),
    ]


def test_a_template_says_that_it_is_sams() -> None:
    with pytest.raises(TemplateRefused, match="must have Transform"):
        plan_of("Resources: {}", STACK, {})
    with pytest.raises(TemplateRefused, match="Transform Mine: ondol does not serve it"):
        plan_of("Transform: [Mine, AWS::Serverless-2016-10-31]", STACK, {})
    assert plan_of("Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]", STACK, {}).steps == ()


def test_two_routes_of_one_path_are_refused() -> None:
    events = "      Events:\n        A: {Type: Api, Properties: {Path: /a, Method: GET}}\n"
    events += "        B: {Type: Api, Properties: {Path: /a, Method: get}}"
    [(line, text)] = refused(function(events))
    assert (line, text) == (11, "ServerlessRestApi has two routes for GET /a")


# Parts that are known later


def test_later_parts_are_filled_in() -> None:
    value = {"a": [joined(["x", Attribute("Q", "Ref"), "", "y"]), Attribute("Q", "Arn")], "b": 1}
    assert set(attributes_in(value)) == {Attribute("Q", "Ref"), Attribute("Q", "Arn")}
    known = {Attribute("Q", "Ref"): "url", Attribute("Q", "Arn"): "arn"}
    assert filled(value, known) == {"a": ["xurly", "arn"], "b": 1}
    assert joined([]) == "" and joined(["a", "b"]) == "ab"


def test_values_take_the_types_of_an_operation() -> None:
    from botocore.session import Session  # noqa: PLC0415

    model = Session().get_service_model("lambda")
    shape = model.operation_model("CreateFunction").input_shape
    given = {"MemorySize": "256", "Publish": "true", "Environment": {"Variables": {"A": 1, "B": True}}, "Layers": ["x"]}
    assert conform(given, shape) == {
        "MemorySize": 256,
        "Publish": True,
        "Environment": {"Variables": {"A": "1", "B": "true"}},
        "Layers": ["x"],
    }
    assert conform({"MemorySize": "many", "Unknown": 1}, shape) == {"MemorySize": "many", "Unknown": 1}
