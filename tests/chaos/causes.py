"""How each fault is caused: a function of a scene, which returns when the fault is over."""

from __future__ import annotations

import contextlib
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from churn_log import NS
from resp import RedisError
from scenes import TTL, now
from topologies import Cluster, Sentinels, ask, fields, until
from work import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenes import Scene
    from servers import Server

LONGER_THAN_TTL = TTL * 1.6
HOUR_MS = 3_600_000
# What servers never say, each a chunk of what clients hear.
MIB = 1 << 20
NONSENSE = (
    b"$536870912\r\n" + bytes(MIB),
    b"*1\r\n" * MIB,
    b"*1000000000\r\n" + b":1\r\n" * MIB,
    b"+" + b"x" * MIB,
    b"*3\r\n$1\r\nx\r\n*0\r\n$-1\r\n",
    b"\x00\xff\xfe\x01 not redis at all\r\n",
)
# How much more memory a program may need for that.
MEMORY = 64 * MIB


def touched(scene: Scene, cause: Callable[[], object]) -> None:
    """Carries it out, and makes sure that it met somebody."""
    before = scene.touched()
    cause()
    assert scene.touched() > before, "the fault met nobody"


def silence(scene: Scene, begin: int, tag: str = "") -> None:
    """Since `begin`, and until now, nothing was renewed."""
    scene.silent.append((begin, now(), tag))


# -- servers --


def restart(scene: Scene) -> None:
    for node in scene.masters():
        node.kill()
    time.sleep(0.2)
    for node in scene.nodes:
        if not node.running:
            node.restart(keep_data=True)  # it keeps what it has on disk, which is nothing without keep_data


def restart_empty(scene: Scene) -> None:
    begin = now()
    restart(scene)
    scene.forgotten.append((begin, now()))


def stopped_servers(scene: Scene) -> None:
    masters = scene.masters()
    for node in masters:
        node.pause()
    begin = now()
    try:
        time.sleep(LONGER_THAN_TTL)
        if scene.kind == "one":
            silence(scene, begin)
    finally:
        for node in masters:
            node.resume()


def script_flush(scene: Scene) -> None:
    for _ in range(15):
        scene.everywhere("SCRIPT", "FLUSH")
        time.sleep(0.1)


def client_kill(scene: Scene) -> None:
    for number in range(12):
        scene.everywhere("CLIENT", "KILL", "TYPE", ("normal", "pubsub")[number % 2])
        time.sleep(0.1)


def busy(scene: Scene) -> None:
    with contextlib.ExitStack() as stack:
        masters = scene.masters()
        for node in masters:
            node.command("CONFIG", "SET", "busy-reply-threshold", "50")
            stack.enter_context(node.connect()).send("EVAL", "while true do end", 0)
        time.sleep(0.5)
        for node in masters:
            node.command("SCRIPT", "KILL")
            until("it is over", partial(_set, node, "busy-reply-threshold", "5000"))


def _set(node: Server, setting: str, value: str) -> bool:
    return bool(ask(node, "CONFIG", "SET", setting, value) == "OK")


def client_pause(scene: Scene) -> None:
    scene.everywhere("CLIENT", "PAUSE", 600, "ALL")
    time.sleep(0.7)


def out_of_memory(scene: Scene) -> None:
    for node in scene.masters():
        node.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        node.command("CONFIG", "SET", "maxmemory", "1mb")
        assert int(fields(node, "INFO", "memory")["used_memory"]) > 1_000_000
    time.sleep(1.5)
    scene.everywhere("CONFIG", "SET", "maxmemory", 0)


def evict(policy: str) -> Callable[[Scene], None]:
    def cause(scene: Scene) -> None:
        begin = now()
        before = [int(fields(node, "INFO", "stats")["evicted_keys"]) for node in scene.masters()]
        for _ in range(5):
            for node in scene.masters():
                node.command("CONFIG", "SET", "maxmemory-policy", policy)
                node.command("CONFIG", "SET", "maxmemory", "1mb")
                with contextlib.suppress(RedisError):
                    node.command("SET", "padding", "x")
                node.command("CONFIG", "SET", "maxmemory", 0)
            time.sleep(0.15)
        after = [int(fields(node, "INFO", "stats")["evicted_keys"]) for node in scene.masters()]
        evicted = sum(after) - sum(before)
        assert evicted, "nothing was evicted"
        scene.notes.append(f"{evicted} keys evicted")
        if policy.startswith("allkeys"):
            scene.forgotten.append((begin, now()))

    return cause


