"""What AWS's own templates and tutorials have: accepted, though some of it makes no difference here."""

from pathlib import Path, PurePath

import pytest
from test_template_plans import STACK, function, plan, refused, step, variables

from ondol.cli.template import stack_name_of
from ondol.templates.plan import plan_of
from ondol.templates.problems import TemplateRefused
from ondol.templates.steps import Folder, Kind
from ondol.templates.values import Attribute


def test_a_function_that_says_nothing_of_its_code_has_it_beside_the_template() -> None:
    function = "{Type: AWS::Serverless::Function, Properties: {Handler: a.b, Runtime: python3.11}}"
    made = plan(f"Resources: {{Hello: {function}}}")
    assert step(made, "Hello").code == Folder(PurePath(), build=True)


def test_what_only_watches_or_permits_is_accepted_and_said_not_to_be_made() -> None:
    after = """
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !Sub "/mine/${Hello}", RetentionInDays: 7}
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties: {Threshold: 1}
  ApplicationResourceGroup: {Type: AWS::ResourceGroups::Group}
  Insights: {Type: AWS::ApplicationInsights::Application}
  Connector:
    Type: AWS::Serverless::Connector
    Properties: {Source: {Id: Hello}, Permissions: [Read]}
  Other:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: x = 1
      Handler: index.h
      Runtime: python3.11
      LoggingConfig: {LogGroup: !Ref Logs}
      AutoPublishAlias: live
      DeploymentPreference: {Type: Canary10Percent5Minutes, Alarms: [!Ref Alarm]}
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      MethodSettings: [{LoggingLevel: INFO}]
      AccessLogSetting: {DestinationArn: !GetAtt Logs.Arn}
Outputs:
  Alarm: {Value: !Ref Alarm}
  Group: {Value: !GetAtt Logs.Arn}
"""
    made = plan(function(after=after))
    assert [each.kind for each in made.steps] == [Kind.FUNCTION, Kind.FUNCTION, Kind.ALIAS, Kind.API]
    assert step(made, "Other").members["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/mine/shop-Hello"}
    assert [output.value for output in made.outputs] == [
        "shop-Alarm",
        "arn:aws:logs:us-east-1:000000000000:log-group:/mine/shop-Hello:*",
    ]
    for told in ("Logs", "Alarm", "ApplicationResourceGroup", "Insights", "Connector", "DeploymentPreference", "Api"):
        assert sum(told in remark for remark in made.remarks) == 1, made.remarks


def test_rules_and_schedules_have_dead_letters() -> None:
    made = plan(
        function(
            """      Events:
        R: {Type: EventBridgeRule, Properties: {Pattern: {a: [b]}, DeadLetterConfig: {Arn: !GetAtt Q.Arn}}}
        S: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 day), DeadLetterConfig: {Arn: !GetAtt Q.Arn}}}""",
            after="  Q: {Type: AWS::SQS::Queue}",
        )
    )
    for id in ("HelloR", "HelloS"):
        assert step(made, id).members["Target"]["DeadLetterConfig"] == {"Arn": Attribute("Q", "Arn")}
    events = (
        "      Events:\n        R: {Type: EventBridgeRule, Properties: {Pattern: {}, DeadLetterConfig: {Type: SQS}}}"
    )
    assert "DeadLetterConfig must have Arn" in str(refused(function(events)))


def test_a_bus_is_known_by_its_name_and_by_its_arn() -> None:
    events = """      Events:
        A: {Type: EventBridgeRule, Properties: {EventBusName: !Ref Bus, Pattern: {a: [b]}}}
        B: {Type: EventBridgeRule, Properties: {EventBusName: !GetAtt Bus.Arn, Pattern: {a: [b]}}}"""
    made = plan(function(events, after="  Bus: {Type: AWS::Events::EventBus, Properties: {Name: mine}}"))
    assert [each.kind for each in made.steps][:2] == [Kind.BUS, Kind.FUNCTION]
    for id in ("HelloA", "HelloB"):
        assert step(made, id).members["EventBusName"] == "mine" and step(made, id).name == f"mine/shop-{id}"
        source = step(made, f"{id}Permission").members["SourceArn"]
        assert source == f"arn:aws:events:us-east-1:000000000000:rule/mine/shop-{id}"


