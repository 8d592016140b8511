"""The pages' SQL does in Postgres what they say: a smaller token changes no row."""

from __future__ import annotations

import json
import subprocess

from conftest import EXAMPLES, ROOT

RUN = """
import { PGlite } from "@electric-sql/pglite";
const { setup, sql, tries } = JSON.parse(process.argv[1]);
const database = await PGlite.create();
await database.exec(setup);
const changed = [];
for (const parameters of tries) changed.push((await database.query(sql, parameters)).affectedRows);
console.log(JSON.stringify(changed));
await database.close();
"""


def changed_rows(file: str, setup: str, tries: list[list[object]]) -> list[int]:
    """Runs the file's first statement once and its second with each list of parameters, in a Postgres."""
    code = "\n".join(line for line in (EXAMPLES / file).read_text().splitlines() if not line.startswith("--"))
    once, every = [statement for statement in code.split(";") if statement.strip()]
    task = json.dumps({"setup": f"{setup};{once}", "sql": every, "tries": tries})
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
