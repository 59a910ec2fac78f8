"""Routes of HTTP APIs: the most specific one that fits takes a request, in whatever order they came."""

from hypothesis import given
from hypothesis import strategies as st

from ondol.control.http_apis import WantedApi, WantedRoute, api_of, require_valid
from ondol.frontend.routing import Router
from ondol.model.errors import InvalidParameterValue
from ondol.model.http_api import ApiKind, HttpApi, HttpApiKey, SegmentKind, parse_path
from ondol.model.ids import AccountId, Region

KEY = HttpApiKey(AccountId("000000000000"), Region("us-east-1"), "a")
WORDS = st.sampled_from(["a", "b", "{x}", "{y}"])
LAST = st.sampled_from(["a", "b", "{x}", "{rest+}"])
PATHS = st.builds(lambda first, last: "/" + "/".join([*first, last]), st.lists(WORDS, max_size=3), LAST)
METHODS = st.sampled_from(["GET", "PUT", "ANY"])
ROUTES = st.lists(st.tuples(METHODS, PATHS), max_size=8, unique=True)
CALLED = st.builds(lambda parts: "/" + "/".join(parts), st.lists(st.sampled_from(["a", "b", "c"]), max_size=5))


def api(kind: ApiKind, routes: list[tuple[str, str]]) -> HttpApi | None:
    """None where these routes cannot be of one API."""
    made = tuple(WantedRoute(method, path, f"f{number}") for number, (method, path) in enumerate(routes))
    wanted = WantedApi(kind, "s", made)
    try:
        require_valid("a", wanted)
    except InvalidParameterValue:
        return None
    return api_of("secret", KEY, wanted, 1)


def fits(path: str, called: str) -> bool:
    segments, parts = parse_path(path), [part for part in called.split("/") if part]
    for at, segment in enumerate(segments):
        if segment.kind is SegmentKind.GREEDY:
            return len(parts) > at
        if at >= len(parts) or (segment.kind is SegmentKind.LITERAL and parts[at] != segment.text):
            return False
    return len(parts) == len(segments)


def rank(path: str) -> list[int]:
    return [segment.kind for segment in parse_path(path)]


@given(ROUTES, CALLED, st.sampled_from(["GET", "PUT", "POST"]), st.randoms())
def test_an_http_api_takes_the_most_specific_route(routes, called, method, random) -> None:
    made = api(ApiKind.HTTP, routes)
    if made is None:
        return
    found = Router(made).find(method, called)
    candidates = [route for route in routes if route[0] in {method, "ANY"} and fits(route[1], called)]
    if not candidates:
        assert found is None
        return
    assert found is not None
    best = min(candidates, key=lambda route: (rank(route[1]), route[0] == "ANY"))
    assert (found.route.method, rank(found.route.path)) == (best[0], rank(best[1]))
    shuffled = random.sample(routes, len(routes))
    again = api(ApiKind.HTTP, shuffled)
    assert again is not None
    other = Router(again).find(method, called)
    assert other is not None and (other.route.key, other.variables) == (found.route.key, found.variables)


@given(ROUTES, CALLED, st.sampled_from(["GET", "PUT"]))
def test_a_rest_api_looks_at_one_path_only(routes, called, method) -> None:
    made = api(ApiKind.REST, routes)
    if made is None:
        return
    found = Router(made).find(method, called)
    paths = [path for _, path in routes if fits(path, called)]
    if not paths:
        assert found is None and Router(made).methods(called) is None
        return
    best = min(map(rank, paths))
    methods = {each for each, path in routes if rank(path) == best and fits(path, called)}
    assert (found is not None) == bool(methods & {method, "ANY"})
    assert found is None or rank(found.route.path) == best