def test_what_subscribes_and_what_a_bucket_tells_is_refused_where_a_function_hears_otherwise() -> None:
    text = """
Resources:
  Sub:
    Type: AWS::SNS::Subscription
    Properties: {Protocol: lambda, TopicArn: t, Endpoint: f}
  Files:
    Type: AWS::S3::Bucket
    Properties:
      NotificationConfiguration: {LambdaConfigurations: []}
"""
    assert refused(text) == [
        (3, "Sub: a function subscribes by an event of its own"),
        (9, "Resources.Files.Properties.NotificationConfiguration.LambdaConfigurations: ondol does not serve it"),
    ]


def test_parameters_of_awss_own_types_are_texts() -> None:
    before = """
Parameters:
  Vpc: {Type: "AWS::EC2::VPC::Id", Default: vpc-1}
  Subnets: {Type: "List<AWS::EC2::Subnet::Id>", Default: "a,b"}"""
    assert variables("!Sub '${Vpc}'", before) == "vpc-1"
    assert variables("!Join ['+', !Ref Subnets]", before) == "a+b"
    [(_, why)] = refused(function(before=before.replace("EC2::VPC::Id", "SSM::Parameter::Value<String>")))
    assert why == "Parameters.Vpc: ondol has no parameters of type AWS::SSM::Parameter::Value<String>"


@pytest.mark.parametrize(
    ("value", "was"), [("true", "yes"), ("false", "no"), ("'true'", "yes"), ("TRUE", "yes"), ("on", "yes")]
)
def test_a_parameter_that_is_true_or_false_is_as_cloudformation_writes_it(value: str, was: str) -> None:
    before = f"""
Parameters:
  Use: {{Type: String, AllowedValues: [true, false], Default: {value}}}
Conditions:
  Used: !Equals [!Ref Use, true]"""
    assert variables("!If [Used, 'yes', 'no']", before) == was
    assert variables("!Ref Use", before, Use="true") == "true"


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("Conditions: {C: !Equals [!Ref Nobody, x]}", "Ref Nobody: there is no such parameter or resource"),
        ("Conditions: {C: !Equals [!Ref Hello, x]}", "Ref Hello: there is no such parameter or resource"),
        ("Conditions: {C: !Equals [!GetAtt Hello.Arn, x]}", "ondol knows no such attribute"),
        ("Conditions: {C: !Not []}", "this is no condition"),
        ("Parameters: {P: {Type: [String], Default: x}}", "ondol has no parameters of type"),
        ("Parameters: {P: {Type: String, Default: x, MinLength: [a]}}", "which are no numbers"),
    ],
)
def test_a_head_that_is_wrong_is_refused(head: str, says: str) -> None:
    text = function("", head, "    Condition: C" if head.startswith("Conditions") else "")
    assert says in str(refused(text))


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ("      Tags: !Ref Nobody", "Ref Nobody"),
        ("      Environment: [a]", "Environment must be an object"),
        ("      Environment: {Variables: {V: !Ref [a]}}", "Ref has the name of a parameter or of a resource"),
        ("      Environment: {Variables: {V: !Split ['', abc]}}", "Fn::Split has a separator"),
        ("      Environment: {Variables: {V: !Sub ['${x}', !Ref Nobody]}}", "Fn::Sub has a text"),
        ("      Environment: {Variables: {V: !ToJsonString {a: !Ref Nobody}}}", "Ref Nobody"),
        ("      Events: {S: {Type: SNS, Properties: {Topic: t, FilterPolicy: {a: [!Ref Nobody]}}}}", "Ref Nobody"),
        (
            "      Events: {S: {Type: S3, Properties: {Bucket: b, Events: e, Filter: {S3Key: 1}}}}",
            "S3Key must be an object",
        ),
    ],
)
def test_a_value_that_is_wrong_is_refused_wherever_it_stands(members: str, says: str) -> None:
    assert says in str(refused(function(members)))


def test_a_transform_that_is_an_object_is_refused_by_its_name() -> None:
    text = "Transform: [{Name: AWS::Include, Parameters: {}}, AWS::Serverless-2016-10-31]"
    with pytest.raises(TemplateRefused, match="Transform AWS::Include: ondol does not serve it"):
        plan_of(text, STACK, {})


