"""The function of the rehearsal."""


def handler(event, context):  # type: ignore[no-untyped-def]  # as a customer would write it
    return {"event": event, "left": context.get_remaining_time_in_millis()}
