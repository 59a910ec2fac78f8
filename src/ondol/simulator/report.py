"""What came of a simulation, in figures that can be read or processed."""

import msgspec

from ondol.model.time import SECOND
from ondol.simulator.figures import ANSWERED, Figures
from ondol.simulator.trace import Site
from ondol.simulator.workloads import Load

MB_NS_PER_GB_HOUR = 1024 * 3600 * SECOND


class Report(msgspec.Struct, frozen=True):
    """Durations in seconds, memory in gigabytes, shares from 0 to 1."""

    invocations: int
    functions: int
    applications: int
    account_concurrency: int
    outcomes: dict[str, int]
    """How many clients were told what."""

    cold_runs: int
    """Invocations that were the first of their environment."""

    cold_share: float
    environments_started: int
    committed_gb_h: float
    busy_gb_h: float
    workers: int
    workers_used: int
    peak_environments: int
    peak_committed_gb: float
    peak_committed_share: float
    """Of what the fleet may be committed to."""

    simulated_s: float
    took_s: float
    invocations_per_s: float


def summarize(load: Load, site: Site, figures: Figures, took_s: float) -> Report:
    fleet_mb = site.workers * site.worker_memory_mb * site.placement.memory_overcommit
    return Report(
        invocations=figures.calls,
        functions=len(load.functions),
        applications=load.applications,
        account_concurrency=site.limits.concurrency,
        outcomes=dict(figures.told.most_common()),
        cold_runs=figures.cold_runs,
        cold_share=figures.cold_runs / max(1, figures.runs),
        environments_started=figures.starts,
        committed_gb_h=figures.committed_mb_ns / MB_NS_PER_GB_HOUR,
        busy_gb_h=figures.busy_mb_ns / MB_NS_PER_GB_HOUR,
        workers=site.workers,
        workers_used=len(figures.workers_used),
        peak_environments=figures.peak_environments,
        peak_committed_gb=figures.peak_committed_mb / 1024,
        peak_committed_share=figures.peak_committed_mb / fleet_mb,
        simulated_s=figures.until / SECOND,
        took_s=took_s,
        invocations_per_s=figures.calls / took_s,
    )


def rows(report: Report) -> list[tuple[str, str]]:
    """The report as people read it: what, and how much."""
    hours, seconds = divmod(round(report.simulated_s), 3600)
    throttled = report.invocations - report.outcomes.get(ANSWERED, 0)
    others = [(f"  {outcome}", f"{n:,}") for outcome, n in report.outcomes.items() if outcome != ANSWERED]
    return [
        (
            "load",
            f"{report.invocations:,} invocations of {report.functions} functions, {report.applications} applications",
        ),
        ("time simulated", f"{hours} h {seconds // 60} min, until the last environment was gone"),
        ("time taken", f"{report.took_s:.1f} s: {report.invocations_per_s:,.0f} invocations per second"),
        ("cold starts", f"{report.cold_share:.2%} of what ran: {report.cold_runs:,}"),
        ("environments started", f"{report.environments_started:,}, of which {report.peak_environments:,} at one time"),
        ("memory committed", f"{report.committed_gb_h:,.0f} GB-hours"),
        ("memory busy", f"{report.busy_gb_h:,.0f} GB-hours, {_share(report.busy_gb_h, report.committed_gb_h)} of it"),
        ("throttled or failed", f"{throttled:,} at an account concurrency of {report.account_concurrency:,}"),
        *others,
        ("workers used", f"{report.workers_used:,} of {report.workers:,}"),
        ("peak commitment", f"{report.peak_committed_gb:,.0f} GB, {report.peak_committed_share:.1%} of the fleet's"),
    ]


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "none"