def readonly(scene: Scene) -> None:
    (node,) = scene.nodes
    node.command("REPLICAOF", "127.0.0.1", 1)
    begin = now()
    time.sleep(LONGER_THAN_TTL)
    silence(scene, begin)
    node.command("REPLICAOF", "NO", "ONE")


def acl(*rights: str) -> Callable[[Scene], None]:
    def cause(scene: Scene) -> None:
        # Of a user of the locks' own, or the sentinels and replicas could not work either: for one server, the default.
        scene.everywhere("ACL", "SETUSER", "default", *rights)
        time.sleep(0.8)
        scene.everywhere("ACL", "SETUSER", "default", "+@all", "~*", "&*")

    return cause


def too_few_replicas(scene: Scene) -> None:
    scene.everywhere("CONFIG", "SET", "min-replicas-to-write", 5)
    begin = now()
    time.sleep(LONGER_THAN_TTL)
    silence(scene, begin)
    scene.everywhere("CONFIG", "SET", "min-replicas-to-write", 0)


def clock(hours: int) -> Callable[[Scene], None]:
    def cause(scene: Scene) -> None:
        scene.shift(hours * HOUR_MS)
        time.sleep(0.5)
        for node in scene.masters():
            reply = node.command("TIME")
            assert isinstance(reply, list)
            ahead = int(str(reply[0])) - time.time()
            assert abs(ahead - hours * 3600) < 5, f"the server's clock is {ahead:.0f} s ahead"

    return cause


def own_clock(scene: Scene) -> None:
    for hours in (1, -1, 0):
        scene.shift(hours * HOUR_MS)
        time.sleep(0.6)


# -- failovers --


def until_promoted(scene: Scene, old: Server) -> None:
    assert isinstance(scene.topology, Sentinels)
    scene.topology.new_master(old)


def partitioned_master(scene: Scene) -> None:
    """The sentinels and replicas hear nothing of the master any more; its clients do, until it is killed."""
    assert isinstance(scene.topology, Sentinels)
    old = scene.topology.master()
    scene.proxies.tell(f"servers-{scene.node_number(old)}", "hold both")
    until_promoted(scene, old)
    old.kill()


def sentinel_failover(scene: Scene) -> None:
    assert isinstance(scene.topology, Sentinels)
    scene.topology.failover()


def killed_master(scene: Scene) -> None:
    if isinstance(scene.topology, Sentinels):
        scene.topology.kill()
    elif isinstance(scene.topology, Cluster):
        cluster, victim = scene.topology, scene.masters()[0]
        victim.kill()
        until("a replica is promoted", lambda: len(scene.masters()) == 3)
        until("the cluster is well", lambda: all(_well(node) for node in cluster.nodes if node.running))


def _well(node: Server) -> bool:
    return fields(node, "CLUSTER", "INFO").get("cluster_state") == "ok"


def _replica_of(scene: Scene, node: Server) -> Server:
    identity = str(node.command("CLUSTER", "MYID"))
    return next(each for each in scene.nodes if f"myself,slave {identity}" in str(ask(each, "CLUSTER", "NODES")))


def _says(node: Server, text: str, *words: str) -> bool:
    return text in str(ask(node, "CLUSTER", *words))


def cluster_failover(scene: Scene) -> None:
    for node in scene.masters():
        replica = _replica_of(scene, node)
        until("the failover begins", partial(_says, replica, "OK", "FAILOVER"))
        until("it is over", partial(_says, replica, "myself,master", "NODES"))
        time.sleep(0.2)


def takeover(scene: Scene) -> None:
    """Replicas that have heard nothing for a while take their primaries' places."""
    masters = scene.masters()
    pairs = [(node, _replica_of(scene, node)) for node in masters]
    for node in masters:
        scene.proxies.tell(f"servers-{scene.node_number(node)}", "hold both")
    time.sleep(0.5)
    for _, replica in pairs:
        assert ask(replica, "CLUSTER", "FAILOVER", "TAKEOVER") == "OK"
    until("they have", lambda: all("myself,slave" in str(ask(node, "CLUSTER", "NODES")) for node in masters))
    for node in masters:
        scene.proxies.tell(f"servers-{scene.node_number(node)}", "pass")


