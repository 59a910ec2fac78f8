"""What a REST API with CORS settings answers to OPTIONS: the same to everybody, as SAM has API Gateway do. Pure.

Its functions say the rest themselves. Source: AWS SAM developer guide, "CorsConfiguration" of AWS::Serverless::Api.
"""

from collections.abc import Collection

from ondol.aws.http_event import Fields
from ondol.model.function_url import Cors
from ondol.model.http_api import ANY, METHODS


def mocked_preflight(cors: Cors, methods: Collection[str]) -> Fields:
    """`methods` are those of the path, allowed where the settings name none."""
    allowed = cors.allow_methods or tuple(sorted(METHODS if ANY in methods else {*methods, "OPTIONS"}))
    fields: Fields = [
        ("Access-Control-Allow-Origin", ",".join(cors.allow_origins or ("*",))),
        ("Access-Control-Allow-Methods", ",".join(allowed)),
    ]
    if cors.allow_headers:
        fields.append(("Access-Control-Allow-Headers", ",".join(cors.allow_headers)))
    if cors.max_age is not None:
        fields.append(("Access-Control-Max-Age", str(cors.max_age)))
    if cors.allow_credentials:
        fields.append(("Access-Control-Allow-Credentials", "true"))
    return fields
