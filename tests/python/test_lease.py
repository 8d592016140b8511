"""Leases and `with`: giving back, losing, and who wins when both the body and the release fail."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
import threading
import time
import warnings
import weakref
from typing import TYPE_CHECKING

import pytest

from leaselock import Client, LeaselockWarning, LeaseLostError, StoreUnavailableError

if TYPE_CHECKING:
    from proxy import Proxy
    from resp import Connection


def until_free(client: Client, name: str, seconds: float = 3.0) -> None:
    """Waits for something that happens in the background."""
    deadline = time.monotonic() + seconds
    while client.inspect(name) is not None:
        assert time.monotonic() < deadline, f"{name} is still held"
        time.sleep(0.01)


def test_what_a_lease_tells(client: Client, name: str) -> None:
    with client.acquire(name, ttl=10) as lease:
        assert (lease.name, lease.ttl, lease.state, lease.held) == (name, 10.0, "held", True)
        assert 9 < lease.expires_in <= 10
        assert 0 < lease.token < 2**53
        assert repr(lease) == f'<leaselock.Lease "{name}" token {lease.token} held>'
        lease.check()
    assert (lease.state, lease.held, lease.expires_in) == ("released", False, 0.0)
    with pytest.raises(LeaseLostError):
        lease.check()


def test_a_lease_cannot_be_pickled_and_is_copied_as_itself(client: Client, name: str) -> None:
    with client.acquire(name) as lease:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="cannot pickle"):
                pickle.dumps(lease, protocol)
        assert copy.deepcopy(lease) is lease
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(client.lock(name))


def test_release_by_another_thread(client: Client, name: str) -> None:
    """FIELD-BUGS 22: no part of a lease is in thread-local storage."""
    lease = client.acquire(name)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(lease.release()))
    thread.start()
    thread.join()
    assert results == [True]
    assert client.inspect(name) is None


def test_extend_and_detach(client: Client, name: str) -> None:
    lease = client.acquire(name, ttl=5)
    lease.extend(60)
    assert lease.ttl == 60.0
    assert lease.expires_in > 55
    lease.extend(ttl=1)
    assert lease.expires_in < 1
    lease.detach()
    until_free(client, name)


def test_releasing_an_expired_lease_raises_nothing(client: Client, name: str) -> None:
    """FIELD-BUGS 13: a release that comes too late says False."""
    lease = client.acquire(name, ttl=0.2, renew=False)
    time.sleep(0.35)
    assert lease.state == "lost"
    assert lease.release() is False
    assert lease.release() is False


def test_an_exception_of_the_body_comes_out_as_it_is(client: Client, name: str) -> None:
    error = KeyError("mine")
    with pytest.raises(KeyError) as raised, client.acquire(name):
        raise error
    assert raised.value is error
    assert client.inspect(name) is None


def test_a_body_that_ended_well_learns_of_the_loss(client: Client, other: Client, name: str) -> None:
    with pytest.raises(LeaseLostError) as raised, client.acquire(name, ttl=0.6) as lease:
        other.force_release(name)
        assert lease.wait_lost(3)
    assert raised.value.reason == "released"
    assert raised.value.code == "LEASE_LOST"


def test_a_loss_that_only_the_release_finds(client: Client, other: Client, name: str) -> None:
    with pytest.raises(LeaseLostError), client.acquire(name, ttl=60):
        other.force_release(name)


def test_an_expired_body_learns_of_the_loss(client: Client, name: str) -> None:
    with pytest.raises(LeaseLostError) as raised, client.acquire(name, ttl=0.2, renew=False):
        time.sleep(0.3)
    assert raised.value.reason == "expired"


def test_the_body_wins_over_the_loss(client: Client, other: Client, name: str) -> None:
    with pytest.raises(ZeroDivisionError), client.acquire(name, ttl=0.6) as lease:
        other.force_release(name)
        assert lease.wait_lost(3)
        raise ZeroDivisionError


def test_released_inside_the_body(client: Client, name: str) -> None:
    with client.acquire(name) as lease:
        assert lease.release() is True
        with client.acquire(name):
            pass


def test_detached_inside_the_body(client: Client, name: str) -> None:
    with client.acquire(name) as lease:
        lease.detach()
    info = client.inspect(name)
    assert info is not None
    assert info.owner == lease.owner
    client.force_release(name)


def test_a_body_does_not_run_under_a_lease_that_is_over(client: Client, name: str) -> None:
    """FIELD-BUGS 36: entering checks."""
    lease = client.acquire(name)
    lease.release()
    with pytest.raises(LeaseLostError), lease:
        pytest.fail("the body ran")


def test_an_unreachable_server_at_the_end_is_a_warning(proxy: Proxy, name: str) -> None:
    """FIELD-BUGS 13: a failing release does not throw the finished result away."""
    client = Client(proxy.url, command_timeout=0.3)
    with pytest.warns(LeaselockWarning, match=name) as caught, client.acquire(name, ttl=2):
        proxy.drop_all()
    assert caught[0].filename == __file__
    proxy.heal()
    client.close()


def test_the_body_wins_over_a_failing_release(proxy: Proxy, name: str) -> None:
    """FIELD-BUGS 13: nor does it mask the body's own error, even where warnings are errors."""
    client = Client(proxy.url, command_timeout=0.3)
    with (
        warnings.catch_warnings(),
        pytest.raises(ZeroDivisionError),
        client.acquire(name, ttl=2),
    ):
        warnings.simplefilter("error")
        proxy.drop_all()
        raise ZeroDivisionError
    proxy.heal()
    client.close()


