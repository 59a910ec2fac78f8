"""The credentials of environments: whose they are, and that nobody else's are taken for them."""

import pytest

from ondol.aws.session import Session, Sessions
from ondol.model.ids import AccountId, EnvironmentId, Region

SESSION = Session(
    AccountId("123456789012"),
    Region("eu-west-1"),
    "arn:aws:iam::123456789012:role/path/worker",
    "f",
    EnvironmentId("e1"),
)


def test_credentials_look_like_aws_and_are_read_back() -> None:
    sessions = Sessions(b"key")
    credentials = sessions.credentials(SESSION)
    assert credentials.access_key.startswith("ASIA")
    assert (len(credentials.access_key), len(credentials.secret)) == (20, 40)
    assert sessions.read(credentials.token, credentials.access_key) == SESSION
    assert sessions.secret(credentials.token) == credentials.secret
    assert SESSION.arn == "arn:aws:sts::123456789012:assumed-role/worker/f"


def test_they_are_another_environments_or_another_installations_when_anything_differs() -> None:
    sessions = Sessions(b"key")
    one = sessions.credentials(SESSION)
    other = sessions.credentials(Session(*[*SESSION.__reduce__()[1]][:4], EnvironmentId("e2")))
    assert len({one.access_key, other.access_key}) == len({one.secret, other.secret}) == 2
    assert sessions.read(one.token, other.access_key) is None
    assert Sessions(b"another").read(one.token, one.access_key) is None


@pytest.mark.parametrize(
    "damage", [str.upper, lambda t: t[:-1], lambda t: "A" + t, lambda t: t + "ü", lambda t: "", lambda t: "."]
)
def test_a_damaged_token_is_nobodys(damage) -> None:  # type: ignore[no-untyped-def]
    sessions = Sessions(b"key")
    credentials = sessions.credentials(SESSION)
    assert sessions.read(damage(credentials.token), credentials.access_key) is None
