"""ARNs of buses, rules, schedules and their groups. Pure."""

from ondol.model.arn import partition_of
from ondol.model.ids import AccountId, Region
from ondol.triggers.api import Owner
from ondol.triggers.records import DEFAULT_BUS, Rule, Schedule


def bus_arn(owner: Owner, name: str) -> str:
    return _arn("events", owner.region, owner.account, f"event-bus/{name}")


def rule_arn(rule: Rule) -> str:
    bus = "" if rule.bus == DEFAULT_BUS else f"{rule.bus}/"
    return _arn("events", rule.region, rule.account, f"rule/{bus}{rule.name}")


def schedule_arn(schedule: Schedule) -> str:
    return _arn("scheduler", schedule.region, schedule.account, f"schedule/{schedule.group}/{schedule.name}")


def group_arn(owner: Owner, name: str) -> str:
    return _arn("scheduler", owner.region, owner.account, f"schedule-group/{name}")


def owner_and_name(arn: str, service: str, kind: str) -> tuple[Owner, str] | None:
    """Whose a resource of this service and kind is, and what follows its kind; None for any other ARN."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[2] != service or not parts[5].startswith(f"{kind}/"):
        return None
    return Owner(AccountId(parts[4]), Region(parts[3])), parts[5].removeprefix(f"{kind}/")


def _arn(service: str, region: str, account: str, resource: str) -> str:
    return f"arn:{partition_of(region)}:{service}:{region}:{account}:{resource}"
