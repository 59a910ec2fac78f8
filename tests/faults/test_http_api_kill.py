"""What ondol's own API for HTTP APIs and stacks has acknowledged is there after kill -9."""

from pathlib import Path

from conformance.http_apis import allowed, fetched, made, own
from ondol_process import OndolProcess, create


def test_an_api_and_a_stack_survive_kill_9(tmp_path: Path) -> None:
    code = "def h(event, context): return {'statusCode': 200, 'body': event['requestContext']['routeKey']}"
    with OndolProcess(tmp_path / "data") as ondol:
        create(ondol.client(), "routed", code)
        allowed(ondol.client(), "routed")
        route = {"method": "GET", "path": "/{x}", "function": "routed"}
        made(ondol, "api", kind="http", stage="$default", routes=[])
        made(ondol, "gone", kind="http", stage="$default", routes=[])
        assert own(ondol, "DELETE", "/_ondol/http-apis/gone")[0] == 200
        own(ondol, "PUT", "/_ondol/stacks/shop", {"made": [{"id": "A", "kind": "queue", "name": "q"}]})
        url = made(ondol, "api", kind="http", stage="$default", routes=[route])
        ondol.kill()
        ondol.start()
        assert fetched(ondol, url, "/a") == b"GET /{x}"
        assert [api["name"] for api in own(ondol, "GET", "/_ondol/http-apis")[1]["apis"]] == ["api"]
        assert own(ondol, "GET", "/_ondol/stacks/shop")[1]["made"][0]["name"] == "q"
        assert own(ondol, "POST", "/_ondol/reset")[0] == 200
        assert own(ondol, "GET", "/_ondol/stacks")[1] == {"stacks": []}
        assert own(ondol, "GET", "/_ondol/http-apis")[1] == {"apis": []}
