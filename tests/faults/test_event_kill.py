"""A shorter form of `make campaign` live: kill -9 at seeded moments, and no event that was acknowledged is lost."""

from pathlib import Path

from campaign.live import LiveCampaign

KILLS = 6
SEED = 22


def test_every_acknowledged_event_comes_to_a_good_end(tmp_path: Path) -> None:
    """Repeated, and longer, with `PYTHONPATH=tests python -m campaign live --kills 6 --seed 22`."""
    with LiveCampaign(tmp_path, SEED) as campaign:
        moments = {campaign.round() for _ in range(KILLS)}
        assert campaign.finish() == []
        figures = campaign.ledger.figures()
    assert moments == {"starts", "works", "stops"}
    assert figures["accepted"] > 15 * KILLS, "hardly anything was accepted: the test tests too little"
    assert figures["told to destinations"] > KILLS
