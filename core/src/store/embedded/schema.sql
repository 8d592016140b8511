-- The tables of an embedded store, version 1 (PRAGMA user_version).
--
-- Times are milliseconds: `expires` on the clock that counts from boot, `ends` on the wall clock. The first is what
-- counts; the second tells, after a reboot, what was left. `place` is the time of arrival in microseconds of the wall
-- clock, raised so that no two waiters of a name have the same.

CREATE TABLE locks (
    app TEXT NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    ttl INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    PRIMARY KEY (app, name)
) WITHOUT ROWID, STRICT;

CREATE TABLE waiters (
    app TEXT NOT NULL,
    name TEXT NOT NULL,
    place INTEGER NOT NULL,
    owner TEXT NOT NULL,
    inbox TEXT NOT NULL, -- the id of the client that waits
    PRIMARY KEY (app, name, place, owner)
) WITHOUT ROWID, STRICT;

CREATE TABLE fences (
    app TEXT PRIMARY KEY NOT NULL,
    count INTEGER NOT NULL -- the last token
) WITHOUT ROWID, STRICT;

CREATE TABLE meta (
    key TEXT PRIMARY KEY NOT NULL, -- 'boot': which boot of the machine `expires` counts from
    value TEXT NOT NULL
) WITHOUT ROWID, STRICT;
