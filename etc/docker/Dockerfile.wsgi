# A Python application in a container. From a checkout of oxicorn, for the application in ../shop, which has requirements.txt and wsgi.py:
#
#   docker build --file etc/docker/Dockerfile.wsgi --build-context app=../shop --tag shop .
#   docker run --rm --publish 127.0.0.1:8000:8000 shop
#
# Without --build-context it is the one in etc/docker/app. For the time of a stop see etc/docker/Dockerfile.

FROM scratch AS app
COPY etc/docker/app /

FROM rust:1.95-bookworm AS wheel
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv \
    && python3 -m venv /maturin && /maturin/bin/pip install --no-cache-dir 'maturin>=1.9,<2'
WORKDIR /oxicorn
COPY . .
ARG PROFILE=release
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/oxicorn/target \
    /maturin/bin/maturin build --locked --profile "$PROFILE" --manifest-path python/Cargo.toml --out /wheels

FROM python:3.13-slim-bookworm AS venv
RUN python -m venv /venv
COPY --from=wheel /wheels /wheels
# Of their own, so that a change of the application alone installs nothing again.
COPY --from=app /requirements.txt /
RUN /venv/bin/pip install --no-cache-dir /wheels/*.whl --requirement /requirements.txt

FROM python:3.13-slim-bookworm
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --no-log-init --gid app --no-create-home --home-dir /app app \
    && install --directory --owner app --group app /run/oxicorn
COPY --from=venv /venv /venv
COPY --from=app / /app
USER 10001:10001
# gunicorn.conf.py is read from here, where there is one.
WORKDIR /app
ENV OXICORN_CONTROL_SOCKET=/run/oxicorn/control PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["/venv/bin/oxicorn", "ctl", "--timeout", "5", "status"]
ENTRYPOINT ["/venv/bin/oxicorn"]
CMD ["--bind", "0.0.0.0:8000", "--workers", "4", "--threads", "2", "--health-path", "/health", "wsgi:application"]