def test_a_failed_release_can_be_tried_again(proxy: Proxy, name: str) -> None:
    """FIELD-BUGS 21: a release that failed has not forgotten its owner."""
    client = Client(proxy.url, command_timeout=0.3)
    lease = client.acquire(name, ttl=30)
    proxy.drop_all()
    with pytest.raises(StoreUnavailableError):
        lease.release()
    assert not lease.held
    proxy.heal()
    proxy.cut()
    assert lease.release() is True
    assert client.inspect(name) is None
    client.close()


def test_a_collected_lease_is_given_back_with_a_warning(client: Client, name: str) -> None:
    lease = client.acquire(name)
    reference = weakref.ref(lease)
    with pytest.warns(ResourceWarning, match=name):
        del lease
        gc.collect()
    assert reference() is None
    until_free(client, name)


def test_a_collected_lease_in_a_cycle_is_given_back(client: Client, name: str) -> None:
    lease = client.acquire(name)
    lease.on_lost(functools.partial(print, lease))
    with pytest.warns(ResourceWarning, match=name):
        del lease
        gc.collect()
    until_free(client, name)


def test_a_lease_that_is_over_is_collected_silently(client: Client, other: Client, name: str) -> None:
    client.acquire(name).release()
    client.acquire(name).detach()
    client.force_release(name)
    lease = client.acquire(name, ttl=0.3)
    other.force_release(name)
    assert lease.wait_lost(2)
    del lease
    gc.collect()


def test_a_collection_does_not_swallow_an_exception(client: Client, name: str) -> None:
    def fail() -> None:
        lease = client.acquire(name)
        assert lease.held
        raise ZeroDivisionError

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ZeroDivisionError) as raised:
            fail()
        del raised
        gc.collect()
    assert [w.category for w in caught] == [ResourceWarning]
    until_free(client, name)


def test_clients_and_locks_can_be_referenced_weakly(client: Client, name: str) -> None:
    assert weakref.ref(client)() is client
    lock = client.lock(name)
    assert weakref.ref(lock)() is lock


def test_a_lease_keeps_its_client_alive(server_url: str, name: str) -> None:
    lease = Client(server_url).acquire(name, ttl=0.5)
    gc.collect()
    time.sleep(0.8)
    lease.check()
    lease.release()


def test_tokens_grow(client: Client, redis: Connection, name: str) -> None:
    tokens = []
    for _ in range(3):
        with client.lock(name) as lease:
            tokens.append(lease.token)
    lease = client.acquire(name, ttl=30)
    redis.command("DEL", f"lock||{client.app_id}||{name}", f"lock||{client.app_id}||||fence")
    with client.lock(name) as after:
        tokens += [lease.token, after.token]
    lease.release()
    assert tokens == sorted(set(tokens))
