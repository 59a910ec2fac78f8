"""Layers of a template. Source: AWS SAM developer guide, "AWS::Serverless::LayerVersion", "Building Lambda layers"."""

from typing import Any

from ondol.templates.document import Section
from ondol.templates.making import Making, Resource
from ondol.templates.sources import code_at
from ondol.templates.steps import Kind, Step
from ondol.templates.values import Attribute

TYPE = "AWS::Serverless::LayerVersion"
LONGEST_NAME = 140


def layer_reference(making: Making, resource: Resource, attribute: str | None) -> Any:
    """What Ref and Fn::GetAtt say of a layer; None for what they do not."""
    return Attribute(resource.id, "Ref") if attribute in {None, "LayerVersionArn"} else None


def layer_steps(making: Making, resource: Resource, metadata: Section) -> list[Step]:
    properties = making.properties(resource)
    method = "" if resource.built else str(metadata.get("BuildMethod", ""))
    if method and not method.startswith("python"):
        text = f"Resources.{resource.id}.Metadata.BuildMethod: ondol builds layers of Python and no others"
        making.problems.add(metadata.line_of("BuildMethod"), text)
    code = code_at(properties, "ContentUri", build=bool(method), within="python" if method else "")
    if code is None:
        properties.wrong(f"{properties.place} must have ContentUri", resource.line)
    given: dict[str, Any] = {name: properties.text(name) for name in ("Description", "LicenseInfo")}
    given |= {name: properties.items(name) or None for name in ("CompatibleRuntimes", "CompatibleArchitectures")}
    policy = properties.known("RetentionPolicy", "Retain")
    properties.without_effect("LayerName", "PublishLambdaVersion")
    properties.finish()
    return [
        Step(
            resource.id,
            Kind.LAYER,
            making.name_of(resource, "LayerName", LONGEST_NAME),
            {name: value for name, value in given.items() if value is not None},
            resource.line,
            code=code,
            after=resource.after,
            retain=str(policy).lower() != "delete",
        )
    ]
