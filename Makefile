# Everything a newcomer, an operator or CI runs. `make demo` and `make test` need only python3, pip and make.
UV_VERSION := 0.13.9
UV := .tools/bin/uv
PY := .venv/bin/python
BIN := .venv/bin
PROTOS := $(shell find protos -name '*.proto')
export UV_LINK_MODE ?= copy
export UV_NO_PROGRESS ?= 1
# Every start of a gateway would compile everything anew.
export UV_COMPILE_BYTECODE ?= 1
unexport PYTHONDONTWRITEBYTECODE
.PHONY: demo test check bench soak fmt gen lock clean

$(UV):
	python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --target .tools uv==$(UV_VERSION)

.venv/.run: $(UV) requirements/run.txt pyproject.toml hatch_build.py tools/gen.py $(PROTOS)
	test -x $(PY) || $(UV) venv -q -p python3 .venv
	$(UV) pip install -q -p $(PY) --require-hashes -r requirements/run.txt
	$(UV) pip install -q -p $(PY) --no-deps -e .
	touch $@

.venv/.dev: .venv/.run requirements/dev.txt
	$(UV) pip install -q -p $(PY) --require-hashes -r requirements/dev.txt
	touch $@

demo: .venv/.run
	$(BIN)/concord demo $(if $(ONCE),--once) $(ARGS)

test: .venv/.dev
	$(PY) -m pytest -n 3 --dist loadfile -m "not soak" $(ARGS)

check: .venv/.dev gen
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PY) tools/proto_check.py

bench: .venv/.dev
	$(PY) -m tests.bench $(ARGS)

soak: .venv/.dev
	$(PY) -m pytest -m soak --timeout 7200 $(ARGS)

fmt: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/buf format -w protos

gen: .venv/.dev
	$(PY) tools/gen.py protos generated

lock: $(UV)
	$(UV) pip compile -q --universal -p 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --extra postgres pyproject.toml -o requirements/run.txt
	$(UV) pip compile -q --universal -p 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --all-extras --group dev pyproject.toml -o requirements/dev.txt

clean:
	rm -rf .venv build generated
