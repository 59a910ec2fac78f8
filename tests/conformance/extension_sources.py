"""Extensions as people write them for AWS: in bash with curl, and in Python with the standard library."""

BASH_OPENING = """#!/bin/bash
set -uo pipefail
own="$(basename "$0")"
api="http://${AWS_LAMBDA_RUNTIME_API}/2020-01-01/extension"
register() {
  curl -sS -XPOST "$api/register" --header "Lambda-Extension-Name: ${own}" -d "{ \\"events\\": $1 }" \\
    -D /tmp/$own.headers > /tmp/$own.out
  id=$(grep -i Lambda-Extension-Identifier /tmp/$own.headers | tr -d '[:space:]' | cut -d: -f2)
}
next() { event=$(curl -sS -XGET "$api/event/next" --header "Lambda-Extension-Identifier: ${id}"); }
error() { curl -sS -XPOST "$api/$1/error" --header "Lambda-Extension-Identifier: ${id}" \\
  --header "Lambda-Extension-Function-Error-Type: $2" -d '{}'; }
"""

BASH = (
    BASH_OPENING
    + """
trap 'echo "[$own] asked to end"; exit 0' TERM
register '["INVOKE", "SHUTDOWN"]'
echo "[$own] registered as $(cat /tmp/$own.out)"
while true; do
  next
  echo "[$own] event: $event"
  case "$event" in *SHUTDOWN*) exit 0 ;; esac
done
"""
)

PYTHON = """#!/usr/bin/env python3
import http.client, json, os, sys
from pathlib import Path

NAME = Path(__file__).name

class Extension:
    def __init__(self):
        self.api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
        headers = {"Lambda-Extension-Name": NAME, "Lambda-Extension-Accept-Feature": "accountId"}
        answer, told = self.ask("POST", "register", headers, json.dumps({"events": ["INVOKE", "SHUTDOWN"]}))
        self.id = answer.getheader("Lambda-Extension-Identifier")
        print(f"[{NAME}] registered {json.dumps(told, sort_keys=True)}", flush=True)

    def ask(self, method, path, headers, body=None):
        self.api.request(method, f"/2020-01-01/extension/{path}", body, headers)
        answer = self.api.getresponse()
        return answer, json.loads(answer.read())

    def events(self):
        while True:
            yield self.ask("GET", "event/next", {"Lambda-Extension-Identifier": self.id})[1]

for event in Extension().events():
    print(f"[{NAME}] {json.dumps(event, sort_keys=True)}", flush=True)
    if event["eventType"] == "SHUTDOWN":
        sys.exit(0)
"""


def bash(script: str, events: str = '["INVOKE", "SHUTDOWN"]') -> str:
    """One that registers and then does this."""
    return f"{BASH_OPENING}\nregister '{events}'\n{script}\n"
