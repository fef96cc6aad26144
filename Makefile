# Every target is one plain command; `make help` lists them.
STACK ?= local
PYTHON ?= python3
CHARTS ?= charts
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help up down preview plan test charts chart-test check format e2e bench-platform docs lock

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  STACK=local|dev|staging|prod chooses the stack; local is the default."

up: .venv/lock ## Create or change STACK, wait until Airflow is healthy, say how to use it
	@.venv/bin/python -m operate up --stack $(STACK)

down: .venv/lock ## Delete STACK, except what is protected
	@.venv/bin/python -m operate down --stack $(STACK)

preview: .venv/lock ## Show what `make up` would change
	@.venv/bin/python -m operate preview --stack $(STACK)

plan: .venv/lock ## Show what STACK declares: no network, account, Pulumi CLI or cluster (ARGS=--json)
	@.venv/bin/python -m plan --stack $(STACK) $(ARGS)

test: .venv/lock ## Run every test that needs only Python
	.venv/bin/pytest tests/unit

chart-test: .venv/lock ## Render the charts in CHARTS=directory with helm, and check what they make
	.venv/bin/pytest tests/chart --charts $(CHARTS)

check: .venv/lock ## Format, lint, types, `make test`
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/basedpyright
	@$(MAKE) --no-print-directory test

format: .venv/lock ## Rewrite the code in the one format
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

charts: .venv/lock ## Fetch the chart archives into CHARTS (needs helm)
	@.venv/bin/python -c "from components import charts as c; [print(x.name, x.repository, x.version) for x in (c.AIRFLOW, c.KEDA)]" \
		| while read name repository version; do \
			helm pull $$name --repo $$repository --version $$version --destination $(CHARTS) || exit 1; done

e2e: .venv/lock ## Install the stack local on a real, throw-away Kubernetes, use it, remove it
	.venv/bin/pytest tests/cluster --charts $(CHARTS)

bench-platform: .venv/lock ## Measure plan, tests, and `up` against a bare `helm install` on a throw-away Kubernetes
	.venv/bin/python -m benchmarks.platform --charts $(CHARTS)

docs: .venv/lock ## Write the settings table and the picture anew from the code
	.venv/bin/python -m docs.generate

lock: ## Resolve requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --group dev --generate-hashes \
		--no-emit-index-url --no-header pyproject.toml --output-file requirements.lock

# The stack's environment; made anew when the lock changes.
.venv/lock: requirements.lock
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@cp requirements.lock $@
