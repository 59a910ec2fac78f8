"""What a function URL tells web pages of other origins. Pure.

Source: developer guide, "Cross-origin resource sharing (CORS)" of function URLs; the Fetch standard, "CORS protocol".
"""

from collections.abc import Mapping

from ondol.model.function_url import Cors

Fields = list[tuple[str, str]]

_ANY = "*"


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a browser asks, before it sends a page's request, if it may."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight_fields(cors: Cors, headers: Mapping[str, str]) -> Fields:
    """The answer to a preflight. To an origin that is not allowed it allows nothing."""
    fields = _origin_fields(cors, headers)
    if _is_allowed(cors, headers):
        for name, values in (
            ("Access-Control-Allow-Methods", cors.allow_methods),
            ("Access-Control-Allow-Headers", cors.allow_headers),
        ):
            if values:
                fields.append((name, ",".join(values)))
        if cors.max_age is not None:
            fields.append(("Access-Control-Max-Age", str(cors.max_age)))
    return fields


def answer_fields(cors: Cors | None, headers: Mapping[str, str]) -> Fields:
    """What is added to the answer to a page's request."""
    if cors is None:
        return []
    fields = _origin_fields(cors, headers)
    if cors.expose_headers and _is_allowed(cors, headers):
        fields.append(("Access-Control-Expose-Headers", ",".join(cors.expose_headers)))
    return fields


def without_cors(fields: Fields) -> Fields:
    """A function's own fields, where its URL speaks for it: a browser takes no answer that says it twice."""
    return [field for field in fields if not field[0].lower().startswith("access-control-")]


def _origin_fields(cors: Cors, headers: Mapping[str, str]) -> Fields:
    anybody = _ANY in (cors.allow_origins or ())
    fields: Fields = []
    if _is_allowed(cors, headers):
        # To a request with credentials a browser does not take the asterisk.
        fields.append(
            ("Access-Control-Allow-Origin", _ANY if anybody and not cors.allow_credentials else headers["origin"])
        )
        if cors.allow_credentials:
            fields.append(("Access-Control-Allow-Credentials", "true"))
    if not anybody or cors.allow_credentials:
        fields.append(("Vary", "Origin"))
    return fields


def _is_allowed(cors: Cors, headers: Mapping[str, str]) -> bool:
    allowed = cors.allow_origins or ()
    return "origin" in headers and (_ANY in allowed or headers["origin"] in allowed)
