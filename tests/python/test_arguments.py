"""Bad arguments of every function: the typed error, and nothing is sent.

What the language can express is made up by hypothesis; the bounds of each argument are in the scenarios.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proxy import Proxy

from leaselock import AsyncClient, AsyncLease, Client, InvalidArgumentError, Lease, LeaselockError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resp import Connection

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

not_text = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(max_size=8),
    st.lists(st.text(max_size=2), max_size=2),
    st.builds(object),
    st.just(bytearray(b"job")),
    st.just(str),
)
not_a_duration = st.one_of(
    st.booleans(),
    st.text(max_size=4),
    st.binary(max_size=4),
    st.just(1 + 0j),
    st.just(Decimal(3)),
    st.just(Fraction(3)),
    st.builds(object),
    st.lists(st.integers(), max_size=2),
    st.just(float),
)
not_a_bool = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=4), st.builds(object))

bad_numbers = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, -1, -0.001, -(10**400), 10**400, timedelta(seconds=-1)]),
    st.floats(max_value=0, exclude_max=True),
    st.integers(max_value=-1),
    st.timedeltas(max_value=timedelta(microseconds=-1)),
)
bad_ttls = st.one_of(
    bad_numbers,
    st.floats(min_value=0, max_value=0.0999),
    st.floats(min_value=365 * 86400 + 1),
    st.integers(min_value=365 * 86400 + 1),
    st.timedeltas(min_value=timedelta(days=365, seconds=1)),
    st.timedeltas(min_value=timedelta(0), max_value=timedelta(milliseconds=99)),
)
surrogates = st.builds(
    lambda before, half, after: before + half + after,
    st.text(st.characters(codec="ascii", categories=["L"]), max_size=5),
    st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF, categories=["Cs"]),
    st.text(st.characters(codec="ascii", categories=["L"]), max_size=5),
)
controls = st.builds(
    lambda before, control: f"{before}{control}x",
    st.text(st.characters(codec="ascii", categories=["L"]), max_size=5),
    st.characters(categories=["Cc"]),
)
bad_names = st.one_of(
    surrogates,
    controls,
    st.just(""),
    st.integers(513, 600).map(lambda n: "n" * n),
    st.integers(129, 200).map(lambda n: "\N{GRINNING FACE}" * n),
    st.sampled_from(["a||b", "|a", "a|"]),
)
bad_owners = st.one_of(surrogates, controls, st.just(""), st.integers(513, 600).map(lambda n: "n" * n))
bad_labels = st.one_of(surrogates, controls, st.integers(129, 200).map(lambda n: "n" * n))
bad_app_ids = st.one_of(
    surrogates, controls, st.integers(257, 300).map(lambda n: "n" * n), st.sampled_from(["a||b", "|a", "a|"])
)

Call = Callable[..., Any]


class Tap:
    """A client and a lease of each kind behind a proxy that counts what they send."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.client = Client(proxy.url, app_id="tap")
        self.aclient = AsyncClient(proxy.url, app_id="tap")
        self.loop = asyncio.new_event_loop()
        self.lease = self.client.acquire("tap-1", ttl=3600)
        self.alease = self.loop.run_until_complete(self.aclient.acquire("tap-2", ttl=3600))

    def run(self, call: Call, *args: Any, **kwargs: Any) -> Any:
        """A call of either kind."""
        result = call(*args, **kwargs)
        return self.loop.run_until_complete(result) if asyncio.iscoroutine(result) else result

    def close(self) -> None:
        self.lease.release()
        self.loop.run_until_complete(self.alease.release())
        self.client.close()
        self.loop.run_until_complete(self.aclient.aclose())
        self.loop.close()

    def refuses(self, expected: type[Exception], call: Call, *args: Any, **kwargs: Any) -> None:
        """The call raises exactly that."""
        with pytest.raises(expected) as raised:
            self.run(call, *args, **kwargs)
        assert type(raised.value) is expected

    @property
    def sent(self) -> int:
        """Bytes that have come by, once what was on its way has arrived."""
        time.sleep(0.05)
        return self.proxy.to_server.passed


