"""Environments that were forked from one interpreter must not draw the same random numbers."""

import pytest
from prison import Prison

pytestmark = pytest.mark.sandbox

DRAW = """
import random, secrets, ssl, tempfile, uuid
report(random=random.getrandbits(128), fresh=random.Random().getrandbits(128), uuid=str(uuid.uuid4()),
       openssl=ssl.RAND_bytes(16).hex(), system=os.urandom(16).hex(), token=secrets.token_hex(),
       name=next(tempfile._get_candidate_names()))
"""


def test_environments_of_one_zygote_draw_different_numbers(prison: Prison) -> None:
    drawn = [prison.results(DRAW) for _ in range(4)]
    for source in drawn[0]:
        assert len({numbers[source] for numbers in drawn}) == len(drawn), source
