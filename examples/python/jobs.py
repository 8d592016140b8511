"""Workers that do the jobs of a table in order, one at a time, however many of them run.

`jobs.py DATABASE [SECONDS]` works until every job of an SQLite file is done, on each for a tenth of a second or for as
long as it is told; where there is no file it makes one, with ten jobs. The lock says whose turn it is. The fencing
token keeps out who lost his turn without noticing: stopped, suspended, cut off.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time

from leaselock import Client, LeaseLostError

ME = os.getpid()
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 0.1
SCHEMA = """
BEGIN;
CREATE TABLE jobs (id INTEGER PRIMARY KEY, input TEXT NOT NULL, output TEXT, token INTEGER);
CREATE TABLE fence (token INTEGER NOT NULL);
INSERT INTO fence VALUES (0);
INSERT INTO jobs (input) VALUES ('a'), ('b'), ('c'), ('d'), ('e'), ('f'), ('g'), ('h'), ('i'), ('j');
COMMIT;
"""


class TooLateError(Exception):
    """A later holder of the lock has been here."""


def pass_fence(database: sqlite3.Connection, token: int) -> None:
    """First in every transaction: from here on, smaller tokens are refused."""
    moved = database.execute("UPDATE fence SET token = ?1 WHERE token <= ?1", (token,))
    if moved.rowcount == 0:
        raise TooLateError


def next_job(database: sqlite3.Connection, token: int) -> tuple[int, str] | None:
    """The first job that is not done; None when all are."""
    with database:  # a transaction: an exception undoes all of it
        pass_fence(database, token)
        job: tuple[int, str] | None = database.execute(
            "SELECT id, input FROM jobs WHERE output IS NULL ORDER BY id LIMIT 1"
        ).fetchone()
    return job


def finish(database: sqlite3.Connection, job: int, output: str, token: int) -> None:
    """Writes what came of a job."""
    with database:
        pass_fence(database, token)
        database.execute("UPDATE jobs SET output = ?, token = ? WHERE id = ?", (output, token, job))


def work(text: str) -> str:
    """The work itself. A worker may be killed in it: then the next one does the job again."""
    time.sleep(SECONDS)
    return text.upper()


def do_next(database: sqlite3.Connection, token: int) -> bool:
    """Does the next job; False when there is none."""
    job = next_job(database, token)
    if job is None:
        return False
    number, text = job
    print(f"{ME} begins job {number}, token {token}", flush=True)
    finish(database, number, work(text), token)
    print(f"{ME} has done job {number}", flush=True)
    return True


def turn(client: Client, database: sqlite3.Connection) -> bool:
    """One lease for one job, so that the workers take turns; False when none is left."""
    try:
        with client.lock("jobs", ttl=3, label=f"worker-{ME}") as lease:
            return do_next(database, lease.token)
    except TooLateError:
        print(f"{ME} was too late: another worker has the job", flush=True)
    except LeaseLostError as lost:  # what it wrote is good: nobody with a larger token had been there
        print(f"{ME} has written, and lost the lease: {lost.reason}", flush=True)
    return True


def main() -> None:
    """Makes the table where there is none, and works."""
    database = sqlite3.connect(sys.argv[1], timeout=10)
    with Client() as client:
        with client.lock("jobs", ttl=3):
            if not database.execute("SELECT 1 FROM sqlite_schema").fetchone():
                database.executescript(SCHEMA)
        while turn(client, database):
            pass


if __name__ == "__main__":
    main()