def moved_slots(scene: Scene) -> None:
    """The slots of all names in use go to the next primary, half-moved for a while: ASK, TRYAGAIN, MOVED."""
    masters = scene.masters()
    identities = [str(node.command("CLUSTER", "MYID")) for node in masters]
    slots = {
        int(str(masters[0].command("CLUSTER", "KEYSLOT", f"lock||{scene.app_id}-{language}||{name}")))
        for language in LANGUAGES
        for name in "abc"
    }
    for slot in slots:
        rows = masters[0].command("CLUSTER", "SLOTS")
        assert isinstance(rows, list)
        owner = next(row[2][2] for row in rows if row[0] <= slot <= row[1])  # type: ignore[index,operator]
        source = masters[identities.index(str(owner))]
        target = masters[(identities.index(str(owner)) + 1) % len(masters)]
        to, of = (str(node.command("CLUSTER", "MYID")) for node in (target, source))
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", of)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", to)
        time.sleep(0.03)
        while keys := source.command("CLUSTER", "GETKEYSINSLOT", slot, 10):
            assert isinstance(keys, list)
            source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 1000, "REPLACE", "KEYS", *map(str, keys))
        for node in (target, source, *masters):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", to)
    scene.notes.append(f"{len(slots)} slots moved")


# -- the network of the clients --


def network(
    command: str, seconds: float, *, silent: bool = False, times: int = 1, pause: float = 0.0
) -> Callable[[Scene], None]:
    """Tells the clients' proxies something, for so long, as often as that."""

    def cause(scene: Scene) -> None:
        def tell() -> None:
            begin = now()
            for _ in range(times):
                scene.clients(command)
                time.sleep(seconds)
                if not silent:
                    scene.clients("pass")
                time.sleep(pause)
            if silent:
                silence(scene, begin)
                scene.clients("pass")

        if command.split(maxsplit=1)[0] in {"cut", "reset", "half-open", "refuse"}:
            tell()
        else:
            touched(scene, tell)

    return cause


def certificates(scene: Scene) -> None:
    """The servers show certificates that clients are not to trust."""
    begin = 0
    for certificate in ("expired", "wronghost", "stranger"):
        scene.show(certificate)
        begin = begin or now()
        time.sleep(1.2)
    silence(scene, begin)
    scene.show("good")
    plain = scene.plain()
    assert not plain, f"{plain} connections without TLS"


def nonsense(scene: Scene) -> None:
    """Whatever the servers say, clients hear something else."""
    before = {tag: program.peak() for tag, program in scene.programs.items()}
    file = scene.folder / "nonsense"
    for answer in NONSENSE:
        file.write_bytes(answer)
        heard = scene.touched()
        scene.clients(f"answer {file}")
        # Whoever heard the one before connects again after a second.
        until("somebody hears it", lambda heard=heard: scene.touched() > heard)  # type: ignore[misc]
        time.sleep(0.2)
        scene.clients("pass")
    more = {tag: program.peak() - before[tag] for tag, program in scene.programs.items()}
    scene.notes.append(f"{max(more.values()) // MIB} MiB of memory more at most")
    assert max(more.values()) < MEMORY, f"more memory, in bytes: {more}"


# -- clients --


def stopped_clients(scene: Scene) -> None:
    begin = now()
    programs = [program for tag, program in scene.programs.items() if tag.endswith(".0")]
    threads = [threading.Thread(target=program.stop_for, args=(LONGER_THAN_TTL,)) for program in programs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for program in programs:
        # Its writes may have begun just before.
        scene.silent.append((begin, now() + NS, f"{program.tag}/"))


def partitioned(scene: Scene) -> None:
    """The host of the first program of each language loses its network."""
    host = scene.hosts[0]
    begin = now()
    host.cut(off=True)
    try:
        time.sleep(2 * LONGER_THAN_TTL)
        for tag in scene.programs:
            if tag.endswith(".0"):
                silence(scene, begin, f"{tag}/")
    finally:
        host.cut(off=False)


def killed_clients(scene: Scene) -> None:
    for tag in scene.programs:
        if tag.endswith(".0"):
            scene.crew.pop(tag).kill()
            scene.killed.add(tag)


def nothing(_: Scene) -> None:
    """The turns themselves are the fault."""
    time.sleep(2.5)