@pytest.fixture(scope="module")
def shared_tap(server_url: str) -> Iterator[Tap]:
    with Proxy(int(server_url.rsplit(":", 1)[1])) as proxy:
        tap = Tap(proxy)
        yield tap
        tap.close()


@pytest.fixture
def tap(shared_tap: Tap) -> Iterator[Tap]:
    """Whatever is called in this test sends nothing at all."""
    before = shared_tap.sent
    assert before > 0
    yield shared_tap
    assert shared_tap.sent == before, "something was sent"


CLIENTS = pytest.mark.parametrize("which", ["client", "aclient"])
LEASES = pytest.mark.parametrize("which", ["lease", "alease"])
TAKES = ("acquire", "try_acquire", "lock")


def of(tap: Tap, which: str, verb: str) -> Call:
    call: Call = getattr(getattr(tap, which), verb)
    return call


@CLIENTS
@few
@given(bad=not_text)
def test_names_of_a_wrong_type(tap: Tap, which: str, bad: Any) -> None:
    for verb in (*TAKES, "inspect", "force_release"):
        # A decorator's name may be a function of the call's arguments.
        if verb != "lock" or not callable(bad):
            tap.refuses(TypeError, of(tap, which, verb), bad)
    tap.refuses(TypeError, of(tap, which, "release"), bad, "owner")
    tap.refuses(TypeError, of(tap, which, "release"), "name", bad)
    tap.refuses(TypeError, of(tap, which, "extend"), bad, "owner", 1)
    tap.refuses(TypeError, of(tap, which, "extend"), "name", bad, 1)


@CLIENTS
@few
@given(bad=bad_names)
def test_names_that_are_none(tap: Tap, which: str, bad: str) -> None:
    for verb in (*TAKES, "inspect", "force_release"):
        tap.refuses(InvalidArgumentError, of(tap, which, verb), bad)
    tap.refuses(InvalidArgumentError, of(tap, which, "release"), bad, "owner")
    tap.refuses(InvalidArgumentError, of(tap, which, "extend"), bad, "owner", 1)


@CLIENTS
@few
@given(bad=bad_owners)
def test_owners_that_are_none(tap: Tap, which: str, bad: str) -> None:
    tap.refuses(InvalidArgumentError, of(tap, which, "release"), "name", bad)


@CLIENTS
@few
@given(bad=surrogates, wrong=not_text)
def test_patterns(tap: Tap, which: str, bad: str, wrong: Any) -> None:
    if wrong is not None or which == "aclient":
        tap.refuses(TypeError, of(tap, which, "locks"), wrong)
    tap.refuses(InvalidArgumentError, of(tap, which, "locks"), bad)


@CLIENTS
@few
@given(bad=bad_labels, wrong=not_text.filter(lambda value: value is not None))
def test_labels(tap: Tap, which: str, bad: str, wrong: Any) -> None:
    for verb in TAKES:
        tap.refuses(TypeError, of(tap, which, verb), "name", label=wrong)
        tap.refuses(InvalidArgumentError, of(tap, which, verb), "name", label=bad)


@CLIENTS
@few
@given(bad=bad_ttls, wrong=st.one_of(not_a_duration, st.none()))
def test_ttls(tap: Tap, which: str, bad: Any, wrong: Any) -> None:
    """FIELD-BUGS 30: the error says in which unit a number was read."""
    for verb in TAKES:
        tap.refuses(TypeError, of(tap, which, verb), "name", ttl=wrong)
        tap.refuses(InvalidArgumentError, of(tap, which, verb), "name", ttl=bad)
    with pytest.raises(InvalidArgumentError, match="seconds"):
        tap.run(of(tap, which, "acquire"), "name", ttl=bad)


