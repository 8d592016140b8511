"""How clients are let in: what a URL says, said in arguments, and a function that gives the credentials."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import time
import weakref
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import certs
import pytest
from faces import Face, eventually, face
from servers import Server

from leaselock import AsyncClient, Client, InvalidArgumentError, StoreRefusedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Kind = type[Client] | type[AsyncClient]
both = pytest.mark.parametrize("kind", [Client, AsyncClient])
RULE = ("on", "~lock||*", "~{lock||*", "&lock||*", "+@all")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certs.make(tmp_path_factory.mktemp("certificates"))


@both
@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("rediss://localhost?tls_ca=/a.pem", {"tls_ca": "/b.pem"}, ("tls_ca", "differ")),
        ("rediss://localhost?ssl_certfile=/a.pem", {"tls_cert": "/b.pem"}, ("tls_cert", "differ")),
        (
            "rediss://localhost?tls_insecure_skip_verify=true",
            {"tls_insecure_skip_verify": False},
            ("tls_insecure_skip_verify", "differ"),
        ),
        ("redis://localhost?key_prefix=a", {"key_prefix": "b"}, ("key_prefix", "differ")),
        ("redis://localhost", {"tls_ca": "/a.pem"}, ("tls_ca", "rediss://")),
        ("redis://localhost", {"tls_insecure_skip_verify": True}, ("tls_insecure_skip_verify", "rediss://")),
        ("rediss://localhost", {"tls_cert": "/a.pem"}, ("tls_cert", "tls_key")),
        ("memory:access", {"tls_key": "/a.pem"}, ("tls_key", "memory:")),
        ("file:/tmp/access.db", {"key_prefix": "a"}, ("key_prefix", "file:")),
        ("redis://localhost?replicas=1", {"replicas": 2}, ("replicas", "differ")),
        ("redis://localhost", {"replicas": -1}, ("replicas", "-1", "whole number")),
        ("redis://localhost", {"replicas": 10**400}, ("replicas", "whole number")),
        ("memory:access", {"replicas": 1}, ("replicas", "memory:")),
        ("redis://localhost", {"address_map": {"a:1": "b:2"}}, ("address_map", "announce")),
        ("redis+cluster://localhost", {"address_map": {"a:1": "b"}}, ("address_map", '"b"')),
        ("file:/tmp/access.db", {"address_map": {"a:1": "b:2"}}, ("address_map", "file:")),
        ("memory:access", {"credentials": lambda: ("u", "p")}, ("credentials", "memory:")),
        ("redis://:c4nary@localhost", {"credentials": lambda: ("u", "p")}, ("credentials", "URL")),
        ("redis://u:c4nary/x@localhost", {}, ("%2F",)),
        ("redis://u:c4nary#x@localhost", {}, ("%23",)),
        ("redis://u:c4n@ry#x@localhost", {}, ("%40", "%23")),
    ],
)
def test_what_is_said_twice_or_cannot_be_obeyed_is_refused(
    kind: Kind, url: str, options: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        kind(url, **options)
    assert all(word in str(raised.value) for word in words), raised.value
    assert "c4n" not in repr(raised.value)


@both
@pytest.mark.parametrize("option", ["tls_ca", "tls_cert", "tls_key", "key_prefix", "credentials"])
@pytest.mark.parametrize("value", [1, b"/a.pem", object(), [], True])
def test_a_value_of_the_wrong_type_is_a_type_error(kind: Kind, option: str, value: object) -> None:
    with pytest.raises(TypeError, match=option):
        kind("rediss://localhost", **{option: value})  # type: ignore[arg-type]


@both
@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("replicas", [True, None, 1.0, "1", []]),
        ("address_map", [1, "a:1", ["a:1"], {"a:1": 2}, {1: "a:1"}, {b"a:1": "b:1"}]),
    ],
)
def test_replicas_are_an_int_and_a_map_is_of_texts(kind: Kind, option: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(TypeError, match=option):
            kind("redis+cluster://localhost", **{option: value})  # type: ignore[arg-type]


@both
def test_any_mapping_of_addresses_does(kind: Kind) -> None:
    kind("redis+cluster://localhost", address_map=MappingProxyType({"10.0.0.7:6379": "localhost:7001"}))
    kind("redis://localhost", address_map={}, replicas=0)


@both
async def test_a_lock_counts_when_replicas_have_it(kind: Kind, own_server: Server, app_id: str, name: str) -> None:
    async with face(kind, own_server.url, app_id, replicas=1, command_timeout=2) as one:
        with pytest.raises(StoreUnavailableError, match="0 of 1 replicas confirmed"):
            await one.acquire(name)
        key = f"lock||{app_id}||{name}"
        await eventually("it is given back", lambda: own_server.command("EXISTS", key) == 0)
        with Server(own_server.binary, "--replicaof", "127.0.0.1", f"{own_server.port}") as replica:
            own_server.command("SET", "probe", "x")
            await eventually("in touch", lambda: replica.command("EXISTS", "probe") == 1, 20)
            # By every connection there may be.
            for _ in range(30):
                lease = await one.acquire(name)
                assert replica.command("EXISTS", key) == 1
                assert await one.release(lease)


@both
@pytest.mark.parametrize("value", [1, None, "true"])
def test_not_to_verify_is_a_bool(kind: Kind, value: object) -> None:
    with pytest.raises(TypeError, match="tls_insecure_skip_verify"):
        kind("rediss://localhost", tls_insecure_skip_verify=value)  # type: ignore[arg-type]


def test_a_blocking_client_awaits_nothing() -> None:
    async def credentials() -> tuple[str, str]:
        return ("u", "p")

    with pytest.raises(TypeError, match="AsyncClient"):
        Client("redis://localhost", credentials=credentials)  # type: ignore[arg-type]


@both
@pytest.mark.parametrize("kind_of_path", [str, lambda path: path])
async def test_certificates_and_a_prefix_are_obeyed(
    kind: Kind,
    kind_of_path: Callable[[Path], Any],
    server: dict[str, Any],
    certificates: Path,
    app_id: str,
    name: str,
) -> None:
    if server["name"] != "redis":
        pytest.skip("the Valkey of the tests speaks no TLS")
    files = {"tls_ca": "ca.crt", "tls_cert": "client.crt", "tls_key": "client.key"}
    options = {option: kind_of_path(certificates / file) for option, file in files.items()}
    with Server(server["binary"], "--tls-auth-clients", "yes", tls=certificates) as own:
        async with face(kind, own.url, app_id, key_prefix="team:", **options) as one:
            for _ in range(25):
                assert await one.release(await one.acquire(name))
        async with face(kind, own.url, app_id, tls_ca=options["tls_ca"]) as one:
            with pytest.raises(StoreRefusedError, match="client's certificate"):
                await one.acquire(name)


@both
async def test_a_prefix_stands_before_the_keys(kind: Kind, own_server: Server, app_id: str, name: str) -> None:
    async with face(kind, own_server.url, app_id, key_prefix="team:") as one:
        lease = await one.acquire(name)
        assert own_server.command("EXISTS", f"team:lock||{app_id}||{name}") == 1
        assert await one.release(lease)


# ---- a function of credentials


class Vault:
    """A password that changes, and who asked for it."""

    def __init__(self, password: str = "secret") -> None:
        self.password = password
        self.threads: list[int] = []

    def get(self) -> tuple[str, str]:
        self.threads.append(threading.get_ident())
        return ("worker", self.password)

    async def get_async(self) -> tuple[str, str]:
        await asyncio.sleep(0.01)
        return self.get()


class Provider:
    """As redis-py has them."""

    def get_credentials(self) -> tuple[str, str]:
        return ("worker", "secret")


class AsyncProvider(Provider):
    def get_credentials(self) -> tuple[str, str]:
        raise AssertionError

    async def get_credentials_async(self) -> tuple[str, str]:
        return ("worker", "secret")


class Callable_:  # noqa: N801 - an object that is a coroutine function
    async def __call__(self) -> tuple[str, str]:
        return ("worker", "secret")


@pytest.fixture
def guarded(own_server: Server) -> Server:
    own_server.command("ACL", "SETUSER", "worker", ">secret", *RULE)
    return own_server


@pytest.mark.parametrize(
    ("kind", "credentials"),
    [
        (Client, lambda: ("worker", "secret")),
        (Client, Provider()),
        (AsyncClient, lambda: ("worker", "secret")),
        (AsyncClient, Provider()),
        (AsyncClient, AsyncProvider()),
        (AsyncClient, Callable_()),
        (AsyncClient, Vault().get_async),
    ],
)
async def test_every_connection_is_logged_in_by_the_function(
    kind: Kind, credentials: Any, guarded: Server, app_id: str, name: str
) -> None:
    async with face(kind, guarded.url, app_id, credentials=credentials) as one:
        give_up_at = time.monotonic() + 10
        users: list[str] = []
        # The second one is opened when there is something to carry.
        while len(users) < 2:
            assert time.monotonic() < give_up_at
            assert await one.release(await one.acquire(name))
            users = [line for line in str(guarded.command("CLIENT", "LIST")).split("id=")[1:] if "user=worker" in line]


async def test_where_the_function_is_called(guarded: Server, app_id: str, name: str) -> None:
    here = threading.get_ident()
    kinds: list[tuple[Kind, bool]] = [(Client, False), (AsyncClient, False), (AsyncClient, True)]
    for kind, asynchronous in kinds:
        vault = Vault()
        credentials: Any = vault.get_async if asynchronous else vault.get
        async with face(kind, guarded.url, app_id, credentials=credentials) as one:
            assert await one.release(await one.acquire(name))
        assert [thread == here for thread in vault.threads[:1]] == [asynchronous]


async def _hold_while_it_changes(one: Face, vault: Vault, server: Server, name: str) -> None:
    leases = [await one.acquire(f"{name}-{n}", ttl=6) for n in range(100)]
    for change in range(3):
        asked = len(vault.threads)
        server.command("ACL", "SETUSER", "worker", f">secret-{change}")
        vault.password = f"secret-{change}"
        server.command("ACL", "SETUSER", "worker", "resetpass", f">secret-{change}")
        server.command("CLIENT", "KILL", "USER", "worker")
        assert await one.release(await one.acquire(f"{name}-new", wait=10))
        assert len(vault.threads) > asked
        await asyncio.sleep(2.5)
    for lease in leases:
        lease.check()
        assert await one.release(lease)
    assert one.stats().lost == 0


@pytest.mark.parametrize(("kind", "asynchronous"), [(Client, False), (AsyncClient, False), (AsyncClient, True)])
async def test_a_password_that_changes_costs_no_lease(
    kind: Kind, asynchronous: bool, guarded: Server, app_id: str, name: str
) -> None:
    vault = Vault()
    credentials: Any = vault.get_async if asynchronous else vault.get
    async with face(kind, guarded.url, app_id, credentials=credentials) as one:
        await _hold_while_it_changes(one, vault, guarded, name)


@both
async def test_what_the_function_raises_is_the_cause(kind: Kind, own_server: Server, app_id: str, name: str) -> None:
    def credentials() -> tuple[str, str]:
        raise LookupError("c4nary")

    async with face(kind, own_server.url, app_id, credentials=credentials, command_timeout=0.7) as one:
        with pytest.raises(StoreUnavailableError, match="credentials") as raised:
            await one.acquire(name)
    assert isinstance(raised.value.__cause__, LookupError)
    assert "c4nary" not in repr(raised.value)


async def test_what_a_coroutine_function_raises_is_the_cause(own_server: Server, app_id: str, name: str) -> None:
    async def credentials() -> tuple[str, str]:
        raise LookupError("c4nary")

    async with face(AsyncClient, own_server.url, app_id, credentials=credentials, command_timeout=0.7) as one:
        with pytest.raises(StoreUnavailableError, match="credentials") as raised:
            await one.acquire(name)
    assert isinstance(raised.value.__cause__, LookupError)


@both
@pytest.mark.parametrize("given", [None, "c4nary", ("a", "b", "c4nary"), ["a", "c4nary"], (1, "c4nary"), ()])
async def test_what_is_no_credentials_is_the_cause(
    kind: Kind, given: object, own_server: Server, app_id: str, name: str
) -> None:
    options: dict[str, Any] = {"credentials": lambda: given, "command_timeout": 0.5}
    async with face(kind, own_server.url, app_id, **options) as one:
        with pytest.raises(StoreUnavailableError) as raised:
            await one.acquire(name)
    assert isinstance(raised.value.__cause__, TypeError)
    assert "c4nary" not in repr(raised.value) + repr(raised.value.__cause__)


@both
async def test_wrong_credentials_are_refused_and_not_shown(
    kind: Kind, guarded: Server, app_id: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with face(kind, guarded.url, app_id, credentials=Vault("c4nary").get) as one:
        with pytest.raises(StoreRefusedError, match="the function of credentials") as raised:
            await one.acquire(name)
    assert "c4nary" not in repr(raised.value) + caplog.text


@both
async def test_a_function_that_hangs_is_given_up(kind: Kind, own_server: Server, app_id: str, name: str) -> None:
    over = threading.Event()
    before = threading.active_count()

    def credentials() -> tuple[str, str]:
        over.wait(60)
        return ("worker", "secret")

    begun = time.monotonic()
    async with face(kind, own_server.url, app_id, credentials=credentials, command_timeout=0.7) as one:
        for _ in range(3):
            with pytest.raises(StoreUnavailableError, match="credentials"):
                await one.acquire(name)
    # Dropped, not closed, while the function runs.
    client: Any = kind(own_server.url, app_id=app_id, credentials=credentials, command_timeout=0.5)
    with contextlib.suppress(StoreUnavailableError):
        taken = client.acquire(name)
        if kind is AsyncClient:
            await taken
    gone: Any = weakref.ref(client) if kind is Client else None
    del client
    gc.collect()
    assert gone is None or gone() is None
    assert time.monotonic() - begun < 30
    over.set()

    def threads() -> int:
        return sum(thread.name == "leaselock-credentials" for thread in threading.enumerate())

    await eventually("its threads have ended", lambda: threads() == 0, 10)
    assert threading.active_count() <= before + 2


def test_a_child_of_a_fork_asks_for_itself(guarded: Server, app_id: str, name: str) -> None:
    pids: list[int] = []

    def credentials() -> tuple[str, str]:
        pids.append(os.getpid())
        return ("worker", "secret")

    with Client(guarded.url, app_id=app_id, credentials=credentials) as client:
        held = client.acquire(name)
        parent = len(pids)
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                other = client.acquire(f"{name}-child", wait=5)
                assert other.release()
                assert set(pids[parent:]) == {os.getpid()}
                status = 0
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        held.check()
        assert held.release()


def test_a_second_loop_is_asked_when_the_first_has_ended(guarded: Server, app_id: str, name: str) -> None:
    vault = Vault()
    client = AsyncClient(guarded.url, app_id=app_id, credentials=vault.get_async)

    async def once() -> None:
        assert await (await client.acquire(name)).release()

    asyncio.run(once())
    guarded.command("CLIENT", "KILL", "USER", "worker")
    asyncio.run(once())
    asyncio.run(client.aclose())
    assert len(vault.threads) >= 2
