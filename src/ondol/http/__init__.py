"""HTTP/1.1 on asyncio transports: the one protocol class that every listener of ondol serves with.

```
                 bytes            requests, in order
  transport ──▶ HttpProtocol ──▶ RequestParser ──▶ handler(request, response)
            ◀── Outbox ◀──┴───────────────────────── response.send, or start, write, end
```

It decides what is well-formed, how much one peer may make the server hold, when to read on, and when a slow or
idle peer is closed. It must not know what a path means: that is the handler's.

`Exchange` is the other side: one request of ours to another server, streamed; `Calls` are many small ones.
"""

from ondol.http.answer import AnswerHead, Patience, ServerGone, ServerSlow
from ondol.http.body import Body
from ondol.http.calls import Calls
from ondol.http.commons import HttpCommons
from ondol.http.connection import HttpProtocol
from ondol.http.errors import BodyTooLarge, ClientGone, HttpError, InvalidResponse, Refused
from ondol.http.exchange import Exchange
from ondol.http.head import Fields, response_head
from ondol.http.limits import HttpLimits
from ondol.http.request import Peer, Request
from ondol.http.response import Response
from ondol.http.server import Handler, Server
from ondol.http.tls import Certificate, CertificateError, load_certificate

__all__ = [
    "AnswerHead",
    "Body",
    "BodyTooLarge",
    "Calls",
    "Certificate",
    "CertificateError",
    "ClientGone",
    "Exchange",
    "Fields",
    "Handler",
    "HttpCommons",
    "HttpError",
    "HttpLimits",
    "HttpProtocol",
    "InvalidResponse",
    "Patience",
    "Peer",
    "Refused",
    "Request",
    "Response",
    "Server",
    "ServerGone",
    "ServerSlow",
    "load_certificate",
    "response_head",
]
