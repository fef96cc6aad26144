# Every target is one plain command; `make help` lists them.
STACK ?= local
PYTHON ?= python3
CHARTS ?= charts
DAG_REPOSITORY ?= dags-repo-example
VERBS := $(shell $(PYTHON) -m ops.verbs 2>/dev/null)
ifeq ($(VERBS),)
$(error Python 3.11 or newer is required, and $(PYTHON) is not: pass PYTHON=python3.11)
endif

.DEFAULT_GOAL := help
DEVELOPMENT := $(shell awk -F ':' '/^[a-z0-9-]+:.*## / {print $$1}' Makefile)
.PHONY: $(VERBS) $(DEVELOPMENT)

help: ## List the targets
	@$(PYTHON) -m ops.verbs --help
	@echo "  STACK=local|dev|staging|prod selects the stack; default: local."
	@echo "  FROM=<your public address> with the commands that change a stack, and drill: for a private Kubernetes API endpoint."
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

airflow: ## Run Airflow with the example DAGs as local processes (Linux, not as root); Ctrl-C stops it
	@$(MAKE) --no-print-directory -C dags-repo-example airflow PYTHON=$(PYTHON) PORT=$(PORT)

OF_UPGRADE = $(if $(VERSION),--version "$(VERSION)") $(if $(WAIT),--wait "$(WAIT)") \
	$(if $(BACKUP),--backup "$(BACKUP)") $(if $(REHEARSAL),--rehearsal "$(REHEARSAL)")
OF_RESTORE = $(if $(BACKUP),--backup "$(BACKUP)") $(if $(SNAPSHOT),--snapshot "$(SNAPSHOT)") \
	$(if $(TIME),--time "$(TIME)")
# Each command of ops/verbs.py is a target.
$(VERBS): .venv/lock
	@.venv/bin/python -m ops $@ --stack $(STACK) $(if $(QUEUE),--queue "$(QUEUE)") \
		$(if $(MAX),--max "$(MAX)") $(if $(MIN),--min "$(MIN)") \
		$(if $(FROM),--from "$(FROM)") $(if $(BUCKET),--bucket "$(BUCKET)") \
		$(if $(filter upgrade,$@),$(OF_UPGRADE)) $(if $(filter restore,$@),$(OF_RESTORE)) \
		$(if $(KEY_ALIAS),--key-alias "$(KEY_ALIAS)") $(if $(YES),--yes) $(ARGS)

policy-pack: policies/.venv/lock ## Create the environment of `pulumi preview --policy-pack policies`

test: .venv/lock ## Run the unit tests on two processes
	.venv/bin/pytest tests/unit --numprocesses 2 --dist worksteal

chart-test: .venv/lock ## Render the charts in CHARTS=charts with helm and check the objects
	.venv/bin/pytest tests/chart --charts $(CHARTS)

migration-test: .venv/lock ## Migrate a database of Airflow 2 with the commands of docs/migrate.md
	.venv/bin/pytest tests/migration --dag-repository $(DAG_REPOSITORY)

lint: .venv/lock ## Check format, lint rules and types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/basedpyright

check: lint test ## Run `make lint` and `make test`

format: .venv/lock ## Format the code and apply automatic lint fixes
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

charts: .venv/lock ## Download the chart archives into CHARTS=charts (needs helm)
	@.venv/bin/python -c "from settings import versions as v; [print(c.name, c.repository, c.version) for c in (v.AIRFLOW_CHART, v.KEDA_CHART)]" \
		| while read name repository version; do \
			helm pull $$name --repo $$repository --version $$version --destination $(CHARTS) || exit 1; done

scan: .venv/lock tests/scan/.venv/lock ## Scan prod and local with checkov and cfn-lint; needs helm and CHARTS=charts
	.venv/bin/python -m tests.scan --charts $(CHARTS)

e2e: .venv/lock ## Run the cluster tests: stack local on a throw-away Kubernetes
	.venv/bin/pytest tests/cluster --charts $(CHARTS) $(ARGS)

engine: .venv/engine ## Run the engine tests: AWS stacks on a simulated AWS and a throw-away Kubernetes
	.venv/bin/pytest tests/engine --charts $(CHARTS) $(ARGS)

engine-infrastructure: .venv/engine ## Run the engine tests that need no real Airflow
	.venv/bin/pytest tests/engine --ignore tests/engine/scenarios/airflow \
		--ignore tests/engine/scenarios/rollback --charts $(CHARTS) $(ARGS)

engine-airflow: .venv/engine ## Run the engine tests that deploy Airflow
	.venv/bin/pytest tests/engine/scenarios/airflow tests/engine/scenarios/rollback \
		--charts $(CHARTS) $(ARGS)

simulate: .venv/engine ## Deploy STACK=dev|staging|prod to a simulated AWS account on your Kubernetes
	@.venv/bin/python -m tests.engine.simulate --stack $(STACK) --charts $(CHARTS)

bench-engine: .venv/engine ## Measure preview, update and policies of the AWS stacks on a simulated AWS
	.venv/bin/python -m tests.bench.engine --charts $(CHARTS) $(ARGS)

bench-dags: .venv/lock ## Measure DAG delivery from `git push` to Airflow, against the chart's defaults
	.venv/bin/python -m tests.bench.dags --charts $(CHARTS) $(ARGS)

bench-platform: .venv/lock ## Measure plan, tests and `make up`, against a plain `helm install`
	.venv/bin/python -m tests.bench.platform --charts $(CHARTS)

bench-upgrade: .venv/lock ## Measure `make upgrade` and `make rollback` by step, with a history of DAG runs
	.venv/bin/python -m tests.bench.upgrade --charts $(CHARTS) $(ARGS)

bench-xcom: .venv/engine ## Measure large XComs in the database and in a bucket, on local processes
	.venv/bin/python -m tests.bench.xcom --dag-repository $(DAG_REPOSITORY) $(ARGS)

bench-workers: .venv/lock ## Measure task latency and worker scaling, against the chart's defaults
	.venv/bin/python -m tests.bench.workers --charts $(CHARTS) $(ARGS)

chaos: .venv/lock ## Inject faults into the stack local and measure the cost for its tasks
	.venv/bin/python -m tests.bench.chaos --charts $(CHARTS) $(ARGS)

docs: .venv/lock ## Regenerate docs/settings.md, docs/policies.md, the JSON Schema and the expected plans
	.venv/bin/python -m ops.docs.generate

lock: ## Regenerate the hashed lock files (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --group dev --generate-hashes \
		--no-emit-index-url --no-header pyproject.toml --output-file requirements.lock
	cd tests/engine && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header requirements.in --output-file requirements.lock
	cd tests/scan && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header requirements.in --output-file requirements.lock
	cd policies && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header requirements.in --output-file requirements.txt

# The environment of the policy pack: pulumi-policy needs an older protobuf than the program.
policies/.venv/lock: policies/requirements.txt
	$(PYTHON) -m venv policies/.venv
	policies/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement policies/requirements.txt
	@cp policies/requirements.txt $@

# The environment of the scanners: they pin older packages than the program.
tests/scan/.venv/lock: tests/scan/requirements.lock
	$(PYTHON) -m venv tests/scan/.venv
	tests/scan/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement tests/scan/requirements.lock
	@cp tests/scan/requirements.lock $@

# The environment of the program; recreated when the lock file changes.
.venv/lock: requirements.lock
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@cp requirements.lock $@

# The same environment, with the packages of the simulated AWS.
.venv/engine: .venv/lock tests/engine/requirements.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement tests/engine/requirements.lock
	@cp tests/engine/requirements.lock $@
