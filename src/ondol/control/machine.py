"""The life cycle of `$LATEST` and of each published version: stages, and what moves them.

```
           PREPARED            ADOPTED             UPDATED             PREPARED               ADOPTED
 CREATING ─────────▶ OPENING ─────────▶ READY ─────────▶ UPDATING ─────────▶ HANDING_OVER ─────────▶ READY
    │ REFUSED                             ▲ UPDATED          │ REFUSED
    ▼          UPDATED                    └── UPDATE_FAILED ◀┘
  FAILED ─────────────▶ REPAIRING ── PREPARED ─▶ HANDING_OVER        (REFUSED: FAILED again)
```

PREPARED and REFUSED are what the workers say of the code; ADOPTED is said once no holder decides by an older view.
A published version is never updated. What the table does not list is an `InvariantError`.
"""

from enum import Enum

from ondol.model.errors import InvariantError


class Stage(Enum):
    CREATING = "creating"
    OPENING = "opening"
    """Its code is ready and may run, but not every frontend knows it yet."""

    READY = "ready"
    UPDATING = "updating"
    """The old settings run on while the new code is made ready."""

    HANDING_OVER = "handing-over"
    """The new settings run wherever they are known; some frontend may still start an invocation of the old ones."""

    UPDATE_FAILED = "update-failed"
    """The old settings run on, for good."""

    FAILED = "failed"
    REPAIRING = "repairing"


class Event(Enum):
    UPDATED = "updated"
    PREPARED = "prepared"
    REFUSED = "refused"
    ADOPTED = "adopted"


TRANSITIONS: dict[tuple[Stage, Event], Stage] = {
    (Stage.CREATING, Event.PREPARED): Stage.OPENING,
    (Stage.CREATING, Event.REFUSED): Stage.FAILED,
    (Stage.OPENING, Event.ADOPTED): Stage.READY,
    (Stage.READY, Event.UPDATED): Stage.UPDATING,
    (Stage.UPDATE_FAILED, Event.UPDATED): Stage.UPDATING,
    (Stage.UPDATING, Event.PREPARED): Stage.HANDING_OVER,
    (Stage.UPDATING, Event.REFUSED): Stage.UPDATE_FAILED,
    (Stage.HANDING_OVER, Event.ADOPTED): Stage.READY,
    (Stage.FAILED, Event.UPDATED): Stage.REPAIRING,
    (Stage.REPAIRING, Event.PREPARED): Stage.HANDING_OVER,
    (Stage.REPAIRING, Event.REFUSED): Stage.FAILED,
}

AWAITING_CODE = frozenset({Stage.CREATING, Stage.UPDATING, Stage.REPAIRING})
AWAITING_ADOPTION = frozenset({Stage.OPENING, Stage.HANDING_OVER})
SETTLED = frozenset(Stage) - AWAITING_CODE - AWAITING_ADOPTION


def step(stage: Stage, event: Event) -> Stage:
    """The stage that follows. Raises `InvariantError` for what cannot happen."""
    try:
        return TRANSITIONS[stage, event]
    except KeyError:
        raise InvariantError(f"{event.name} in stage {stage.name}") from None
