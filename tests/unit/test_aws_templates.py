"""What AWS's own templates and tutorials have: accepted, though some of it makes no difference here."""

from pathlib import PurePath

from test_template_plans import function, plan, refused, step, variables

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
    assert step(made, "Other").members["LoggingConfig"] == {"LogGroup": "/mine/shop-Hello"}
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
