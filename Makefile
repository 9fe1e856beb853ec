# Commands for development. They need python3 (>= 3.11) and make, and no root.
# Variables: PYTHON=python3.12  HOST=0.0.0.0  PORT=9000  WORKERS=4  PYTEST_ARGS="-k rooms"  BENCH_ARGS=--quick  UPGRADE=1
# for `make chat` and `make token`: NAME=ila  ROOM=friends  GROUP=family  MEMBERS=maya,kaushal  TO=kaushal
#                                  PASSWORD=...  AT=127.0.0.1:9000  URL=https://chat.example.com

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 1
PYTEST_ARGS ?=
BENCH_ARGS ?=
CLIENTS ?=
UPDATE ?=
BIN = $(VENV)/bin
IN_PROCESS = $(addprefix tests/,accounts rooms messaging realtime config chat_client wire)
CODE = manage.py config accounts rooms messaging realtime tests clients/python

# 256 KiB, four times the largest frame of the protocol (64 KiB). The application must receive a frame
# slightly above that limit to answer `frame_too_big`; the transport refuses only far larger ones.
MAX_FRAME = 262144

# Checks and tests use development mode and ignore .env, which may contain a Redis or Sentry in use.
# They start a hundred and fifty processes: where PYTHONDONTWRITEBYTECODE is set, each would compile
# all modules again.
NO_FILE = ENV_FILE=/dev/null
DEV = DEBUG=1 $(NO_FILE) PYTHONDONTWRITEBYTECODE=

# HOST and PORT come from make's command line or the environment, then .env, then the default.
ADDRESS = eval "$$($(BIN)/python -c '$(ADDRESS_PY)')"
ADDRESS_PY = import os, shlex, dotenv; \
	env = {**dotenv.dotenv_values(os.environ.get("ENV_FILE") or ".env"), **os.environ}; \
	host = env.get("HOST") or "127.0.0.1"; port = env.get("PORT") or "8000"; \
	shown = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host; \
	print(f"host={shlex.quote(host)} port={shlex.quote(port)} at={shlex.quote(shown)}:{shlex.quote(port)}")

.PHONY: help run serve chat token test coverage openapi clients http browser screenshot snapshots lint audit format lock bench faults demo clean

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

run: $(VENV)/.run-installed .env ## Install, migrate and serve with daphne
	@$(ADDRESS); $(BIN)/python -m config.preflight "$$host" "$$port" 1
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(ADDRESS); \
	echo "Start page     http://$$at/"; \
	echo "Chat           make chat NAME=ila ROOM=friends   (in another terminal)"; \
	echo "Swagger UI     http://$$at/api/docs"; \
	echo "Admin          http://$$at/admin/   (first: $(BIN)/python manage.py createsuperuser)"; \
	echo "Public room    ws://$$at/ws/chat/<room>/"; \
	echo "Group room     ws://$$at/ws/chat/group/<room>/"; \
	echo "Private room   ws://$$at/ws/private/<username>/"; \
	exec $(BIN)/python -m config.run_daphne -b "$$host" -p "$$port" --websocket-max-message-size $(MAX_FRAME) config.asgi:application

# Each worker is a process. Without REDIS_URL they deliver each other's messages only by the repair,
# once a second. --no-proxy-headers: uvicorn would trust X-Forwarded-For from any process of this
# machine; CHAT_TRUSTED_PROXIES decides instead.
serve: $(VENV)/.run-installed .env ## Install, migrate and serve with uvicorn and WORKERS=n processes
	@$(ADDRESS); $(BIN)/python -m config.preflight "$$host" "$$port" "$(WORKERS)"
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(ADDRESS); \
	exec $(BIN)/uvicorn config.asgi:application --host "$$host" --port "$$port" --workers $(WORKERS) \
		--loop uvloop --ws websockets-sansio --ws-max-size $(MAX_FRAME) --ws-per-message-deflate false \
		--timeout-graceful-shutdown 15 --no-proxy-headers

# These install nothing: while `make run` installs, two processes would write to one folder.
CHAT = test -e $(VENV)/.run-installed || { echo "Start the server first, in another terminal: make run" >&2; exit 1; }; \
	$(ADDRESS); exec $(BIN)/python -m config.chat_client "$$NAME" --url "$${URL:-http://$${AT:-$$at}}"

chat: ## Chat in the terminal: NAME=ila ROOM=friends (or GROUP=, MEMBERS=, TO=)
	@$(CHAT) --room "$$ROOM" --group "$$GROUP" --members "$$MEMBERS" --to "$$TO"

token: ## Print an access token: NAME=ila
	@$(CHAT) --token

# tests/distribution.py says which tests share a worker.
# Tests that measure delays run alone.
PARALLEL = --numprocesses auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

test: $(VENV)/.dev-installed ## All tests, with real PostgreSQL and Redis
	$(if $(PYTEST_ARGS),\
		$(DEV) $(BIN)/python -m pytest $(PYTEST_ARGS),\
		$(DEV) $(BIN)/python -m pytest $(PARALLEL) --ignore tests/browser -m "not alone and not long" && \
		$(DEV) $(BIN)/python -m pytest -m alone tests/faults tests/e2e)

