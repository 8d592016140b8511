#!/usr/bin/env python3
"""What core/src imports against its order, its largest ring, and names that stand for two things.

Data flows one way: a file imports from rooms that stand later in ORDER, or from its own. A room is a module of the
crate with its folder. In a ring, each room can be reached from each by imports. Runs anywhere, without arguments.
"""

import re
from collections import Counter
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent / "core" / "src"
FLOORS = {
    "face": ["fuzzing", "builder", "ending", "blocking", "port", "lead", "client", "listing"],
    "client": [
        "group",
        "acquire",
        "lease",
        "releasing",
        "undo",
        "observe",
        "shared",
        "neighbours",
        "keeper",
        "holding",
        "waiting",
        "released",
    ],
    "store": ["store"],
    "vocabulary": [
        "diagnosis",
        "lock_info",
        "access",
        "options",
        "claim",
        "limit",
        "name",
        "stats",
        "state",
        "error",
        "backoff",
        "clock",
        "environment",
        "seeded",
        "platform",
        "fork",
        "sync",
    ],
}
ORDER = [room for floor in FLOORS.values() for room in floor]
# `blocking::Client` and its like are the twins of the async ones, and are called so on purpose.
TWINS = {"Client", "Lease", "Locks", "Acquire", "TryAcquire"}
TYPE = re.compile(r"^(?:pub\S* )?(?:struct|enum|trait|type) (\w+)", re.MULTILINE)
FILES = {path: path.relative_to(SRC).with_suffix("").parts for path in sorted(SRC.rglob("*.rs"))}
CODE = {path: re.sub(r"//.*", "", path.read_text()) for path in FILES}


def imports(path: Path) -> set[str]:
    """The rooms that a file names in paths: `crate::a::B`, `crate::{a, b::C}`, `super::a::B`."""
    depth = len(FILES[path]) - (path.name == "mod.rs")
    root = r"(?<![\w:])(?:crate::|" + "super::" * depth + r")(?:(\w+)|\{([^;]*)\};)"
    named = set()
    for one, several in re.findall(root, CODE[path]):
        named |= {one} if one else set(re.findall(r"(?:^|,)\s*(\w+)", re.sub(r"\{[^{}]*\}", "", several)))
    return named & set(ORDER) - {FILES[path][0]}


def main() -> None:
    """Prints the three measures."""
    rooms = {parts[0] for parts in FILES.values()} - {"lib"}
    if missing := rooms - set(ORDER):
        raise SystemExit(f"say in ORDER where {', '.join(sorted(missing))} belongs")
    arrows = [(path, room) for path, parts in FILES.items() if parts[0] in rooms for room in imports(path)]
    up = [(path, room) for path, room in arrows if ORDER.index(room) < ORDER.index(FILES[path][0])]
    print(f"{len(up)} imports run upward:", *(f"  {path.relative_to(SRC)} -> {room}" for path, room in up), sep="\n")
    reach = {room: {to for path, to in arrows if FILES[path][0] == room} for room in rooms}
    for _ in rooms:
        reach = {room: there.union(*(reach[to] for to in there)) for room, there in reach.items()}
    ring = max(([to for to in ORDER if to in reach[room] and room in reach.get(to, ())] for room in rooms), key=len)
    print(f"{len(ring)} rooms in the largest ring: {' '.join(ring)}")
    types = Counter(name for code in CODE.values() for name in re.findall(TYPE, code))
    files = Counter(path.name for path in FILES if path.name != "mod.rs")
    for what, counted in (("types", types), ("files", files)):
        twice = sorted(f"{name} ({times})" for name, times in counted.items() if times > 1 and name not in TWINS)
        print(f"{len(twice)} names of {what} are used more than once: {', '.join(twice)}")


main()
