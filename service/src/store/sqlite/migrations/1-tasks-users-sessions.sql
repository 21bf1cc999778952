-- Moments are milliseconds of Unix time; JSON is text.

CREATE TABLE tasks (
    task_id         INTEGER PRIMARY KEY AUTOINCREMENT,
    task_reference  TEXT    NOT NULL UNIQUE,
    task_type       TEXT    NOT NULL,
    user_id         TEXT    NOT NULL,              -- a JSON scalar: 7 or "anna"
    priority        INTEGER NOT NULL,              -- 0 low .. 3 critical
    status          TEXT    NOT NULL,
    progress        INTEGER NOT NULL DEFAULT 0,
    parameters      TEXT    NOT NULL,
    result          TEXT,
    error_message   TEXT,
    processing_time REAL,                          -- seconds
    attempts        INTEGER NOT NULL DEFAULT 0,
    available_at    INTEGER NOT NULL,              -- not to be taken before
    lease_owner     TEXT,
    lease_until     INTEGER,
    created_at      INTEGER NOT NULL,
    started_at      INTEGER,
    completed_at    INTEGER,
    updated_at      INTEGER NOT NULL
);
INSERT INTO sqlite_sequence (name, seq) VALUES ('tasks', 999);

CREATE INDEX tasks_by_status ON tasks (status, task_id);
CREATE INDEX tasks_by_type   ON tasks (task_type, task_id);
CREATE INDEX tasks_by_user   ON tasks (user_id, task_id);
CREATE INDEX tasks_to_do     ON tasks (priority DESC, task_id)
    WHERE status IN ('pending', 'processing');

CREATE TABLE users (
    user_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    username   TEXT    NOT NULL COLLATE NOCASE UNIQUE,
    email      TEXT    NOT NULL COLLATE NOCASE UNIQUE,
    full_name  TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

CREATE TABLE sessions (
    session_id TEXT    PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    data       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_by_user   ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- The outbox: written in the transaction of the change that it tells of.
CREATE TABLE events (
    event_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    event_type TEXT    NOT NULL,
    task_id    INTEGER NOT NULL,
    payload    TEXT    NOT NULL,
    created_at INTEGER NOT NULL
);

-- Cache keys that are no longer good, for the caches of all processes.
CREATE TABLE changes (
    change_id INTEGER PRIMARY KEY AUTOINCREMENT,
    cache_key TEXT    NOT NULL
);
