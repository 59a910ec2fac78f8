"""`make campaign`: one of the campaigns, in full unless told otherwise. Ends with 1 if an event was lost.

The end says what came of it; what failed is followed by the command that repeats it.
"""

import argparse
import logging
import sys
import time

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


if __name__ == "__main__":
    sys.exit(main())
