-- Which store this is: one row. A cache outside keeps what is of one store apart from what is of another.

CREATE TABLE store (
    id        TEXT    NOT NULL,
    publishes INTEGER NOT NULL DEFAULT 0           -- a server with a broker has been here: its events are for Kafka
);
INSERT INTO store (id) VALUES (lower(hex(randomblob(16))));
