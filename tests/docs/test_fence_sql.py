"""The pages' SQL does in Postgres what they say: a smaller token changes no row."""

from __future__ import annotations

import json
import subprocess

from conftest import EXAMPLES, ROOT

RUN = """
import { PGlite } from "@electric-sql/pglite";
const { setup, tries } = JSON.parse(process.argv[1]);
const database = await PGlite.create();
await database.exec(setup);
const changed = [];
for (const [sql, parameters] of tries) changed.push((await database.query(sql, parameters)).affectedRows);
console.log(JSON.stringify(changed));
await database.close();
"""


def statements(file: str) -> list[str]:
    code = "\n".join(line for line in (EXAMPLES / file).read_text().splitlines() if not line.startswith("--"))
    return [statement for statement in code.split(";") if statement.strip()]


def changed_rows(file: str, setup: str, tries: list[list[object]]) -> list[int]:
    """Runs the file's first statement once and its second with each list of parameters, in a Postgres."""
    once, every = statements(file)
    return changed(f"{setup};{once}", [(every, parameters) for parameters in tries])


def changed(setup: str, tries: list[tuple[str, list[object]]]) -> list[int]:
    """How many rows each statement changes in a Postgres, after the setup."""
    task = json.dumps({"setup": setup, "tries": tries})
    done = subprocess.run(
        ["node", "--input-type=module", "-e", RUN, task], cwd=ROOT, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result: list[int] = json.loads(done.stdout)
    return result


def test_one_row() -> None:
    setup = "CREATE TABLE orders (id bigint PRIMARY KEY, state text); INSERT INTO orders VALUES (7, 'new')"
    tries: list[list[object]] = [[5, "a", 7], [5, "b", 7], [8, "c", 7], [5, "late", 7], [2**53 - 1, "d", 7]]
    assert changed_rows("postgres/fence.sql", setup, tries) == [1, 1, 1, 0, 1]


def test_many_rows() -> None:
    tries: list[list[object]] = [["a", 5], ["a", 5], ["a", 8], ["a", 5], ["b", 1]]
    assert changed_rows("postgres/fence_many.sql", "SELECT 1", tries) == [1, 1, 1, 0, 1]


def test_a_write_that_depends_on_a_read() -> None:
    """The next holder has read but not written when the late write comes: only the read's token stops that."""
    column, write = statements("postgres/fence.sql")
    (read,) = statements("postgres/fence_read.sql")
    setup = f"CREATE TABLE orders (id bigint PRIMARY KEY, state text); INSERT INTO orders VALUES (7, 'new'); {column}"
    late: tuple[str, list[object]] = (write, [5, "late", 7])
    next_one: tuple[str, list[object]] = (write, [8, "next", 7])
    assert changed(setup, [(read, [5, 7]), (read, [8, 7]), late, next_one]) == [1, 1, 0, 1]
    assert changed(setup, [late, next_one]) == [1, 1]
