"""Code signing configurations, and what they keep from being deployed."""

from typing import Any

import pytest
from lambda_calls import ABSENT, answer, arn, not_found, refusal

from ondol_process import ROLE, RUNTIME, OndolProcess, create, package

PROFILE = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/abc"
MISSING = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-00000000000000000"
CODE = {"ZipFile": package({"m.py": "def h(event, context): return 2"})}


def make(client: Any, policy: str | None = None, **more: Any) -> dict[str, Any]:
    policies = {} if policy is None else {"CodeSigningPolicies": {"UntrustedArtifactOnDeployment": policy}}
    publishers = {"SigningProfileVersionArns": [PROFILE]}
    made = answer(client.create_code_signing_config(AllowedPublishers=publishers, **policies, **more), 201)
    config: dict[str, Any] = made["CodeSigningConfig"]
    return config


def test_a_configuration_is_created_shown_changed_and_deleted(client: Any) -> None:
    config = make(client, Description="d")
    id = config["CodeSigningConfigId"]
    assert id.startswith("csc-") and len(id) == 21
    named = {"CodeSigningConfigArn": f"arn:aws:lambda:us-east-1:000000000000:code-signing-config:{id}"}
    expected = {
        "CodeSigningConfigId": id,
        **named,
        "Description": "d",
        "AllowedPublishers": {"SigningProfileVersionArns": [PROFILE]},
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Warn"},
        "LastModified": config["LastModified"],
    }
    assert config == expected and config["LastModified"].endswith("+0000")
    assert answer(client.get_code_signing_config(**named)) == {"CodeSigningConfig": expected}
    policies = {"UntrustedArtifactOnDeployment": "Enforce"}
    updated = answer(client.update_code_signing_config(**named, CodeSigningPolicies=policies))["CodeSigningConfig"]
    assert updated == expected | {"CodeSigningPolicies": policies, "LastModified": updated["LastModified"]}
    assert answer(client.delete_code_signing_config(**named), 204) == {}
    gone = f"The Lambda code signing configuration {named['CodeSigningConfigArn']} can not be found."
    error = {"Error": {"Code": "ResourceNotFoundException", "Message": gone}, "Message": gone}
    for call in (client.get_code_signing_config, client.delete_code_signing_config):
        assert refusal(lambda call=call: call(**named)) == (404, error)


def test_configurations_are_listed_in_pages(ondol: OndolProcess) -> None:
    client = ondol.client(account="121212121212")
    made = [make(client)["CodeSigningConfigArn"] for _ in range(3)]
    pages = client.get_paginator("list_code_signing_configs").paginate(PaginationConfig={"PageSize": 2})
    listed = [config["CodeSigningConfigArn"] for page in pages for config in page["CodeSigningConfigs"]]
    assert sorted(listed) == sorted(made)


def test_a_function_has_one_or_none(client: Any, name: str) -> None:
    create(client, name, "")
    assert answer(client.get_function_code_signing_config(FunctionName=name)) == {}
    config = make(client)["CodeSigningConfigArn"]
    expected = {"CodeSigningConfigArn": config, "FunctionName": name}
    assert answer(client.put_function_code_signing_config(**expected)) == expected
    assert answer(client.get_function_code_signing_config(FunctionName=name)) == expected
    listed = answer(client.list_functions_by_code_signing_config(CodeSigningConfigArn=config))
    assert listed == {"FunctionArns": [arn(name)]}
    assert refusal(lambda: client.delete_code_signing_config(CodeSigningConfigArn=config))[0] == 409
    assert answer(client.delete_function_code_signing_config(FunctionName=name), 204) == {}
    assert answer(client.list_functions_by_code_signing_config(CodeSigningConfigArn=config)) == {"FunctionArns": []}
    client.delete_code_signing_config(CodeSigningConfigArn=config)


def test_what_is_not_there(client: Any, name: str) -> None:
    create(client, name, "")
    text = (
        "The code signing configuration cannot be found. "
        f"Check that the provided configuration is not deleted: {MISSING}."
    )
    error = {"Error": {"Code": "CodeSigningConfigNotFoundException", "Message": text}, "Message": text, "Type": "User"}
    given = {"FunctionName": name, "CodeSigningConfigArn": MISSING}
    assert refusal(lambda: client.put_function_code_signing_config(**given)) == (404, error)
    nobody = ABSENT.rpartition(":")[2]
    config = make(client)["CodeSigningConfigArn"]
    absent = not_found(f"Function not found: {ABSENT}")
    for call in (
        lambda: client.put_function_code_signing_config(FunctionName=nobody, CodeSigningConfigArn=config),
        lambda: client.get_function_code_signing_config(FunctionName=nobody),
        lambda: client.delete_function_code_signing_config(FunctionName=nobody),
    ):
        assert refusal(call) == absent


@pytest.mark.parametrize("policy", ["Warn", "Enforce"])
def test_to_ondol_no_package_is_signed(client: Any, name: str, policy: str) -> None:
    config = make(client, policy)["CodeSigningConfigArn"]

    def deploy() -> Any:
        create(client, name, "def h(event, context): return 1")
        client.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=config)
        return client.update_function_code(FunctionName=name, **CODE)

    def deploy_new() -> Any:
        return client.create_function(
            FunctionName=f"{name[:60]}-new",
            Runtime=RUNTIME,
            Role=ROLE,
            Handler="m.h",
            Code=CODE,
            CodeSigningConfigArn=config,
        )

    for attempt in (deploy, deploy_new):
        if policy == "Warn":
            made = attempt()["FunctionName"]
            assert client.get_function_code_signing_config(FunctionName=made)["CodeSigningConfigArn"] == config
        else:
            status, error = refusal(attempt)
            assert (status, error["Error"]["Code"]) == (400, "CodeVerificationFailedException")
            assert error["Error"]["Message"].startswith("Lambda cannot deploy the function.")


def test_tags(client: Any) -> None:
    config = make(client, Tags={"a": "b"})["CodeSigningConfigArn"]
    assert answer(client.list_tags(Resource=config)) == {"Tags": {"a": "b"}}
    client.tag_resource(Resource=config, Tags={"c": "d"})
    client.untag_resource(Resource=config, TagKeys=["a"])
    assert answer(client.list_tags(Resource=config)) == {"Tags": {"c": "d"}}
    assert refusal(lambda: client.list_tags(Resource=MISSING))[0] == 404
