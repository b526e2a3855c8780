# `make help` lists the targets. Each sets up its own .venv first (once), and touches nothing global.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)

# A process per core, each with whole files, whose tests share what was made for them; one that
# crashes is replaced. nproc would take OMP_NUM_THREADS for the number of cores.
CORES ?= $(shell env -u OMP_NUM_THREADS nproc)
PYTEST := pytest -q --numprocesses $(or $(CORES),auto) --dist loadfile --no-loadscope-reorder

.PHONY: help demo test test-avx2 test-slurm test-slurm-full rehearse docs setup lock lint benchmark \
	benchmark-selection benchmark-planning clean

demo: setup ## a complete small study on bundled images, with a report
	snakemake --cores all demo --report results/report.html --report-after-run
	@echo "Done: table and figures in results/experiments/demo/, report in results/report.html"

test: setup lint ## lint and all tests, on all cores (CORES=4: on four)
	$(PYTEST)

test-avx2: setup ## the tests that train, with the kernels of a CPU without AVX-512
	ONEDNN_MAX_CPU_ISA=AVX2 $(PYTEST) -m trains

test-slurm: setup ## a small study and three faults on a private SLURM cluster, 10 minutes
	tests/slurm/private pytest -q -m "not full" tests/slurm

# By hand, before a release or after a change of the profile.
test-slurm-full: setup ## the same with the demo and eight more faults, 25 minutes
	tests/slurm/private pytest -q tests/slurm

rehearse: setup ## every experiment in small, on stand-ins, with a forecast of the full study
	snakemake --cores all every --config rehearse=true

docs: setup ## the documentation, in site/, with warnings as errors
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	@echo "Done: site/index.html"

lint: setup ## style of Python and Snakemake files, and types
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint

# On a machine that does nothing else.
benchmark: setup ## time of training, evidence and scores (DEVICE=cuda: of a GPU)
	python benchmarks/run.py --device $(or $(DEVICE),cpu)

benchmark-selection: setup ## time and memory of methods (PEERS=PYTHON adds apricot and submodlib)
	python benchmarks/selection.py $(if $(PEERS),--peers $(PEERS))

benchmark-planning: setup ## time and memory before the first job, up to 20,000 runs
	python benchmarks/planning.py

setup: $(READY) ## .venv with the pinned versions of requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medcoreset needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock: ## requirements.lock anew, with uv
	uv pip compile --quiet --universal --python-version 3.11 --extra dev --no-header --no-annotate --generate-hashes --upgrade pyproject.toml -o requirements.lock

clean: ## delete results, rehearsals and Snakemake's records
	find results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
	rm -rf .snakemake rehearsal site

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | sort | awk -F'\t' '{printf "make %-20s %s\n", $$1, $$2}'
