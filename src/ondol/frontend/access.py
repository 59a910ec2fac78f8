"""Who may call from where, before anything else is looked at.

Pure. On loopback any signature header may be taken as it is; what must be kept out is the web page in the user's own
browser, which can reach loopback too, and every network that the user can. A page cannot set an Authorization header
without a preflight, cannot hide its `Origin` or `Sec-Fetch-Site`, and under a rebound name cannot hide its `Host`.
"""

from collections.abc import Mapping

from ondol.model.errors import AccessDenied
from ondol.model.network import is_our_name


def refuse_web_pages(headers: Mapping[str, str], names: frozenset[str] = frozenset()) -> None:
    """Raise `AccessDenied` for what only a browser sends, and for names that are not ours (DNS rebinding).

    `names` are this machine's beside those of loopback.
    """
    if "origin" in headers:
        raise AccessDenied("Requests with an Origin header are refused: web pages may not call this API.")
    if headers.get("sec-fetch-site", "none") != "none":
        raise AccessDenied("Requests that a web page caused are refused: web pages may not call this API.")
    if not is_our_name(headers.get("host", ""), names):
        also = f", or by a name of its certificate: {', '.join(sorted(names))}" if names else ""
        raise AccessDenied(f"The Host header names another machine. Call ondol as localhost or 127.0.0.1{also}.")
