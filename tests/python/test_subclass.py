"""Clients, leases and locks as ordinary Python objects: subclassed, patched, copied, and imported twice."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import gc
import pickle
import weakref
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

import leaselock
from leaselock import AsyncClient, AsyncLease, AsyncLock, Client, Lease, Lock, LockTimeoutError

if TYPE_CHECKING:
    from conftest import Program
    from typing_extensions import Self


class ShopClient(Client):
    """A client with arguments and methods of its own."""

    def __init__(self, shop: str, url: str, **options: Any) -> None:
        super().__init__(url, app_id=f"shop-{shop}", **options)
        self.shop = shop
        self.acquired: list[str] = []

    def acquire(self, name: str, **options: Any) -> Lease:
        self.acquired.append(name)
        return super().acquire(name, **options)


class ShopAsyncClient(AsyncClient):
    def __init__(self, shop: str, url: str) -> None:
        super().__init__(url, app_id=f"shop-{shop}")
        self.shop = shop

    async def acquire(self, name: str, **options: Any) -> AsyncLease:
        return await super().acquire(f"{self.shop}-{name}", **options)


def test_field_bug_69_a_client_is_subclassed(server_url: str, name: str) -> None:
    with ShopClient("tea", server_url, command_timeout=3) as client:
        assert (client.shop, client.app_id) == ("tea", "shop-tea")
        with client.acquire(name, ttl=5) as lease, pytest.raises(LockTimeoutError):
            client.acquire(name, wait=0)
        assert client.acquired == [name, name]
        assert lease.state == "released"
        assert isinstance(client, Client)
    assert client.closed


def test_field_bug_69_an_async_client_is_subclassed(server_url: str, name: str) -> None:
    async def main() -> None:
        async with ShopAsyncClient("tea", server_url) as client:
            async with await client.acquire(name) as lease:
                assert lease.name == f"tea-{name}"
            assert client.app_id == "shop-tea"

    asyncio.run(main())


def test_field_bug_69_a_lock_is_subclassed(client: Client, other: Client, name: str) -> None:
    class Counted(Lock):
        def __init__(self, client: Client, name: str) -> None:
            super().__init__(client, name, ttl=5, wait=0)
            self.count = 0

        def __enter__(self) -> Lease:
            self.count += 1
            return super().__enter__()

    lock = Counted(client, name)
    with lock as lease:
        assert lease.held
        with pytest.raises(LockTimeoutError), other.lock(name, wait=0):
            pytest.fail("it is held")
    assert other.inspect(name) is None
    assert lock.count == 1
    with pytest.raises(leaselock.InvalidArgumentError):
        Counted(client, "")


def test_field_bug_69_a_lease_is_subclassed_for_tests() -> None:
    class Fake(Lease):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.fake_name = name

        @property
        def name(self) -> str:
            return self.fake_name

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    with Fake("x") as lease:
        assert isinstance(lease, Lease)
        assert lease.name == "x"
        with pytest.raises(RuntimeError, match="not made by a client"):
            lease.check()
        assert "not made by a client" in repr(lease)
    with pytest.raises(TypeError, match="a client makes them"):
        Lease()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_field_bug_69_without_super_init_it_says_so(kind: type[Any]) -> None:
    class Careless(kind):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

    careless = Careless()
    assert "not initialised" in repr(careless)
    with pytest.raises(RuntimeError, match="super"):
        careless.stats()
    with pytest.raises(RuntimeError, match="before"):
        kind("memory:x").__init__("memory:y")


def test_field_bug_69_methods_are_patched_on_instances(client: Client, name: str) -> None:
    with mock.patch.object(client, "acquire", return_value="fake"), mock.patch.object(client, "close") as close:
        assert client.acquire(name) == "fake"  # type: ignore[comparison-overlap]
        client.close()
        close.assert_called_once_with()
    lease, lock = client.acquire(name), client.lock(name)
    with mock.patch.object(lease, "release", return_value=False):
        assert lease.release() is False
    with mock.patch.object(lock, "note", "x", create=True):
        assert lock.note == "x"  # type: ignore[attr-defined]
    assert lease.release()
    assert client.acquire(name).release()


def test_field_bug_69_async_methods_are_patched_on_instances(server_url: str, name: str) -> None:
    async def main() -> None:
        async with AsyncClient(server_url) as client:
            with mock.patch.object(client, "acquire", mock.AsyncMock(return_value="fake")):
                assert await client.acquire(name) == "fake"  # type: ignore[comparison-overlap]
            lease, lock = await client.acquire(name), client.lock(name)
            with mock.patch.object(lease, "release", mock.AsyncMock(return_value=False)):
                assert not await lease.release()
            lock.note = "x"  # type: ignore[attr-defined]
            await lease.release()

    asyncio.run(main())


def test_field_bug_69_they_stand_in_dataclasses(server_url: str, name: str) -> None:
    @dataclasses.dataclass
    class Service:
        client: Client
        aclient: AsyncClient
        lock: Lock
        alock: AsyncLock
        lease: Lease
        title: str

    with Client(server_url) as client, client.acquire(name) as lease:
        aclient = AsyncClient(server_url)
        service = Service(client, aclient, client.lock(name), aclient.lock(name), lease, "a")
        other = dataclasses.replace(service, title="b")
        assert other.client is client
        for copied in (
            dataclasses.asdict(service),
            vars(copy.deepcopy(service)),
            vars(copy.copy(service)),
        ):
            for field, value in vars(service).items():
                assert copied[field] is value
        for thing in (client, aclient, service.lock, service.alock, lease):
            with pytest.raises(TypeError, match="pickle"):
                pickle.dumps(thing)


def test_field_bug_69_an_async_lease_is_copied_as_itself(server_url: str, name: str) -> None:
    async def main() -> None:
        async with AsyncClient(server_url) as client, client.lock(name) as lease:
            assert copy.deepcopy([lease])[0] is lease
            assert copy.copy(lease) is lease

    asyncio.run(main())


def test_field_bug_69_attributes_do_not_keep_them_alive(client: Client, name: str) -> None:
    class Note:
        """Something that a weak reference can watch."""

    def make() -> list[weakref.ref[Any]]:
        extra, lock, lease = Client("memory:cycle"), client.lock(name), client.acquire(name)
        watched: list[weakref.ref[Any]] = []
        for thing in (extra, lock, lease):
            note = Note()
            thing.itself, thing.note = thing, note  # type: ignore[union-attr]
            watched += [weakref.ref(thing), weakref.ref(note)]
        lease.release()
        return watched

    watched = make()
    gc.collect()
    assert [ref() for ref in watched] == [None] * len(watched)


AGAIN = """
import importlib
client = Client(URL, app_id=APP)
old = leaselock
def again():
    {how}
    return importlib.import_module("leaselock")
