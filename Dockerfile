# Runs one server process. Two build stages keep pip's cache and build tools out of the image.
#   docker build -t chat-backend .
# Tags move; docs/deployment.md describes how to pin a digest.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
RUN ["python", "-m", "venv", "/venv"]
COPY requirements.txt ./
RUN ["/venv/bin/pip", "install", "--no-cache-dir", "--disable-pip-version-check", "--require-hashes", "--requirement", "requirements.txt"]

FROM ${PYTHON_IMAGE}
RUN ["useradd", "--system", "--uid", "10001", "--no-create-home", "--shell", "/usr/sbin/nologin", "chat"]
# The only writable folder, for an SQLite file and uploads. Compose stores messages in PostgreSQL.
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
COPY clients/typescript/dist clients/typescript/dist
# Static files are served from the installed packages, without collectstatic.
RUN ["python", "-m", "compileall", "-q", "."]

USER chat
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-m", "config.probe", "http://127.0.0.1:8000/healthz"]
# Exec form, so that SIGTERM reaches the server, which then drains its clients (docs/deployment.md).
CMD ["uvicorn", "config.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--loop", "uvloop", "--ws", "websockets-sansio", "--ws-max-size", "262144", "--ws-per-message-deflate", "false", "--timeout-graceful-shutdown", "15", "--no-proxy-headers"]
