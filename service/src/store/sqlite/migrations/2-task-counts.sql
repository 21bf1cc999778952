-- How many tasks there are of each status and type, so that the length of a list need not be
-- counted row by row.

CREATE TABLE task_counts (
    status    TEXT    NOT NULL,
    task_type TEXT    NOT NULL,
    count     INTEGER NOT NULL,
    PRIMARY KEY (status, task_type)
) WITHOUT ROWID;

INSERT INTO task_counts (status, task_type, count)
    SELECT status, task_type, count(*) FROM tasks GROUP BY status, task_type;

CREATE TRIGGER task_counts_insert AFTER INSERT ON tasks
BEGIN
    INSERT INTO task_counts (status, task_type, count) VALUES (NEW.status, NEW.task_type, 1)
        ON CONFLICT (status, task_type) DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER task_counts_update AFTER UPDATE OF status, task_type ON tasks
WHEN OLD.status <> NEW.status OR OLD.task_type <> NEW.task_type
BEGIN
    UPDATE task_counts SET count = count - 1
        WHERE status = OLD.status AND task_type = OLD.task_type;
    INSERT INTO task_counts (status, task_type, count) VALUES (NEW.status, NEW.task_type, 1)
        ON CONFLICT (status, task_type) DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER task_counts_delete AFTER DELETE ON tasks
BEGIN
    UPDATE task_counts SET count = count - 1
        WHERE status = OLD.status AND task_type = OLD.task_type;
END;