@CLIENTS
@few
@given(bad=bad_numbers, wrong=not_a_duration)
def test_waits(tap: Tap, which: str, bad: Any, wrong: Any) -> None:
    for verb in ("acquire", "lock"):
        tap.refuses(TypeError, of(tap, which, verb), "name", wait=wrong)
        tap.refuses(InvalidArgumentError, of(tap, which, verb), "name", wait=bad)
    tap.refuses(TypeError, of(tap, which, "try_acquire"), "name", wait=1)


@CLIENTS
@few
@given(bad=st.one_of(bad_numbers, st.floats(0, 29.99)), wrong=not_a_duration)
def test_max_holds(tap: Tap, which: str, bad: Any, wrong: Any) -> None:
    for verb in TAKES:
        tap.refuses(TypeError, of(tap, which, verb), "name", max_hold=wrong)
        tap.refuses(InvalidArgumentError, of(tap, which, verb), "name", ttl=30, max_hold=bad)


@CLIENTS
@few
@given(bad=st.one_of(bad_numbers, st.floats(60.01, 1e6)), wrong=not_a_duration)
def test_min_holds(tap: Tap, which: str, bad: Any, wrong: Any) -> None:
    for verb in TAKES:
        tap.refuses(TypeError, of(tap, which, verb), "name", min_hold=wrong)
        tap.refuses(InvalidArgumentError, of(tap, which, verb), "name", max_hold=60, min_hold=bad)


@CLIENTS
@few
@given(wrong=not_a_bool)
def test_renew_is_a_bool(tap: Tap, which: str, wrong: Any) -> None:
    for verb in TAKES:
        tap.refuses(TypeError, of(tap, which, verb), "name", renew=wrong)


@LEASES
@few
@given(bad=bad_ttls, wrong=not_a_duration)
def test_extending(tap: Tap, which: str, bad: Any, wrong: Any) -> None:
    tap.refuses(TypeError, of(tap, which, "extend"), wrong)
    tap.refuses(InvalidArgumentError, of(tap, which, "extend"), bad)
    lease: Lease | AsyncLease = getattr(tap, which)
    assert lease.held, "a refused extension changes nothing"


@LEASES
@few
@given(bad=bad_numbers, wrong=not_a_duration)
def test_time_outs_of_wait_lost(tap: Tap, which: str, bad: Any, wrong: Any) -> None:
    tap.refuses(TypeError, of(tap, which, "wait_lost"), wrong)
    tap.refuses(InvalidArgumentError, of(tap, which, "wait_lost"), bad)


