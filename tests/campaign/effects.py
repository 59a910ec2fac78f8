"""Where the effects of events show in the live campaign: a socket that functions talk to, and the queues of moto.

Both write what they see into the stories of the `Ledger`, whose clock is the only one that counts.
"""

import json
import socketserver
import threading
from typing import Any

from campaign.ledger import Ledger

_PAUSE_S = 0.05


class Effects:
    """Functions say which event they have, and are told how to end."""

    def __init__(self, ledger: Ledger) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                words = self.rfile.readline().split()
                if words:
                    self.wfile.write(ledger.answer(words[0].decode(), int(words[1])).encode())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._serving.start()

    def close(self) -> None:
        self._server.shutdown()
        self._serving.join()
        self._server.server_close()


class Destinations:
    """Queues that are emptied as they fill."""

    def __init__(self, ledger: Ledger, sqs: Any, urls: dict[str, str]) -> None:
        """`urls`: by the ARN of the destination that its queue stands for."""
        self._ledger = ledger
        self._sqs = sqs
        self._urls = urls
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def close(self) -> None:
        self._over.set()
        self._watching.join()

    def _watch(self) -> None:
        while not self._over.wait(_PAUSE_S):
            for arn, url in self._urls.items():
                while messages := self._receive(url):
                    for message in messages:
                        self._ledger.told(arn, number_in(message["Body"]))

    def _receive(self, url: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
            "Messages", []
        )
        if messages:
            entries = [{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(messages)]
            self._sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return messages


def number_in(body: str) -> int:
    """The event's payload, be it bare, in a record, or in a topic's envelope."""
    value = json.loads(body)
    while isinstance(value, dict):
        value = value["requestPayload"] if "requestPayload" in value else json.loads(value["Message"])
    return int(value)