def test_where_a_stream_gives_batches_up_to_is_said_with_its_kind() -> None:
    events = """      Events:
        R:
          Type: Kinesis
          Properties:
            Stream: !GetAtt S.Arn
            StartingPosition: LATEST
            DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Q.Arn}}"""
    made = plan(function(events, after="  S: {Type: AWS::Kinesis::Stream}\n  Q: {Type: AWS::SQS::Queue}"))
    assert step(made, "HelloR").members["DestinationConfig"] == {"OnFailure": {"Destination": Attribute("Q", "Arn")}}


@pytest.mark.parametrize(
    ("route", "says"),
    [
        ("Path: hello, Method: get", "Path hello, which must begin with a slash"),
        ("Path: '/a/{b', Method: get", "which must be made of words and variables"),
        ("Path: /a, Method: fetch", "Method FETCH, which no route can have"),
    ],
)
def test_a_route_that_cannot_be_is_told_before_anything_is_made(route: str, says: str) -> None:
    [(line, why)] = refused(function(f"      Events: {{A: {{Type: Api, Properties: {{{route}}}}}}}"))
    assert says in why and line == 9


def test_a_template_that_is_nested_too_deeply_is_refused() -> None:
    for text in ("Metadata: " + "[" * 3000 + "]" * 3000, function(f"      Tags: {{a: {'[' * 400 + ']' * 400}}}")):
        with pytest.raises(TemplateRefused, match="nested too deeply"):
            plan(text)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/you/my_shop/template.yaml", "my-shop"),
        ("/home/you/my_shop/template.json", "my-shop"),
        ("/home/you/my_shop/queues.yaml", "my-shop-queues"),
        ("/home/you/my_shop/.aws-sam/build/template.yaml", "my-shop"),
        ("/home/you/build/template.yaml", "build"),
    ],
)
def test_templates_of_one_directory_are_not_one_stack(path: str, name: str) -> None:
    assert stack_name_of(Path(path)) == name


def test_what_sam_has_built_is_not_built_again() -> None:
    made = plan("""
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: Hello, Handler: app.h, Runtime: nodejs20.x}
    Metadata: {BuildMethod: esbuild, BuildProperties: {EntryPoints: [app.ts]}, SamResourceId: Hello}
  Greeter:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: Greeter, Handler: app.h, Runtime: python3.11}
    Metadata: {SamResourceId: Greeter}
  Shared:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: Shared, CompatibleRuntimes: [python3.11]}
    Metadata: {BuildMethod: python3.11, SamResourceId: Shared}
""")
    assert {each.id: each.code for each in made.steps} == {
        id: Folder(PurePath(id)) for id in ("Hello", "Greeter", "Shared")
    }


def test_what_is_there_under_a_condition_alone_is_there_or_is_not() -> None:
    before = """
Parameters: {Stage: {Type: String, Default: dev}}
Conditions: {Prod: !Equals [!Ref Stage, prod]}"""
    members = """
      AutoPublishAlias: live
      VpcConfig: !If [Prod, {SubnetIds: [a]}, !Ref AWS::NoValue]
      ProvisionedConcurrencyConfig: !If [Prod, {ProvisionedConcurrentExecutions: 5}, !Ref AWS::NoValue]
      DeadLetterQueue: !If [Prod, !Ref AWS::NoValue, {Type: SQS, TargetArn: q}]
      Events:
        Often: !If [Prod, !Ref AWS::NoValue, {Type: Schedule, Properties: {Schedule: rate(1 minute)}}]"""
    made = plan(function(members, before))
    assert {each.kind for each in made.steps} == {Kind.FUNCTION, Kind.ALIAS, Kind.PERMISSION, Kind.RULE}
    assert step(made, "Hello").members["DeadLetterConfig"] == {"TargetArn": "q"}
    [(_, why)] = refused(function(members, before), Stage="prod")
    assert why == "Resources.Hello.Properties.VpcConfig: ondol does not serve it"
    without = plan(
        function(members.replace("VpcConfig", "Tags").replace("SubnetIds: [a]", "a: b"), before), Stage="prod"
    )
    assert {each.kind for each in without.steps} == {Kind.FUNCTION, Kind.ALIAS, Kind.PROVISIONED}
