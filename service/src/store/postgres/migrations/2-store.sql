-- Which store this is: one row. A cache outside keeps what is of one store apart from what is of another.
CREATE TABLE oxicorn_store (
    id        TEXT    NOT NULL,
    publishes BOOLEAN NOT NULL DEFAULT false       -- a server with a broker has been here: its events are for Kafka
);
INSERT INTO oxicorn_store (id)
    VALUES (md5(random()::text || clock_timestamp()::text || pg_backend_pid()::text));
