"""The smallest useful function: it greets, and counts how often this environment was used."""

import os

greeted = []


def lambda_handler(event, context):
    name = event.get("name", "you")
    greeted.append(name)
    print(f"greeting {name}")
    return {
        "greeting": f"Hello, {name}!",
        "greeted_here": len(greeted),
        "process": os.getpid(),
        "user": os.getuid(),
        "left_ms": context.get_remaining_time_in_millis(),
    }