@pytest.mark.parametrize("make", [Client, AsyncClient])
@few
@given(bad=bad_app_ids, wrong=not_text.filter(lambda value: value is not None))
def test_app_ids(make: Call, bad: str, wrong: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        make("redis://127.0.0.1:1", app_id=bad)
    with pytest.raises(TypeError):
        make("redis://127.0.0.1:1", app_id=wrong)


@pytest.mark.parametrize("make", [Client, AsyncClient])
@few
@given(bad=st.one_of(bad_numbers, st.just(0), st.just(0.0)), wrong=st.one_of(not_a_duration, st.none()))
def test_command_time_outs(make: Call, bad: Any, wrong: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        make("redis://127.0.0.1:1", command_timeout=bad)
    with pytest.raises(TypeError):
        make("redis://127.0.0.1:1", command_timeout=wrong)


@pytest.mark.parametrize("make", [Client, AsyncClient])
@few
@given(url=st.one_of(st.text(), surrogates), wrong=not_text.filter(lambda value: value is not None))
def test_urls(make: Call, url: str, wrong: Any) -> None:
    with pytest.raises(TypeError):
        make(wrong)
    # Whatever text it is: it can be used, or it is refused as what it is.
    try:
        client = make(url)
    except InvalidArgumentError as error:
        assert error.code == "INVALID_ARGUMENT"
    else:
        assert client.id


@CLIENTS
def test_calls_of_a_wrong_shape(tap: Tap, which: str) -> None:
    for verb in ("acquire", "try_acquire", "lock", "inspect", "force_release", "release"):
        tap.refuses(TypeError, of(tap, which, verb))
    tap.refuses(TypeError, of(tap, which, "acquire"), "name", 30)
    tap.refuses(TypeError, of(tap, which, "acquire"), "name", timeout=3)
    tap.refuses(TypeError, of(tap, which, "release"), "name")
    tap.refuses(TypeError, of(tap, which, "extend"), "name", "owner")
    tap.refuses(TypeError, of(tap, which, "extend"), "name", "owner", "1")
    tap.refuses(InvalidArgumentError, of(tap, which, "extend"), "name", "owner", 0.09)


@CLIENTS
@few
@given(seconds=st.floats(0.1, 1e7), micros=st.integers(100_000, 10**12))
def test_every_way_to_write_a_duration(tap: Tap, which: str, seconds: float, micros: int) -> None:
    """Numbers and timedeltas that are in range are taken; checked through `lock`, which sends nothing."""
    lock = of(tap, which, "lock")
    lock("name", ttl=seconds, wait=seconds, max_hold=seconds)
    lock("name", ttl=timedelta(microseconds=micros), wait=timedelta(microseconds=micros))
    lock("name", ttl=1 + micros // 10**6, wait=micros)


@pytest.mark.parametrize(
    ("given_ttl", "milliseconds"),
    [
        (timedelta(milliseconds=1500), 1500),
        (1.5, 1500),
        (2, 2000),
        (0.29, 290),
        (0.1009, 100),
        (timedelta(microseconds=150_999), 150),
        (timedelta(days=365), 365 * 86_400_000),
    ],
)
def test_fractions_round_down_to_the_millisecond(
    client: Client, redis: Connection, name: str, given_ttl: float | timedelta, milliseconds: int
) -> None:
    lease = client.acquire(name, ttl=given_ttl, renew=False)
    assert round(lease.ttl * 1000, 6) == milliseconds
    left = redis.command("PTTL", f"lock||{client.app_id}||{name}")
    assert isinstance(left, int)
    assert left <= milliseconds
    lease.release()


def test_the_error_text_says_what_was_expected() -> None:
    client = Client("redis://127.0.0.1:1")
    wrong: Any = True
    with pytest.raises(TypeError, match="ttl must be a number of seconds or a timedelta, not bool"):
        client.acquire("name", ttl=wrong)
    wrong = 7
    with pytest.raises(TypeError, match="name must be a str, not int"):
        client.acquire(wrong)
    with pytest.raises(TypeError, match="renew must be a bool, not int"):
        client.acquire("name", renew=wrong)
    with pytest.raises(InvalidArgumentError, match="surrogate"):
        client.acquire("a\ud800")
    with pytest.raises(ValueError, match="ttl"):
        client.acquire("name", ttl=30_000_000_000)
    assert issubclass(InvalidArgumentError, LeaselockError)


@pytest.mark.parametrize("method", ["acquire", "try_acquire", "lock"])
def test_the_options_are_the_same_for_both_clients(method: str) -> None:
    def options(client: type) -> dict[str, object]:
        parameters = inspect.signature(getattr(client, method)).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    ours = options(Client)
    assert {"ttl": 30, "renew": True, "max_hold": None, "label": None}.items() <= ours.items()
    assert ("wait" in ours) == (method != "try_acquire")
    assert options(AsyncClient) == {**ours, "cancel_on_lost": True}
    with Client("memory:options") as client:
        for unknown in {"color", "wait", "cancel_on_lost"} - ours.keys():
            with pytest.raises(
                TypeError, match=rf"^Client\.{method}\(\) got an unexpected keyword argument '{unknown}'"
            ):
                getattr(client, method)("a", **{unknown: 1})
