-- Cache keys that were spoiled while a cache outside could not be told.

CREATE TABLE stale_keys (
    cache_key TEXT PRIMARY KEY
) WITHOUT ROWID;
