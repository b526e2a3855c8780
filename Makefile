# make demo | make test | make test-slurm: each sets up its own .venv first (once), touches nothing global.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)

# A process per core, each with whole files, whose tests share what was made for them; one that
# crashes is replaced. nproc would take OMP_NUM_THREADS for the number of cores.
CORES ?= $(shell env -u OMP_NUM_THREADS nproc)
PYTEST := pytest -q --numprocesses $(or $(CORES),auto) --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-avx2 test-slurm test-slurm-full rehearse setup lock lint benchmark \
	benchmark-selection benchmark-planning clean

demo: setup
	snakemake --cores all demo --report results/report.html --report-after-run
	@echo "Done: table and figures in results/experiments/demo/, report in results/report.html"

test: setup lint
	$(PYTEST)

# The tests that train, with the kernels of a CPU that has AVX2 and not AVX-512.
test-avx2: setup
	ONEDNN_MAX_CPU_ISA=AVX2 $(PYTEST) -m trains

# A small study and three faults on a private SLURM cluster, about 10 minutes.
test-slurm: setup
	tests/slurm/private pytest -q -m "not full" tests/slurm

# By hand, before a release or after a change of the profile: the demo and eight faults more, 25 minutes.
test-slurm-full: setup
	tests/slurm/private pytest -q tests/slurm

# Every experiment in small, on stand-ins: that its tables and figures come, and what it takes in full.
rehearse: setup
	snakemake --cores all every --config rehearse=true

lint: setup
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint

# Run it on a machine that does nothing else; DEVICE=cuda measures a GPU.
benchmark: setup
	python benchmarks/run.py --device $(or $(DEVICE),cpu)

# Time and memory of the selecting methods; PEERS=PYTHON adds apricot and submodlib from there.
benchmark-selection: setup
	python benchmarks/selection.py $(if $(PEERS),--peers $(PEERS))

# Time and memory of Snakemake before the first job, up to 20,000 runs.
benchmark-planning: setup
	python benchmarks/planning.py

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medcoreset needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock:
	uv pip compile --quiet --universal --python-version 3.11 --extra dev --no-header --no-annotate --generate-hashes --upgrade pyproject.toml -o requirements.lock

clean:
	find results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
	rm -rf .snakemake rehearsal
