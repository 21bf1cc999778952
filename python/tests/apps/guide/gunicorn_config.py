# The config file of a real site, not written for tests.
import multiprocessing
import os

bind = os.getenv("GUNICORN_BIND", "0.0.0.0:" + os.getenv("PORT", "5002"))
backlog = 2048

workers = int(os.getenv("GUNICORN_WORKERS", multiprocessing.cpu_count() * 2 + 1))
threads = int(os.getenv("GUNICORN_THREADS", 2))
worker_class = "sync"
worker_connections = 1000
timeout = 30
keepalive = 2
graceful_timeout = 30
max_requests = 1000
max_requests_jitter = 50
preload_app = True
daemon = False
pidfile = None
user = None
group = None
tmp_upload_dir = None

accesslog = "-"
errorlog = "-"
loglevel = os.getenv("LOG_LEVEL", "info").lower()
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(D)s'

proc_name = "eventstreammonitor"


def when_ready(server):
    server.log.info("Server is ready. Spawning workers")


def worker_int(worker):
    worker.log.info("worker received INT or QUIT signal")


def pre_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)


def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)


def post_worker_init(worker):
    worker.log.info("Worker initialized (pid: %s)", worker.pid)


def worker_abort(worker):
    worker.log.info("Worker received SIGABRT signal")
