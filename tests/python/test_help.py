"""What `help()`, an editor and mkdocstrings show: every public thing says what it does, and what each argument is."""

from __future__ import annotations

import ast
import inspect
import re
import types
import uuid
from typing import TYPE_CHECKING, Any

import pytest

import leaselock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Each parameter of a public callable has a line of its own, with its type in Python's words.
ARGUMENT = re.compile(r"^    (?P<name>\w+) \((?P<type>[^()]+)\): \S", re.MULTILINE)
CLASSES = [thing for name in leaselock.__all__ if isinstance(thing := getattr(leaselock, name), type)]
ERRORS = [thing for thing in CLASSES if issubclass(thing, BaseException)]
# A block's ends are documented, but nobody calls them by hand.
SPECIAL = re.compile(r"__a?(enter|exit)__")


def attributes() -> Iterator[tuple[str, Any]]:
    """Every public method and property, by its qualified name, also those of a native base class."""
    for owner in CLASSES:
        for base in owner.__mro__:
            if not base.__module__.startswith("leaselock"):
                continue
            for name, value in vars(base).items():
                if not name.startswith("_"):
                    yield f"{owner.__name__}.{name}", value


METHODS = {
    name: value
    for name, value in sorted(attributes(), key=lambda found: found[0])
    if inspect.isroutine(value) or isinstance(value, types.MethodDescriptorType)
}
PROPERTIES = {
    name: value
    for name, value in sorted(attributes(), key=lambda found: found[0])
    if isinstance(value, (property, types.GetSetDescriptorType)) and name not in METHODS
}


def sections(doc: str) -> dict[str, str]:
    """The parts of a docstring by their titles, in Google's style."""
    parts = re.split(r"^(Args|Returns|Raises|Examples|Attributes):\n", inspect.cleandoc(doc), flags=re.MULTILINE)
    return dict(zip(["", *parts[1::2]], parts[::2], strict=True))


def documented(doc: str) -> list[str]:
    return [found["name"] for found in ARGUMENT.finditer(sections(doc).get("Args", ""))]


def parameters(callable_: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(callable_).parameters if name != "self"]


def test_the_walk_finds_what_there_is() -> None:
    assert {"Client.acquire", "AsyncClient.acquire", "Lease.extend", "AsyncLease.on_lost"} <= METHODS.keys()
    assert {"Client.id", "AsyncClient.id", "Lease.token", "AsyncLease.state", "Lock.name"} <= PROPERTIES.keys()
    assert {"AsyncClient.stats", "AsyncClient.closed"} <= METHODS.keys() | PROPERTIES.keys()


def test_the_package() -> None:
    assert "with Client(" in (leaselock.__doc__ or "")


@pytest.mark.parametrize("name", METHODS)
def test_a_method(name: str) -> None:
    method = METHODS[name]
    assert method.__doc__, name
    assert documented(method.__doc__) == parameters(method)
    assert not re.search(r"\b(Option|Vec|Duration|Result|String|bool::|f64|u64|PyResult)\b", method.__doc__)
    # What comes back is said, unless it is nothing.
    annotated = getattr(method, "__annotations__", {}).get("return")
    if annotated not in (None, "None"):
        assert "Returns" in sections(method.__doc__)


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_property(name: str) -> None:
    assert len(PROPERTIES[name].__doc__ or "") > 10


@pytest.mark.parametrize("owner", CLASSES, ids=lambda owner: str(owner.__name__))
def test_a_class(owner: type) -> None:
    doc = vars(owner).get("__doc__")
    assert doc, owner
    if owner in (leaselock.Client, leaselock.AsyncClient, leaselock.Lock):
        assert documented(doc) == parameters(owner)
    for name, value in vars(owner).items():
        if SPECIAL.fullmatch(name):
            assert value.__doc__, name
    # Exceptions have Python's own, which says nothing.
    if owner not in ERRORS:
        assert inspect.signature(owner) is not None


def test_fields_of_records() -> None:
    for record in (leaselock.LockInfo, leaselock.Stats):
        text = sections(record.__doc__ or "")["Attributes"]
        listed = re.findall(r"^    (\w+): (\S.*)$", text, re.MULTILINE)
        assert [name for name, _ in listed] == list(record.__dataclass_fields__)
        # `help()` shows the class's, an editor the field's.
        [node] = ast.parse(inspect.getsource(record)).body
        assert isinstance(node, ast.ClassDef)
        fields = [
            one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        ]
        docs = [ast.literal_eval(one.value) for one in node.body if isinstance(one, ast.Expr)][1:]
        assert listed == list(zip(fields, docs, strict=True))


def test_each_error_that_is_raised_is_one_that_there_is() -> None:
    known = {error.__name__ for error in ERRORS} | {"TypeError", "RuntimeError"}
    for name, method in METHODS.items():
        raised = re.findall(r"^    (\w+): \S", sections(method.__doc__ or "").get("Raises", ""), re.MULTILINE)
        assert set(raised) <= known, name


def test_sync_and_async_say_the_same() -> None:
    """Each is documented on its own, so that they could drift apart."""

    def same(text: str) -> str:
        text = re.sub(r"\n    cancel_on_lost .*|Async(?=Client|Lease|Lock|Iterator)|`?async (?=with)|await ", "", text)
        return " ".join(text.replace("an `with", "a `with").replace("`with block", "`with` block").split())

    for name, method in METHODS.items():
        twin = METHODS.get(name.removeprefix("Async")) if name.startswith("Async") else None
        if twin is not None:
            for section in ("Args", "Raises"):
                one, other = (same(sections(m.__doc__ or "").get(section, "")) for m in (twin, method))
                # An event loop is one thing more that may be wrong.
                if not name.endswith("on_lost"):
                    assert one == other, name


def examples() -> Iterator[Any]:
    for name, thing in [*((c.__name__, c) for c in CLASSES), *METHODS.items()]:
        text = sections(thing.__doc__ or "").get("Examples", "")
        code = re.findall(r"^    (?:>>>|\.\.\.) ?(.*)$", text, re.MULTILINE)
        if code:
            yield pytest.param("\n".join(code), name.startswith("Async"), id=name)


@pytest.mark.parametrize(("code", "is_async"), list(examples()))
async def test_an_example_runs(code: str, is_async: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """It runs as it stands, but for the server."""
    url = f"memory:{uuid.uuid4().hex}"
    client = leaselock.AsyncClient(url) if is_async else leaselock.Client(url)
    written: list[object] = []

    async def later(token: int = 0) -> None:
        written.append(token)

    def now(token: int = 0) -> None:
        written.append(token)

    work = later if is_async else now
    names = {
        **vars(leaselock),
        "client": client,
        "write_report": work,
        "clean_up": work,
        "report": ["page"],
        "payer": "account:7",
        "payee": "account:4",
        "move_money": lambda *_, fence: work(token=max(fence.values())),
        "write": lambda _page, token: written.append(token),
    }
    holder = leaselock.Client(url)
    lease = holder.acquire("job-1")
    program = compile(
        code.replace("redis://localhost:6379", url), "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )
    running = eval(program, names)
    if inspect.iscoroutine(running):
        await running
    if "report" in code and "def report" in code:
        running = names["report"]()
        if inspect.iscoroutine(running):
            await running
    elif "print" in code:
        assert f"job-1 {lease.owner}" in capsys.readouterr().out
    else:
        assert written
    lease.release()
