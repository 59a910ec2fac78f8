"""`make campaign`: one of the campaigns, in full unless told otherwise. Ends with 1 if an event was lost.

The end says what came of it; what failed is followed by the command that repeats it.
"""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from campaign import simulated
from ondol.model.errors import OndolError
from ondol.simulator.virtual_time import Deadlock

TOLD_EVERY_S = 5.0
AGAIN = f"PYTHONPATH=tests {sys.executable} -m campaign"


def main() -> int:
    options = _options()
    began = time.monotonic()
    right = options.run(options)
    print(f"{'nothing is lost' if right else 'FAILED'}, after {time.monotonic() - began:.0f} s", flush=True)
    return 0 if right else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m campaign", description=__doc__)
    campaigns = parser.add_subparsers(required=True)
    seeds = campaigns.add_parser("simulated", help="the events service in virtual time")
    seeds.add_argument("--seeds", type=int, default=10_000, metavar="N", help="default: 10000")
    seeds.add_argument("--first", type=int, default=0, metavar="SEED", help="default: 0")
    seeds.set_defaults(run=_simulated)
    kills = campaigns.add_parser("live", help="a real ondol")
    kills.add_argument("--kills", type=int, default=200, metavar="N", help="default: 200")
    kills.add_argument("--seed", type=int, default=0, help="of all kills together (default: 0)")
    kills.set_defaults(run=_live)
    return parser.parse_args()


def _simulated(options: argparse.Namespace) -> bool:
    logging.disable()  # the service says much of its troubles
    figures, right = simulated.Figures(), True
    told = time.monotonic()
    for number in range(1, options.seeds + 1):
        seed = options.first + number - 1
        try:
            figures.add(simulated.campaign(seed))
        except (simulated.Wrong, OndolError, Deadlock) as error:
            right = False
            print(f"seed {seed}: {error!r}\n  again: {AGAIN} simulated --first {seed} --seeds 1", flush=True)
        if number == options.seeds or time.monotonic() - told > TOLD_EVERY_S:
            told = time.monotonic()
            print(f"{number:>6} seeds: {figures}", flush=True)
    return right


def _live(options: argparse.Namespace) -> bool:
    from campaign.live import LiveCampaign  # noqa: PLC0415 (boto3 takes its time, and the other campaign needs none)

    with tempfile.TemporaryDirectory() as directory, LiveCampaign(Path(directory), options.seed) as campaign:
        for number in range(1, options.kills + 1):
            when = campaign.round()
            print(f"{number:>4} killed while it {when}: {campaign.ledger.figures()}", flush=True)
        wrong = campaign.finish()
        print(f"{options.kills:>4} kills: {campaign.ledger.figures()}")
    for each in wrong:
        print(each)
    if wrong:
        print(f"  again: {AGAIN} live --kills {options.kills} --seed {options.seed}")
    return not wrong


if __name__ == "__main__":
    sys.exit(main())
