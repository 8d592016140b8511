"""`leaselock doctor` on real servers: each with one thing wrong, and one with nothing."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certs
import pytest
from conftest import ROOT, Program, wait_until
from proxy import Proxy
from servers import Server, binaries, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


BINARIES = {name: path for name, path in binaries().items() if path}
PERMITTED = ["resetkeys", "resetchannels", "-@all"]
RULE = re.compile(r"ACL SETUSER leaselock on >PASSWORD (.*)")


@dataclass
class Report:
    """What the doctor said, in both forms."""

    status: int
    text: str
    data: dict[str, Any]

    def level(self, check: str) -> str | None:
        return next((c["level"] for c in self.data["checks"] if c["check"] == check), None)

    def __getitem__(self, check: str) -> dict[str, Any]:
        return next(c for c in self.data["checks"] if c["check"] == check)

    @property
    def bad(self) -> set[str]:
        return {c["check"] for c in self.data["checks"] if c["level"] in {"problem", "warning"}}

    @property
    def unknown(self) -> set[str]:
        return {c["check"] for c in self.data["checks"] if c["level"] == "unknown"}


@pytest.fixture
def doctor(path: str) -> Callable[..., Report]:
    """Runs it on a store, in both forms."""

    def run(url: str, *args: str, **variables: str) -> Report:
        program = Program(path, url)
        text, data = (program.run("doctor", *args, *more, seconds=60, **variables) for more in ([], ["--json"]))
        assert text.returncode == data.returncode, "the form changes nothing"
        assert text.stderr == data.stderr == ""
        for line in text.stdout.splitlines():
            whole = "ACL SETUSER" in line or tempfile.gettempdir() in line  # commands and paths
            assert len(line) <= 80 or whole, line
        return Report(text.returncode, text.stdout, json.loads(data.stdout))

    return run


@pytest.fixture(params=BINARIES)
def start(request: pytest.FixtureRequest) -> Iterator[Callable[..., Server]]:
    """Starts servers of one kind; stops them in the end."""
    name = request.param
    with ExitStack() as servers:
        yield lambda *args, **options: servers.enter_context(Server(BINARIES[name], *args, name=name, **options))


def run_on(server: Server, command: str) -> None:
    """What an administrator does with a line that is to be copied."""
    assert server.command(*command.split()) == "OK"


def login(server: Server, user: str, *rights: str) -> str:
    """A user with these rights; the URL to log in by."""
    assert server.command("ACL", "SETUSER", user, "reset", "on", ">secret", *rights) == "OK"
    return f"redis://{user}:secret@127.0.0.1:{server.port}"


# ---- a healthy server


def test_a_healthy_server_gets_a_short_calm_report(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start(keep_data=True)
    report = doctor(server.url)
    assert report.status == 0
    assert report.bad == report.unknown == set()
    title, before, *checks, after, summary = report.text.splitlines()
    assert title.lower().startswith(server.name)
    assert f"127.0.0.1:{server.port}" in title
    assert len(checks) <= 20
    assert all(line.startswith(("ok ", "   ")) for line in checks)
    assert (before, after, summary) == ("", "", "no problems, no warnings")
    assert server.command("DBSIZE") == 0, "nothing was changed"
    assert server.command("PUBSUB", "CHANNELS") == []


def test_it_leaves_locks_alone(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start()
    for words in (["SET", "lock||app||job", "me"], ["SET", "lock||app||||fence", "1700000000000000"]):
        server.command(*words)
    assert doctor(server.url, "--app-id", "app").status == 0
    assert server.command("GET", "lock||app||job") == "me"
    assert server.command("GET", "lock||app||||fence") == "1700000000000000"
    assert server.command("DBSIZE") == 2


# ---- data


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_eviction_is_a_problem(policy: str, start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start("--maxmemory", "100mb", "--maxmemory-policy", policy)
    report = doctor(server.url)
    assert report.status == 1
    assert report.level("eviction") == "problem"
    assert policy in report["eviction"]["seen"]
    assert report.text.index("problem") < report.text.index("warning"), "the worst comes first"
    for command in report["eviction"]["commands"]:
        run_on(server, command)
    assert doctor(server.url).level("eviction") == "ok"


def test_a_policy_without_a_limit_evicts_nothing(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    assert doctor(start("--maxmemory-policy", "allkeys-lru").url).level("eviction") == "ok"


def test_memory_that_runs_short_is_a_warning_and_then_a_problem(
    start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    server = start()
    server.command("SET", "big", "x" * 20_000_000)
    used = re.search(r"used_memory:(\d+)", str(server.command("INFO", "memory")))
    assert used
    server.command("CONFIG", "SET", "maxmemory", int(used[1]) * 105 // 100)
    report = doctor(server.url)
    assert (report.status, report.level("memory")) == (0, "warning")

    server.command("CONFIG", "SET", "maxmemory", 2_000_000)
    report = doctor(server.url)
    assert report.status == 1
    assert "OOM" in report["writes"]["seen"]


def test_persistence(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start()
    report = doctor(server.url)
    assert (report.status, report.level("persistence")) == (0, "warning")
    assert "nothing is written" in report["persistence"]["seen"]

    server.command("CONFIG", "SET", "save", "3600 1")
    assert "snapshots only" in doctor(server.url)["persistence"]["seen"]

    for command in report["persistence"]["commands"]:
        run_on(server, command)
    assert doctor(server.url).level("persistence") == "ok"

    server.command("CONFIG", "SET", "appendfsync", "no")
    assert doctor(server.url).level("persistence") == "warning"


def test_a_disk_that_cannot_be_written_is_a_problem(
    start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    server = start()
    # A folder in the way of the file.
    (server.folder / "dump.rdb" / "x").mkdir(parents=True)
    server.command("CONFIG", "SET", "save", "3600 1")
    server.command("SET", "key", "value")
    server.command("BGSAVE")
    wait_until(lambda: "rdb_last_bgsave_status:err" in str(server.command("INFO", "persistence")), "the save fails")
    report = doctor(server.url)
    assert report.status == 1
    assert report.level("persistence") == "problem"
    assert "MISCONF" in report["writes"]["seen"]


# ---- replicas


def test_replicas_that_need_not_follow_are_a_warning(
    start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    primary, replica = start(), start()
    assert doctor(primary.url).level("replicas") == "ok"

    replica.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: "master_link_status:up" in str(replica.command("INFO", "replication")), "the replica follows")
    wait_until(lambda: "state=online" in str(primary.command("INFO", "replication")), "the primary knows")
    report = doctor(primary.url)
    assert (report.status, report.level("replicas")) == (0, "warning")
    for command in report["replicas"]["commands"]:
        run_on(primary, command)
    wait_until(lambda: "min_slaves_good_slaves:1" in str(primary.command("INFO", "replication")), "it counts")
    assert doctor(primary.url).level("replicas") == "ok"

    report = doctor(replica.url)
    assert (report.status, report.level("role")) == (1, "problem")
    # A user that sees nothing else still sees that.
    url = login(replica, "user", "-@all", "+multi", "+exec", "+set", "~*")
    assert doctor(url).level("role") == "problem"

    replica.kill()
    wait_until(lambda: "connected_slaves:0" in str(primary.command("INFO", "replication")), "it has gone")
    report = doctor(primary.url)
    assert (report.status, report.level("replicas")) == (1, "problem")
    report = doctor(login(primary, "user", "-@all", "+multi", "+exec", "+set", "~*"))
    assert "NOREPLICAS" in report["writes"]["seen"]


def test_a_cluster_is_a_problem(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    report = doctor(start("--cluster-enabled", "yes", "--cluster-port", str(free_port())).url)
    assert (report.status, report.level("mode")) == (1, "problem")


def test_a_sentinel_is_a_problem(tmp_path: Path, doctor: Callable[..., Report]) -> None:
    port, config = free_port(), tmp_path / "sentinel.conf"
    config.write_text(f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n")
    server = next(iter(BINARIES.values()))
    with subprocess.Popen([server, str(config), "--sentinel"], stdout=subprocess.DEVNULL) as sentinel:
        try:
            wait_until(lambda: doctor(f"redis://127.0.0.1:{port}").level("connection") is None, "it answers")
            report = doctor(f"redis://127.0.0.1:{port}")
            assert (report.status, report.level("mode")) == (1, "problem")
        finally:
            sentinel.kill()


# ---- rights


def documented(file: str) -> str:
    rule = RULE.search((ROOT / file).read_text())
    assert rule, f"{file} gives the rule"
    return rule[1]


def test_the_documents_and_the_doctor_give_the_same_rule(
    start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    url = login(start(), "joe", *PERMITTED)
    report = doctor(url)
    (command,) = report["rights"]["commands"]
    rule = documented("SECURITY.md").replace("-@all ", "")
    assert command == f"ACL SETUSER joe {rule}"
    assert command in report.text, "in one line, to be copied"
    assert documented("README.md") == documented("SECURITY.md")


def test_under_the_documented_rule_nothing_is_missing_and_the_rest_is_not_shown(
    start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    report = doctor(login(start(), "joe", *documented("SECURITY.md").split()))
    assert report.status == 0
    assert report.bad == set()
    assert report.level("rights") == "ok"
    assert report.unknown == {"eviction", "memory", "persistence", "replicas", "connections", "slow commands"}
    assert "could not look: INFO is refused (NOPERM" in " ".join(report.text.split())
    for check in ("version", "mode", "role", "clock", "round trip"):
        assert report.level(check) == "ok", "what needs no right is seen all the same"


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (["-@all"], "+multi"),
        (["-incr", "-zpopmin"], "+incr +zpopmin"),
        (["-evalsha"], "+evalsha"),
        (["-exec"], "+exec"),
        (["resetkeys", "~{lock||*"], "~lock||*"),
        (["resetkeys", "~lock||*"], "~{lock||*"),
        (["resetchannels"], "&lock||*"),
    ],
)
def test_a_missing_right_is_named_and_the_printed_rule_grants_it(
    change: list[str], missing: str, start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    server = start()
    url = login(server, "joe", *documented("SECURITY.md").split(), *change)
    report = doctor(url)
    assert report.status == 1
    assert report.level("rights") == "problem"
    assert f'user "joe" lacks {missing}' in report["rights"]["seen"]
    for command in report["rights"]["commands"]:
        run_on(server, command)
    report = doctor(url)
    assert (report.status, report.level("rights")) == (0, "ok")
    assert server.command("DBSIZE") == 0, "asking for a right changes nothing"


def test_a_narrower_rule_is_enough_for_its_app_id(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    rule = documented("SECURITY.md").replace("~lock||*", "~lock||shop||*").replace("~{lock||*", "~{lock||shop||*")
    url = login(start(), "joe", *rule.split())
    assert doctor(url, "--app-id", "shop").level("rights") == "ok"
    assert doctor(url, "--app-id", "bar").level("rights") == "problem"


def test_a_database_needs_one_right_more(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start()
    url = f"{login(server, 'joe', *documented('SECURITY.md').split())}/3"
    report = doctor(url)
    assert (report.status, report.level("connection")) == (1, "problem")
    login(server, "joe", *documented("SECURITY.md").split(), "+select")
    assert doctor(url).level("rights") == "ok"


def test_what_an_administrator_denies_is_left_out(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start(keep_data=True)
    report = doctor(login(server, "joe", "~*", "&*", "+@all", "-config"))
    assert (report.status, report.bad) == (0, set())
    assert report.level("replicas") == "ok"
    report = doctor(login(server, "joe", "~*", "&*", "+@all", "-info"))
    assert (report.status, report.bad) == (0, set())
    assert report.level("eviction") == "ok", "CONFIG GET tells it, too"
    assert report.unknown == {"memory", "replicas", "connections"}


def test_commands_that_a_host_has_disabled(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    disabled = [word for name in ("CONFIG", "SLOWLOG", "ZPOPMIN") for word in ("--rename-command", name, "")]
    report = doctor(start(*disabled).url)
    assert report.status == 1
    assert "does not know ZPOPMIN" in report["rights"]["seen"]
    assert report.unknown == {"slow commands"}
    assert report.level("persistence") == "warning"


# ---- time and network


def test_a_clock_that_is_ahead_is_a_warning(
    tmp_path: Path, doctor: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    library, shift = tmp_path / "clock_shift.so", tmp_path / "shift"
    source = ROOT / "core" / "tests" / "common" / "clock_shift.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    shift.write_bytes(bytes(ctypes.c_int64(300_000)))
    # Debian's server is linked dynamically; the other one is not, so nothing can be put in front of its clock.
    server = Server(BINARIES["redis"], keep_data=True)
    with monkeypatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("CLOCK_SHIFT", str(shift))
        server.start()
    with server:
        report = doctor(server.url)
        assert (report.status, report.bad) == (0, {"clock"})
        assert re.search(r"is 5(\.\d)? minutes ahead of", report["clock"]["seen"])


def test_a_slow_network_is_judged_by_the_ttl(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start(keep_data=True)
    with Proxy(server.port) as proxy:
        proxy.to_client.delay = 0.06
        levels = {ttl: doctor(proxy.url, "--ttl", ttl) for ttl in ("300ms", "900ms", "1m")}
    assert [report.level("round trip") for report in levels.values()] == ["problem", "warning", "ok"]
    assert [report.status for report in levels.values()] == [1, 0, 0]
    assert levels["1m"].data["ttl"] == 60


def test_a_command_that_kept_the_server_busy(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start(keep_data=True)
    loop = """local t = redis.call('TIME') local start = t[1] * 1e6 + t[2]
              repeat t = redis.call('TIME') until t[1] * 1e6 + t[2] - start > 500000"""
    server.command("EVAL", loop, 0)
    entry: Any = server.command("SLOWLOG", "GET", 1)
    micros = entry[0][2]
    ttls = [f"{int(micros * part / 1000)}ms" for part in (1.2, 3, 7)]
    levels = [doctor(server.url, "--ttl", ttl).level("slow commands") for ttl in ttls]
    assert levels == ["problem", "warning", "ok"]
    seen = doctor(server.url)["slow commands"]["seen"]
    assert "EVAL" in seen
    assert "repeat" not in seen, "arguments may be secrets"


def test_connections_that_run_out(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start(keep_data=True)
    with server.connect() as connection:
        connection.command("CONFIG", "SET", "maxclients", 2)
        assert doctor(server.url).level("connections") == "warning"


def test_a_password_in_plain_text(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start(keep_data=True, password="canary-secret")
    assert doctor(server.url).level("network") == "ok"
    # The name of a host that is not called local, and is.
    report = doctor(f"redis://:canary-secret@127.1:{server.port}")
    assert (report.status, report.level("network")) == (0, "warning")
    assert "password too" in report["network"]["seen"]
    assert "canary-secret" not in report.text + json.dumps(report.data)


def test_tls_is_what_it_takes(tmp_path: Path, doctor: Callable[..., Report], monkeypatch: pytest.MonkeyPatch) -> None:
    certs.make(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    with Server(BINARIES["redis"], tls=tmp_path, password="secret") as server:
        report = doctor(server.url, SSL_CERT_FILE=str(tmp_path / "ca.crt"))
        assert "TLS" in report["network"]["seen"]


# ---- no server at all


def test_a_server_that_cannot_be_reached(doctor: Callable[..., Report]) -> None:
    report = doctor(f"redis://:canary-secret@127.0.0.1:{free_port()}")
    assert (report.status, report.level("connection")) == (1, "problem")
    assert "canary-secret" not in report.text + json.dumps(report.data)


def test_a_wrong_password(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start(password="right")
    report = doctor(f"redis://:canary-secret@127.0.0.1:{server.port}")
    assert (report.status, report.level("connection")) == (1, "problem")
    assert "canary-secret" not in report.text + json.dumps(report.data)


@pytest.mark.parametrize("args", [["--url", "nonsense"], ["--url", "redis://h", "--ttl", "1 fortnight"], ["--no"]])
def test_a_command_line_that_makes_no_sense(path: str, args: list[str]) -> None:
    done = Program(path, "").run("doctor", *args)
    assert done.returncode == 64
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


# ---- a store without a server


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, doctor: Callable[..., Report]) -> None:
    report = doctor(f"file:{tmp_path}/locks.db")
    assert (report.status, report.bad, report.unknown) == (0, set(), set())
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_use_is_well(tmp_path: Path, path: str, doctor: Callable[..., Report]) -> None:
    url = f"file:{tmp_path}/locks.db"
    held = Program(path, url).run("run", "job", "--", path, "doctor", "--json")
    assert held.returncode == 0, held.stderr
    report = doctor(url)
    assert (report.status, report.bad, report.unknown) == (0, set(), set())
    assert "sound" in report["file"]["seen"]


def test_a_file_that_everybody_may_write(tmp_path: Path, path: str, doctor: Callable[..., Report]) -> None:
    url, file = f"file:{tmp_path}/locks.db", tmp_path / "locks.db"
    assert Program(path, url).run("run", "job", "true").returncode == 64, "-- is missing"
    assert Program(path, url).run("run", "job", "--", "true").returncode == 0
    assert report_of_mode(doctor, url, file, 0o660) == "ok"
    assert report_of_mode(doctor, url, file, 0o666) == "warning"
    file.chmod(0o600)
    assert report_of_mode(doctor, url, tmp_path, 0o777) == "warning"
    assert report_of_mode(doctor, url, tmp_path, 0o1777) == "ok"


def report_of_mode(doctor: Callable[..., Report], url: str, path: Path, mode: int) -> str | None:
    path.chmod(mode)
    return doctor(url).level("permissions")


def test_a_damaged_file_is_a_problem(tmp_path: Path, path: str, doctor: Callable[..., Report]) -> None:
    url, file = f"file:{tmp_path}/locks.db", tmp_path / "locks.db"
    assert Program(path, url).run("run", "job", "--", "true").returncode == 0
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] + b"\xff" * (len(whole) - len(whole) // 2))
    report = doctor(url)
    assert report.status == 1
    assert {report.level("file"), report.level("connection")} & {"problem"}


def test_what_is_no_store(tmp_path: Path, doctor: Callable[..., Report]) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader,")
    for url in (f"file:{tmp_path}/letter.txt", f"file:{tmp_path}/missing/locks.db", f"file:{tmp_path}"):
        report = doctor(url)
        assert (report.status, report.level("connection")) == (1, "problem"), url
    assert (tmp_path / "letter.txt").read_text() == "Dear reader,"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="Linux has a file system in memory there")
def test_a_file_in_memory(doctor: Callable[..., Report]) -> None:
    assert "in memory" in doctor("file:/dev/shm/leaselock-doctor-test.db")["file system"]["seen"]


def test_the_memory_of_one_process(doctor: Callable[..., Report]) -> None:
    report = doctor("memory:tests")
    assert (report.status, report.level("memory")) == (0, "warning")
