"""The task service of the performance guide: Flask over SQLAlchemy, one table, JSON."""

import datetime
import os
import uuid

from flask import Flask, jsonify, request
from sqlalchemy import JSON, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

LIST = "/api/v1/eventstreammonitor/tasks"
FIRST = 1000
STORED = 100


class Base(DeclarativeBase):
    pass


class Task(Base):
    __tablename__ = "tasks"

    task_id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    task_type: Mapped[str] = mapped_column(index=True)
    user_id: Mapped[int] = mapped_column(index=True)
    priority: Mapped[str] = mapped_column(default="medium")
    status: Mapped[str] = mapped_column(default="pending", index=True)
    progress: Mapped[int] = mapped_column(default=0)
    parameters: Mapped[dict] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime.datetime]

    def shown(self):
        return {
            "taskId": self.task_id,
            "taskReference": self.reference,
            "taskType": self.task_type,
            "userId": self.user_id,
            "priority": self.priority,
            "status": self.status,
            "progress": self.progress,
            "createdAt": self.created_at.isoformat() + "Z",
        }


def new_task(body):
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    return Task(
        reference=f"TASK{now:%Y%m%d}{uuid.uuid4().hex[:8].upper()}",
        task_type=body.get("taskType", "data_processing"),
        user_id=body["userId"],
        priority=body.get("priority", "medium"),
        parameters=body.get("parameters", {}),
        created_at=now,
    )


def create_app():
    app = Flask("eventstreammonitor")
    app.json.sort_keys = False
    engine = create_engine(os.environ["DATABASE_URL"])

    @app.get("/health")
    def health():
        return jsonify(status="healthy")

    @app.get(LIST)
    def tasks():
        limit, offset = request.args.get("limit", 50, int), request.args.get("offset", 0, int)
        with Session(engine) as session:
            query, count = select(Task), select(func.count()).select_from(Task)
            if status := request.args.get("status"):
                query, count = query.where(Task.status == status), count.where(Task.status == status)
            total = session.scalar(count)
            found = session.scalars(query.order_by(Task.task_id.desc()).limit(limit).offset(offset)).all()
            shown = [task.shown() for task in found]
        return jsonify(
            tasks=shown,
            pagination={"total": total, "limit": limit, "offset": offset, "hasMore": offset + len(shown) < total},
        )

    @app.get(f"{LIST}/<int:task_id>")
    def task(task_id):
        with Session(engine) as session:
            found = session.get(Task, task_id)
            if found is None:
                return jsonify(error="TASK_NOT_FOUND", message="there is no such task"), 404
            return jsonify(task=found.shown())

    @app.post(LIST)
    def create():
        with Session(engine, expire_on_commit=False) as session:
            made = new_task(request.get_json())
            session.add(made)
            session.commit()
            return jsonify(task=made.shown()), 201

    fill(engine)
    # With preload_app, no connection may survive the fork.
    engine.dispose()
    return app


def fill(engine):
    """Creates a hundred tasks, unless there are some."""
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        if session.scalar(select(func.count()).select_from(Task)) == 0:
            for number in range(STORED):
                made = new_task({"userId": number % 7 + 1, "parameters": {"numbers": list(range(20))}})
                made.task_id = FIRST + number
                session.add(made)
                session.flush()
            session.commit()


application = create_app()