new = again()
with client.lock(NAME, label="me"):
    for user in (client, new.Client(URL, app_id=APP)):
        for package in (old, new):
            try: user.acquire(NAME, wait=0)
            except package.LockTimeoutError as error: assert error.code == "LOCK_TIMEOUT"
        assert isinstance(user.inspect(NAME), new.LockInfo)
        assert user.release(NAME, "nobody") is new.ReleaseStatus.NOT_OWNER
        assert isinstance(user.stats(), new.Stats)
try: client.acquire("")
except new.LeaselockError as error: assert isinstance(error, old.InvalidArgumentError)
async def main():
    async with new.AsyncClient(URL, app_id=APP) as user, user.lock(NAME):
        try: await user.acquire(NAME, wait=0)
        except old.LockTimeoutError: pass
asyncio.run(main())
pid = os.fork()
if pid == 0:
    client.acquire(NAME).release()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
print("fine")
"""
HOW = {
    "reloaded": "importlib.reload(leaselock)",
    "purged": "for name in [n for n in sys.modules if n.split('.')[0] == 'leaselock']: del sys.modules[name]",
    "all but the native part purged": (
        "for name in [n for n in sys.modules if n.split('.')[0] == 'leaselock' and 'native' not in n]: "
        "del sys.modules[name]"
    ),
    "every module reloaded": (
        "for name in [n for n in sys.modules if n.split('.')[0] == 'leaselock' and 'native' not in n]: "
        "importlib.reload(sys.modules[name])"
    ),
}


@pytest.mark.parametrize("how", HOW.values(), ids=HOW.keys())
def test_field_bug_69_imported_again_it_raises_what_either_import_catches(program: Program, how: str) -> None:
    assert program.run(AGAIN.format(how=how)) == "fine\n"
