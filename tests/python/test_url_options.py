"""What a URL says after `?` is obeyed or refused, never dropped. FIELD-BUGS 43, for `Client` and `AsyncClient`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import certs
import pytest
from faces import eventually, face
from servers import Server

from leaselock import AsyncClient, Client, InvalidArgumentError

if TYPE_CHECKING:
    from pathlib import Path

Kind = type[Client] | type[AsyncClient]
both = pytest.mark.parametrize("kind", [Client, AsyncClient])


@both
async def test_field_bug_43_the_database_is_the_one_asked_for(
    kind: Kind, own_server: Server, app_id: str, name: str
) -> None:
    for more in ("?db=2", "/2?db=2"):
        async with face(kind, own_server.url + more, app_id) as one:
            for _ in range(25):
                lease = await one.acquire(name)
                assert own_server.command("DBSIZE") == 0
                with own_server.connect() as connection:
                    connection.command("SELECT", 2)
                    assert connection.command("EXISTS", f"lock||{app_id}||{name}") == 1
                assert await one.release(lease)


@both
@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("redis://localhost/1?db=2", "db"),
        ("redis://user:c4nary@localhost?foo=c4nary", "foo"),
        ("redis://localhost?password=c4nary", "password"),
        ("rediss://localhost?ssl_cert_reqs=none", "tls_insecure_skip_verify=true"),
        ("redis://localhost?tls_ca=/tmp/ca.pem", "tls_ca"),
        ("rediss://localhost?tls_cert=/tmp/cert.pem", "tls_key"),
    ],
)
def test_field_bug_43_what_cannot_be_obeyed_is_refused(kind: Kind, url: str, named: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        kind(url)
    assert named in str(raised.value)
    assert "c4nary" not in repr(raised.value)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certs.make(tmp_path_factory.mktemp("with a space"))


@both
@pytest.mark.parametrize(
    "spelling", [("tls_ca", "tls_cert", "tls_key"), ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")]
)
async def test_field_bug_43_certificates_are_named_in_the_url(
    kind: Kind, server: dict[str, Any], certificates: Path, app_id: str, name: str, spelling: tuple[str, str, str]
) -> None:
    if server["name"] != "redis":
        pytest.skip("the Valkey of the tests speaks no TLS")
    files = dict(zip(spelling, ("ca.crt", "client.crt", "client.key"), strict=True))
    query = "&".join(f"{option}={quote(str(certificates / file))}" for option, file in files.items())
    with Server(server["binary"], "--tls-auth-clients", "yes", tls=certificates) as own:
        async with face(kind, f"{own.url}?{query}", app_id) as one:
            for _ in range(25):
                assert await one.release(await one.acquire(name))


@both
async def test_field_bug_43_not_to_verify_is_said_out_loud(
    kind: Kind, server: dict[str, Any], certificates: Path, app_id: str, name: str
) -> None:
    if server["name"] != "redis":
        pytest.skip("the Valkey of the tests speaks no TLS")
    with Server(server["binary"], tls=certificates, cert="stranger") as own:
        async with face(kind, f"{own.url}?tls_insecure_skip_verify=true", app_id) as one:
            assert await one.release(await one.acquire(name))


@both
async def test_field_bug_43_a_prefix_stands_before_every_key_and_channel(
    kind: Kind, own_server: Server, app_id: str, name: str
) -> None:
    own_server.command("ACL", "SETUSER", "team", "on", ">secret", "~myteam:*", "~{myteam:*", "&myteam:*", "+@all")
    url = own_server.url.replace("//", "//team:secret@") + "?key_prefix=myteam%3A"
    async with face(kind, url, app_id) as one, face(kind, own_server.url, app_id) as without:
        for _ in range(25):
            assert await one.release(await one.acquire(name))
        held = await one.acquire(name, ttl=20)
        with own_server.connect() as connection:
            assert connection.command("EXISTS", f"myteam:lock||{app_id}||{name}") == 1
        # Nobody else's lock, and nobody else sees it.
        other = await without.try_acquire(name)
        assert other is not None
        assert await without.release(other)
        assert await without.locks("*") == []
        assert [(found.name, found.owner) for found in await one.locks("*")] == [(name, held.owner)]
        waiting = asyncio.ensure_future(one.acquire(name, wait=10))
        queue = f"{{myteam:lock||{app_id}||{name}}}||||queue"
        await eventually("it waits", lambda: own_server.command("EXISTS", queue) == 1)
        found = await one.inspect(name)
        assert found is not None
        assert (found.name, found.owner, found.waiters) == (name, held.owner, 1)
        assert await one.release(held)
        assert await one.release(await waiting)
