"""What is stored of triggers. Each record has all that must change together; a mapping in one is never changed."""

import msgspec

from ondol.model.ids import AccountId, Region
from ondol.model.time import WallTime
from ondol.triggers.api import Told

DEFAULT_BUS = "default"
DEFAULT_GROUP = "default"

DAY_MS = 86_400_000


class Bus(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event bus. The default one has a record only once it has tags."""

    account: AccountId
    region: Region
    name: str
    created: WallTime
    modified: WallTime
    description: str | None = None
    tags: dict[str, str] = {}


class RuleTarget(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function that a rule invokes, and what it is given."""

    id: str
    arn: str
    role: str | None = None
    input: str | None = None
    input_path: str | None = None
    template: str | None = None
    paths: dict[str, str] = {}
    max_age_s: int | None = None
    max_retries: int | None = None
    dead_letters: str | None = None
    """ARN of the queue that gets what could not be delivered."""


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule of a bus, with its targets by id."""

    account: AccountId
    region: Region
    bus: str
    name: str
    created: WallTime
    since: WallTime
    """When its schedule was last set or switched on."""

    pattern: str | None = None
    schedule: str | None = None
    enabled: bool = True
    description: str | None = None
    role: str | None = None
    tags: dict[str, str] = {}
    targets: dict[str, RuleTarget] = {}
    fired: WallTime = WallTime(0)
    """The last occurrence of its schedule that its targets have."""


class Group(msgspec.Struct, frozen=True, omit_defaults=True):
    """A schedule group. The default one has a record only once it has tags."""

    account: AccountId
    region: Region
    name: str
    created: WallTime
    modified: WallTime
    client_token: str | None = None
    tags: dict[str, str] = {}


class Schedule(msgspec.Struct, frozen=True, omit_defaults=True):
    """A schedule of EventBridge Scheduler, whose target is a function."""

    account: AccountId
    region: Region
    group: str
    name: str
    created: WallTime
    modified: WallTime
    """Occurrences before it do not count."""

    expression: str
    target: str
    role: str
    input: str | None = None
    zone: str = "UTC"
    start: WallTime | None = None
    end: WallTime | None = None
    window_minutes: int | None = None
    enabled: bool = True
    delete_when_over: bool = False
    description: str | None = None
    max_age_s: int = 86_400
    max_retries: int = 185
    dead_letters: str | None = None
    client_token: str | None = None
    fired: WallTime = WallTime(0)


class Bucket(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom a bucket tells of its objects."""

    name: str
    account: AccountId
    region: Region
    partition: str
    told: Told = Told()


class Subscription(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function that has the messages of a topic."""

    arn: str
    topic: str
    function: str
    """Both ARNs."""

    account: AccountId
    region: Region
    """Whose the subscription is."""

    filter_policy: str | None = None
    filter_scope: str = "MessageAttributes"
