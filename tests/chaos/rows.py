"""The matrix as data: each fault, how it is caused, where it applies, and what must hold there.

S1, that the fenced resource never accepts an older token after a newer one, and N, that nothing is left behind, are
asked of every row, and that work goes on within a time (L1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import causes
from scenes import TTL, TTL_MS
from work import COMMAND_TIMEOUT_MS, LONGER_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenes import Scene

ONE = ("one-redis", "one-valkey")
SENTINEL = ("sentinel-redis", "sentinel-valkey")
CLUSTER = ("cluster-redis", "cluster-valkey")
SERVERS = (*ONE, SENTINEL[0], CLUSTER[1])
EVERYWHERE = (*SERVERS, "file")
UNAVAILABLE = frozenset({"STORE_UNAVAILABLE"})
REFUSED = UNAVAILABLE | {"STORE_REFUSED"}
# A TTL and half a second; and what a machine costs that runs many of these at once.
FREE = TTL + 0.5 + 1.0
# Where no lease may be lost the machine gets time to renew.
KEPT_MS = 3_000
BLOCKED_MS = KEPT_MS + LONGER_MS
# A lost message is made good by the fallback of whoever is first in line.
FALLBACK = FREE + 3.0
# A first command that got no answer fails, and is asked again.
SILENT = FREE + COMMAND_TIMEOUT_MS / 1000 + 3.0


@dataclass(frozen=True)
class Row:
    """One fault. `overlap` are the kinds of topology where two may hold at once, and only the tokens tell."""

    name: str
    cause: Callable[[Scene], None]
    topologies: tuple[str, ...]
    known: str
    overlap: tuple[str, ...] = ()
    errors: frozenset[str] = frozenset()
    within: float = FREE
    # No lease is lost.
    kept: bool = False
    ttl: int = TTL_MS
    # Failovers are wanted, and not those of a busy machine.
    calm: bool = True
    # What the servers are like: they keep data, have a clock of their own, speak TLS.
    keep_data: bool = False
    shift: bool = False
    tls: bool = False
    # What users must have been told.
    words: tuple[str, ...] = ()
    # Things about the work: two programs of a language, turns that are cancelled, that block their interpreter.
    work: dict[str, Any] = field(default_factory=dict)
    own_clock: bool = False

    @property
    def apart(self) -> bool:
        """Whether it wants servers or programs that no other row can have."""
        return self.keep_data or self.shift or self.tls or self.own_clock or not self.calm


TOKEN = "two holders may overlap: the token tells"
ALL = ("one", "sentinel", "cluster")

ROWS = [
    Row(
        "restart, data kept",
        causes.restart,
        SERVERS,
        "the lock survives",
        errors=UNAVAILABLE,
        within=SILENT,
        keep_data=True,
    ),
    Row("restart, data lost", causes.restart_empty, SERVERS, TOKEN, ALL, UNAVAILABLE, SILENT),
    Row(
        "server stopped past the TTL",
        causes.stopped_servers,
        SERVERS,
        "`held` is false by the deadline; where a replica takes over, the token tells",
        ("sentinel", "cluster"),
        UNAVAILABLE,
        SILENT,
        calm=False,
    ),
    Row(
        "client stopped past the TTL",
        causes.stopped_clients,
        EVERYWHERE,
        "late writes are refused by their token; in a file, who is stopped in a transaction stops all others",
        errors=UNAVAILABLE,
        within=FALLBACK,
        work={"each": 2},
    ),
    Row(
        "holders and waiters killed",
        causes.killed_clients,
        EVERYWHERE,
        "free again after the TTL; a dead head of the queue costs a claim window",
        within=FALLBACK,
        work={"each": 2},
    ),
    Row(
        "black hole",
        causes.network("hold both", causes.LONGER_THAN_TTL, silent=True),
        SERVERS,
        "`held` is false by the deadline; what was granted to nobody is given back",
        errors=UNAVAILABLE,
        within=SILENT,
    ),
    Row(
        "one direction stopped, to the server",
        causes.network("hold to-server", 0.4, times=3, pause=0.3),
        SERVERS,
        "waited for, or asked again by another connection",
        errors=UNAVAILABLE,
        within=SILENT,
    ),
    Row(
        "one direction stopped, to the client",
        causes.network("hold to-client", 0.4, times=3, pause=0.3),
        SERVERS,
        "an acquire whose reply comes too late is given back",
        errors=UNAVAILABLE,
        within=SILENT,
    ),
    Row(
        "half-open connections",
        causes.network("half-open", 0.5, times=3),
        SERVERS,
        "found silent, and replaced",
        errors=UNAVAILABLE,
        within=SILENT,
    ),
    Row(
        "connections forgotten",
        causes.network("forget", 0.7, times=2),
        SERVERS,
        "found silent, and replaced",
        errors=UNAVAILABLE,
        within=SILENT,
    ),
    Row(
        "connections reset",
        causes.network("reset", 0.15, times=8),
        SERVERS,
        "replaced; users see nothing",
        within=FALLBACK,
    ),
    Row(
        "latency of half a TTL",
        causes.network("delay to-client 500", 2.0),
        SERVERS,
        "slow, and no lease is held past its deadline",
        errors=UNAVAILABLE,
        within=SILENT,
    ),
    Row(
        "latency of two TTLs",
        causes.network("delay to-client 2000", 3.0),
        SERVERS,
        "an acquire whose reply comes too late is given back",
        errors=UNAVAILABLE,
        within=SILENT,
    ),
    Row(
        "reply lost after commit",
        causes.network("lose to-client", 0.12, times=12),
        SERVERS,
        "asked again for the same owner: nobody stands in his own way",
        errors=UNAVAILABLE,
        within=FALLBACK,
    ),
    Row("published message lost", causes.network("deafen", 2.0), SERVERS, "made good by the fallback", within=FALLBACK),
    Row("SCRIPT FLUSH", causes.script_flush, SERVERS, "users see nothing", within=FALLBACK),
    Row("CLIENT KILL, normal and pubsub", causes.client_kill, SERVERS, "users see nothing", within=FALLBACK),
    Row("BUSY script", causes.busy, SERVERS, "tried again until the deadline", errors=UNAVAILABLE, within=FALLBACK),
    Row("CLIENT PAUSE", causes.client_pause, SERVERS, "waited for", errors=UNAVAILABLE, within=FALLBACK),
    Row(
        "failover of a master cut off from replicas and sentinels",
        causes.partitioned_master,
        SENTINEL,
        TOKEN + "; what the old master granted is unknown to the new one",
        ("sentinel",),
        UNAVAILABLE,
        SILENT,
        calm=False,
    ),
    Row(
        "SENTINEL FAILOVER, the old master alive",
        causes.sentinel_failover,
        SENTINEL,
        TOKEN,
        ("sentinel",),
        UNAVAILABLE,
        SILENT,
        calm=False,
    ),
    Row(
        "master killed",
        causes.killed_master,
        (*SENTINEL, *CLUSTER),
        TOKEN,
        ("sentinel", "cluster"),
        UNAVAILABLE,
        SILENT,
        calm=False,
    ),
    Row(
        "min-replicas-to-write not met",
        causes.too_few_replicas,
        SERVERS,
        "refuses the release too: the TTL frees the name",
        errors=UNAVAILABLE,
        within=SILENT,
    ),
    Row(
        "CLUSTER FAILOVER of each shard",
        causes.cluster_failover,
        CLUSTER,
        "the lease goes on; a slot's replica has all",
        errors=UNAVAILABLE,
        within=SILENT,
        calm=False,
    ),
    Row("CLUSTER FAILOVER TAKEOVER, unreplicated", causes.takeover, CLUSTER, TOKEN, ("cluster",), UNAVAILABLE, SILENT),
    Row(
        "slots moved: MOVED, ASK, TRYAGAIN",
        causes.moved_slots,
        CLUSTER,
        "leases live, acquire and release wait",
        within=SILENT,
    ),
    Row(
        "out of memory, noeviction",
        causes.out_of_memory,
        SERVERS,
        "an acquire is refused; release and renew still work",
        errors=REFUSED,
        within=FALLBACK,
        kept=True,
        ttl=KEPT_MS,
    ),
    Row("eviction, allkeys", causes.evict("allkeys-random"), SERVERS, TOKEN, ALL, REFUSED, FALLBACK),
    Row("eviction, volatile", causes.evict("volatile-random"), SERVERS, TOKEN, ALL, REFUSED, FALLBACK),
    Row("READONLY replica", causes.readonly, ONE, "never counted as held", errors=UNAVAILABLE, within=SILENT),
    Row(
        "ACL: scripts denied",
        causes.acl("-eval", "-evalsha"),
        SERVERS,
        "refused in words, at once",
        errors=REFUSED,
        within=SILENT,
    ),
    Row(
        "ACL: the second write of a take denied",
        causes.acl("-incr"),
        SERVERS,
        "refused in words; scripts do not roll back: no lock is left",
        errors=REFUSED,
        within=SILENT,
    ),
    Row(
        "TLS: expired, another host's, of an unknown authority",
        causes.certificates,
        SERVERS,
        "refused in words; nobody falls back to plain text",
        errors=REFUSED,
        within=SILENT,
        tls=True,
        words=("it has expired", "it is for another host name", "nobody whom this client trusts vouches for it"),
    ),
    Row(
        "replies that make no sense",
        causes.nonsense,
        SERVERS,
        "huge, deep, endless, of wrong types: errors in words, in bounded memory",
        errors=REFUSED,
        within=SILENT,
    ),
    Row(
        "server clock +1 h",
        causes.clock(1),
        ("one-redis", "sentinel-redis", "cluster-redis"),
        TOKEN,
        ALL,
        UNAVAILABLE,
        SILENT,
        shift=True,
    ),
    Row(
        "server clock -1 h",
        causes.clock(-1),
        ("one-redis", "sentinel-redis", "cluster-redis"),
        "a living holder loses nothing; a dead one's name stays taken",
        (),
        UNAVAILABLE,
        SILENT,
        shift=True,
    ),
    Row(
        "client clock +1 h and -1 h",
        causes.own_clock,
        EVERYWHERE,
        "no effect",
        within=FREE,
        kept=True,
        ttl=KEPT_MS,
        own_clock=True,
    ),
    Row(
        "GIL or event loop blocked past the TTL",
        causes.nothing,
        EVERYWHERE,
        "the lease is kept",
        # The holders of the other names may block the interpreter one after the other, and it again.
        within=FALLBACK + 3 * BLOCKED_MS / 1000,
        kept=True,
        ttl=KEPT_MS,
        # Who asks while its own interpreter stands still for longer than the time-out may be told of no answer.
        work={"blocked": BLOCKED_MS, "command_timeout": 3 * KEPT_MS},
    ),
    Row(
        "acquire cancelled",
        causes.nothing,
        EVERYWHERE,
        "queue entry and grant are undone",
        within=FREE,
        kept=True,
        ttl=KEPT_MS,
        work={"cancelled": True},
    ),
    Row(
        "hosts partitioned, by real addresses",
        causes.partitioned,
        ("hosts-redis", "hosts-valkey"),
        "`held` is false by the deadline on the host that is cut off; the others go on",
        errors=UNAVAILABLE,
        within=SILENT,
        work={"each": 2},
    ),
]


@dataclass(frozen=True)
class Covered:
    """A fault within one process, or of a file, which tests cause: file and test by language, or by what has it."""

    name: str
    known: str
    tests: dict[str, tuple[str, str]]


COVERED = [
    Covered(
        "fork",
        "the child never touches the parent's lease; Node cannot fork and go on",
        {
            "Python": ("tests/python/test_c_fork.py", "test_field_bug_59_a_lease_stays_with_its_process"),
            "asyncio": ("tests/python/test_c_fork.py", "test_field_bug_59_asyncio"),
            "Rust": ("core/tests/faults/threads.rs", "field_bug_59_a_client_refuses_to_work_in_a_forked_child"),
            "Rust, a file": ("core/tests/embedded/forks.rs", "a_forked_child_has_locks_of_its_own"),
        },
    ),
    Covered(
        "interpreter exit",
        "no name stays taken, and the process ends at once",
        {
            "Python, asyncio": ("tests/python/test_ends.py", "test_field_bug_61_no_name_stays_taken"),
            "Node": ("tests/node/src/exit.test.mts", "leaves no name taken"),
            "Rust": ("core/tests/faults/ends.rs", "field_bug_60_a_lease_dropped_last_is_given_back"),
        },
    ),
    Covered(
        "worker.terminate()",
        "what the worker held is given back, and its place in a queue is left",
        {"Node": ("tests/node/src/workers.test.mts", "worker.terminate ends one that holds and waits")},
    ),
    Covered(
        "a file's machine reboots",
        "no lease outlives its TTL by the wall clock, and tokens grow",
        {
            "all, by the core": (
                "core/tests/embedded/tokens.rs",
                "a_reboot_leaves_every_lease_what_the_wall_clock_says_and_never_more_than_its_ttl",
            )
        },
    ),
    Covered(
        "a file removed, replaced, damaged",
        "leases are lost at the next renewal, tokens grow, and what is no store is refused",
        {
            "removed": ("core/tests/embedded/files.rs", "a_removed_store_is_made_anew_and_its_leases_are_lost"),
            "replaced": ("core/tests/embedded/files.rs", "processes_agree_on_a_store_that_was_replaced_under_them"),
            "tokens": ("core/tests/embedded/tokens.rs", "tokens_grow_over_closing_and_removing_the_file"),
            "damaged": ("core/tests/embedded/damaged.rs", "whatever_is_damaged_nobody_holds_what_another_holds"),
        },
    ),
    Covered(
        "a file in another time namespace",
        "the second namespace is refused, in words",
        {
            "all, by the core": (
                "core/tests/embedded/time_namespaces.rs",
                "field_bug_68_another_time_namespace_is_refused",
            )
        },
    ),
]
