# Every target is one plain command; `make help` lists them.
STACK ?= local
PYTHON ?= python3
CHARTS ?= charts
export PYTHONDONTWRITEBYTECODE := 1
VERBS := $(shell $(PYTHON) -m ops.verbs)

.DEFAULT_GOAL := help
DEVELOPMENT := $(shell awk -F ':' '/^[a-z0-9-]+:.*## / {print $$1}' Makefile)
.PHONY: $(VERBS) $(DEVELOPMENT)

help: ## List the targets
	@$(PYTHON) -m ops.verbs --help
	@echo "  STACK=local|dev|staging|prod selects the stack; default: local."
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

airflow: ## A real Airflow with the example DAGs, on this machine: no Docker, no root. Ctrl-C stops it
	@$(MAKE) --no-print-directory -C dags-repo-example airflow PYTHON=$(PYTHON) PORT=$(PORT)

# The commands of ops/verbs.py: each is a target.
$(VERBS): .venv/lock
	@.venv/bin/python -m ops $@ --stack $(STACK) $(if $(QUEUE),--queue "$(QUEUE)") \
		$(if $(MAX),--max "$(MAX)") $(if $(MIN),--min "$(MIN)") $(ARGS)

policy-pack: policies/.venv/lock ## Make the environment for `pulumi preview --policy-pack policies`

test: .venv/lock ## Run every test that needs only Python and Git
	.venv/bin/pytest tests/unit --numprocesses 2 --dist worksteal

chart-test: .venv/lock ## Render the charts in CHARTS=directory with helm, and check what they make
	.venv/bin/pytest tests/chart --charts $(CHARTS)

lint: .venv/lock ## Format, lint, types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/basedpyright

check: lint test ## `make lint` and `make test`

format: .venv/lock ## Rewrite the code in the one format
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

charts: .venv/lock ## Fetch the chart archives into CHARTS (needs helm)
	@.venv/bin/python -c "from settings import versions as v; [print(c.name, c.repository, c.version) for c in (v.AIRFLOW_CHART, v.KEDA_CHART)]" \
		| while read name repository version; do \
			helm pull $$name --repo $$repository --version $$version --destination $(CHARTS) || exit 1; done

e2e: .venv/lock ## Install the stack local on a real, throw-away Kubernetes, use it, remove it
	.venv/bin/pytest tests/cluster --charts $(CHARTS) $(ARGS)

engine: .venv/engine ## Run the AWS stacks on a simulated AWS and a throw-away Kubernetes
	.venv/bin/pytest tests/engine --charts $(CHARTS) $(ARGS)

engine-infrastructure: .venv/engine ## Of `make engine`, what needs no real Airflow
	.venv/bin/pytest tests/engine --ignore tests/engine/scenarios/airflow --charts $(CHARTS) $(ARGS)

simulate: .venv/engine ## Deploy STACK=dev|staging|prod into a simulated AWS account on your Kubernetes
	@.venv/bin/python -m tests.engine.simulate --stack $(STACK) --charts $(CHARTS)

bench-engine: .venv/engine ## Measure preview, `up` and policies of the AWS stacks in a simulated account
	.venv/bin/python -m tests.bench.engine --charts $(CHARTS) $(ARGS)

bench-dags: .venv/lock ## Measure from `git push` to Airflow, beside the chart's defaults, on a throw-away Kubernetes
	.venv/bin/python -m tests.bench.dags --charts $(CHARTS) $(ARGS)

bench-platform: .venv/lock ## Measure plan, tests, and `up` against a bare `helm install` on a throw-away Kubernetes
	.venv/bin/python -m tests.bench.platform --charts $(CHARTS)

bench-workers: .venv/lock ## Measure how soon tasks run and how workers follow them, beside the chart's defaults, on a throw-away Kubernetes
	.venv/bin/python -m tests.bench.workers --charts $(CHARTS) $(ARGS)

chaos: .venv/lock ## Break parts of the stack local on a throw-away Kubernetes, and count what its tasks lose by it
	.venv/bin/python -m tests.bench.chaos --charts $(CHARTS) $(ARGS)

docs: .venv/lock ## Generate the tables of settings and rules, and the expected plans of the stacks
	.venv/bin/python -m ops.docs.generate

lock: ## Resolve requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --group dev --generate-hashes \
		--no-emit-index-url --no-header pyproject.toml --output-file requirements.lock
	cd tests/engine && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header requirements.in --output-file requirements.lock
	cd policies && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header requirements.in --output-file requirements.txt

# The policy pack's environment: pulumi-policy wants an older protobuf than the program.
policies/.venv/lock: policies/requirements.txt
	$(PYTHON) -m venv policies/.venv
	policies/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement policies/requirements.txt
	@cp policies/requirements.txt $@

# The stack's environment; made anew when the lock changes.
.venv/lock: requirements.lock
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@cp requirements.lock $@

# The same, with the simulated AWS beside it.
.venv/engine: .venv/lock tests/engine/requirements.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement tests/engine/requirements.lock
	@cp tests/engine/requirements.lock $@
