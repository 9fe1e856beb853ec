# One server process. Built in two steps, so that the image holds no pip cache and no build tools.
#   docker build -t chat-backend .
# A tag moves; docs/deployment.md says how to pin a digest.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
RUN ["python", "-m", "venv", "/venv"]
COPY requirements.txt ./
RUN ["/venv/bin/pip", "install", "--no-cache-dir", "--disable-pip-version-check", "--require-hashes", "--requirement", "requirements.txt"]

FROM ${PYTHON_IMAGE}
RUN ["useradd", "--system", "--uid", "10001", "--no-create-home", "--shell", "/usr/sbin/nologin", "chat"]
# What may be written, and only this: an SQLite file and uploads. Compose keeps its data in PostgreSQL.
RUN ["install", "--directory", "--owner", "chat", "/data"]
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 DATABASE_URL=sqlite:////data/db.sqlite3 MEDIA_ROOT=/data/media
WORKDIR /app
COPY --from=build /venv /venv
COPY manage.py ./
COPY accounts accounts
COPY rooms rooms
COPY messaging messaging
COPY realtime realtime
COPY config config
COPY docs/websocket.md docs/
# Static files are served from the packages that bring them: nothing to collect.
RUN ["python", "-m", "compileall", "-q", "."]

USER chat
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-m", "config.probe", "http://127.0.0.1:8000/healthz"]
# Exec form: SIGTERM reaches the server, which then lets go of its clients (docs/deployment.md).
CMD ["uvicorn", "config.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--loop", "uvloop", "--ws", "websockets-sansio", "--ws-max-size", "262144", "--ws-per-message-deflate", "false", "--timeout-graceful-shutdown", "15", "--no-proxy-headers"]
