-- The tables of an embedded store, version 2 (PRAGMA user_version).
--
-- Times are milliseconds: `expires` on the clock that counts from boot, `ends` on the wall clock. The first is what
-- counts; the second tells, after a reboot, what was left. `place` is the time of arrival in microseconds of the wall
-- clock, raised so that no two waiters of a name have the same.

-- The locks, those that are shared with '||shared' as their owner, and as long as the last that holds them; and, under the empty name, which no lock has, the last token of the app id, as `expires`. They are one table
-- because a commit writes whole pages: so an acquire writes but one.
CREATE TABLE entries (
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
    permits INTEGER NOT NULL DEFAULT 1, -- how many may hold the name with it: 1 alone, 0 any number
    PRIMARY KEY (app, name, place, owner)
) WITHOUT ROWID, STRICT;

-- Who holds the locks that are shared. What is here of others is void.
CREATE TABLE holders (
    app TEXT NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    ttl INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    PRIMARY KEY (app, name, owner)
) WITHOUT ROWID, STRICT;

CREATE TABLE meta (
    -- 'boot': which boot of the machine `expires` counts from; 'offset': nanoseconds by which a time namespace sets that
    -- clock off from the machine's
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) WITHOUT ROWID, STRICT;

-- For whoever looks into the file; leaselock itself does not use them.
CREATE VIEW locks AS SELECT app, name, owner, ttl, expires, ends FROM entries WHERE name <> '';
CREATE VIEW fences AS SELECT app, expires AS count FROM entries WHERE name = '';