# Not in `make test`: tracing slows Python code by two thirds, and does not cover server processes.
# Python 3.14 traces branches at almost no cost.
coverage: $(VENV)/.dev-installed ## Measure branch coverage of the tests that run in one process
	$(DEV) $(BIN)/python -m pytest --quiet --numprocesses auto --maxprocesses 4 --dist loadfile \
		--cov --cov-report=term:skip-covered $(IN_PROCESS)

openapi: $(VENV)/.dev-installed ## Check the OpenAPI and AsyncAPI documents with linters, Postman and TypeScript (npm)
	$(DEV) $(BIN)/python -m tests.openapi

http: $(VENV)/.dev-installed ## Send docs/chat.http and the Postman collection to a server (npm)
	$(DEV) $(BIN)/python -m tests.editors

# CLIENTS=required: fail where node is missing. UPDATE=1: rewrite the generated types and dist/.
clients: $(VENV)/.dev-installed ## Check the TypeScript client: types and dist/ are current, its tests pass (npm)
	$(DEV) CLIENTS=$(CLIENTS) UPDATE=$(UPDATE) $(BIN)/python -m tests.typescript

# CHROMIUM=/path/to/chrome. BROWSER=required: fail where there is no browser.
browser: $(VENV)/.dev-installed ## Check the pages in Chromium, and take screenshots
	$(DEV) BROWSER=$(BROWSER) $(BIN)/python -m tests.browser

screenshot: $(VENV)/.dev-installed ## Take the picture of README.md
	$(DEV) $(BIN)/python -m tests.browser.readme_picture

snapshots: $(VENV)/.dev-installed ## Accept a change of the wire: rewrite tests/wire/*.json, docs/postman
	$(DEV) DJANGO_SETTINGS_MODULE=config.settings $(BIN)/python -m tests.wire

lint: $(VENV)/.dev-installed ## Style, types, import rules, migrations, deployment checks
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(DEV) $(BIN)/mypy
	$(BIN)/lint-imports
	$(DEV) $(BIN)/python manage.py makemigrations --check --dry-run
	@echo "python manage.py check --deploy"
	@DEBUG=0 $(NO_FILE) ALLOWED_HOSTS=chat.example.com \
		SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))')" \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

# Not pip-audit's other source, PyPI: behind some mirrors it answers "not found", which looks like success.
AUDIT_PY = import urllib.request as web; \
	web.urlopen("https://api.osv.dev/v1/query", b"{\"package\":{\"name\":\"pip\",\"ecosystem\":\"PyPI\"}}", 10)

audit: $(VENV)/.dev-installed ## Check the locked versions for known vulnerabilities (osv.dev)
	@$(BIN)/python -c '$(AUDIT_PY)' 2>/dev/null || { echo "make audit: skipped, api.osv.dev does not answer."; exit 0; }; \
	$(BIN)/pip-audit --vulnerability-service osv --disable-pip --no-deps --progress-spinner off \
		--requirement requirements-dev.txt

format: $(VENV)/.dev-installed ## Format the code and sort imports
	$(BIN)/ruff check --fix-only $(CODE)
	$(BIN)/ruff format $(CODE)

# Installs a missing uv by itself, so that it works with a broken requirements file.
lock: $(BIN)/python ## Pin every version (UPGRADE=1: the newest allowed ones)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --quiet --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade) \
		--output-file requirements.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --quiet --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade) \
		--extra dev --constraints requirements.txt --output-file requirements-dev.txt

bench: $(VENV)/.dev-installed ## Measure throughput and latency (half an hour; BENCH_ARGS=--write for docs/)
	$(DEV) $(BIN)/python -m tests.benchmarks $(BENCH_ARGS)

faults: $(VENV)/.dev-installed ## Kill servers, databases and Redis under load
	$(DEV) $(BIN)/python -m pytest -m long tests/faults tests/e2e
	$(DEV) $(BIN)/python -m tests.faults

demo: $(VENV)/.run-installed .env ## Fill the database with sample users, rooms and messages
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py demo

clean: ## Remove the virtual environment and caches; keep .env, database and uploads
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov
	rm -rf tests/openapi/node_modules tests/openapi/generated tests/editors/node_modules clients/typescript/node_modules
	rm -rf tests/browser/node_modules tests/browser/screenshots
	find . -type d -name __pycache__ -prune -exec rm -rf {} +

# Each .env gets a random SECRET_KEY: the default for development is published in the source.
.env:
	@key=$$($(PYTHON) -c "import secrets; print(secrets.token_urlsafe(64))") && umask 077 && \
		sed "s/^#SECRET_KEY=$$/SECRET_KEY=$$key/" .env.example > .env && echo "Created .env from .env.example"

# One stamp per requirements file. The dev file includes the other with the same versions, so
# installing it updates both stamps.
$(VENV)/.run-installed: requirements.txt | $(BIN)/python
	@echo "Installing the requirements into $(VENV), about a minute ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.dev-installed: requirements.txt requirements-dev.txt | $(BIN)/python
	@echo "Installing the requirements and the tools for tests into $(VENV), about a minute ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $(VENV)/.run-installed $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is required, as in: make run PYTHON=python3.12" >&2; exit 1; }
	@echo "Creating a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot create a virtual environment: its venv module is missing or broken." >&2; \
		exit 1; }
