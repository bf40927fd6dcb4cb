# make demo   fine-tune a small model, score it, ask it a question      make test   run the tests
# make lint   style and types                                          make clean  remove what make made
# make adapter   make the adapter that ships, from Spider in recipes/spider (two cores: some nine hours; it continues)
# make llama-server   build llama.cpp for this very processor, for faster answers (needs a C++ compiler; seven minutes)
#
# Another Python: make demo PYTHON=python3.12. Another place for the packages: make demo VENV=somewhere.
# RUN_MODEL_TESTS=1 make test also fetches the base model (491 MB) and runs the tests that need it.

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
# Brings the sources of llama.cpp, from the index that all packages come from.
LLAMA ?= llama-cpp-python==0.3.36
BASE := qwen2.5-coder-0.5b-instruct
TINY := smollm2-135m-instruct

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SAY := @printf '\n==> %s\n'

.PHONY: demo test lint adapter llama-server clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(SAY) "Getting the base model, $(BASE) (491 MB, once)"
	@$(BIN)/sqlwright models pull $(BASE)
	$(SAY) "Fine-tuning and scoring: recipes/quickstart.toml (ten to twenty minutes on two cores; Ctrl-C and make demo continue)"
	@$(BIN)/sqlwright run recipes/quickstart.toml
	$(SAY) "Asking the fine-tuned model about a music shop's database that it has never seen"
	@$(BIN)/sqlwright ask "Which five countries have the most customers?" \
		--database src/sqlwright/data/chinook/chinook.sqlite \
		--adapter runs/quickstart
	$(SAY) "Done. Every question, before and after: runs/quickstart/report.html"

test: $(VENV)/installed-dev
	$(SAY) "Getting the tiny model, $(TINY) (98 MB, once)"
	@$(BIN)/sqlwright models pull $(TINY)
ifneq ($(RUN_MODEL_TESTS),)
	$(SAY) "Getting the base model, $(BASE) (491 MB, once)"
	@$(BIN)/sqlwright models pull $(BASE)
endif
	$(SAY) "Running the tests"
	@$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist worksteal $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

adapter: BLEND = runs/spider-qwen-0.5b-blend
adapter: $(VENV)/installed
	@test -d recipes/spider/database || { \
		echo "make: expected Spider in recipes/spider (train_spider.json, tables.json, database/), found no database/." >&2; \
		exit 1; }
	@$(BIN)/sqlwright models pull $(BASE)
	@for part in "" -2 -3 -4 -5 -6; do \
		printf '\n==> %s\n' "recipes/spider-qwen-0.5b$$part.toml"; \
		if [ "$$part" = -6 ] && ! [ $(BLEND)/adapter.gguf -nt runs/spider-qwen-0.5b-5/adapter/adapter.gguf ]; then \
			rm -rf $(BLEND); \
			$(BIN)/sqlwright models blend runs/spider-qwen-0.5b-3 runs/spider-qwen-0.5b-5 \
				--to $(BLEND) --format q8_0 || exit; \
		fi; \
		$(BIN)/sqlwright prepare recipes/spider-qwen-0.5b$$part.toml || exit; \
		$(BIN)/sqlwright train recipes/spider-qwen-0.5b$$part.toml || exit; \
	done
	$(SAY) "Blending where the sixth part began and where it ended: what ships"
	@rm -rf runs/spider-qwen-0.5b-shipped
	@$(BIN)/sqlwright models blend $(BLEND) runs/spider-qwen-0.5b-6 \
		--to runs/spider-qwen-0.5b-shipped --format q8_0 --megabytes 19.7

llama-server: $(BIN)/sqlwright-llama-server
	@echo "Used from now on by $(BIN)/sqlwright; deleting $< brings xllamacpp's llama.cpp back."

$(BIN)/sqlwright-llama-server: SOURCE = $(VENV)/llama.cpp
$(BIN)/sqlwright-llama-server: | $(VENV)/bin/pip
	@command -v c++ > /dev/null || { \
		echo "make: expected a C++ compiler as c++, found none. On Debian and Ubuntu: apt-get install g++" >&2; exit 1; }
	@command -v cmake > /dev/null || $(PIP) cmake
	$(SAY) "Getting the sources of llama.cpp out of $(LLAMA)"
	@rm -rf $(SOURCE) && mkdir -p $(SOURCE)
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
		--dest $(SOURCE) $(LLAMA) && tar -xf $(SOURCE)/*.tar.gz -C $(SOURCE) --strip-components 1
	$(SAY) "Building llama-server (seven minutes on two cores)"
	@PATH="$(abspath $(BIN)):$$PATH"; export PATH; \
		cmake -S $(SOURCE)/vendor/llama.cpp -B $(SOURCE)/made -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
			-DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_OPENSSL=OFF \
			-DLLAMA_USE_PREBUILT_UI=OFF > $(SOURCE)/messages 2>&1 && \
		cmake --build $(SOURCE)/made --target llama-server --parallel "$$(nproc)" >> $(SOURCE)/messages 2>&1 || { \
			tail -n 20 $(SOURCE)/messages >&2; echo "make: building failed; all messages: $(SOURCE)/messages" >&2; exit 1; }
	@cp $(SOURCE)/made/bin/llama-server $@ && rm -rf $(SOURCE)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
	@echo "Kept: runs/ (what was trained) and the models (sqlwright models list says where)."

# The stamps: a second make installs nothing unless what the project needs has changed.
$(VENV)/installed: pyproject.toml | $(VENV)/bin/pip
	$(SAY) "Installing $(TORCH) (some minutes, once)"
	@$(PIP) "$(TORCH)" || { echo "make: installing $(TORCH) failed (pip says why, above). Is the network there, and 4 GB of disk?" >&2; exit 1; }
	$(SAY) "Installing SQLWright and what else it needs (a minute or two, once)"
	@$(PIP) --editable ".[gguf,train]" || { echo "make: installing SQLWright failed (pip says why, above); make continues where it stopped." >&2; exit 1; }
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/installed
	$(SAY) "Installing the tools that test and check SQLWright"
	@$(PIP) --editable ".[all,dev]" || { echo "make: installing the tools failed (pip says why, above); make continues where it stopped." >&2; exit 1; }
	@touch $@

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "make: expected Python 3.11 or newer as $(PYTHON), found $$($(PYTHON) --version 2>/dev/null || echo none)." >&2; \
		echo "Install one, or name it: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(SAY) "Creating the virtual environment $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "make: $(PYTHON) can't create virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
