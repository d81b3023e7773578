# Everything a person or CI runs. Each recipe is a script that also works by itself.
.DEFAULT_GOAL := help
.PHONY: help up down status logs clean-data test lint bench fuzz generate

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Install what is missing, start everything, deploy and call two functions
	@scripts/up

down: ## Stop everything; data stays
	@scripts/down

status: ## Show what runs
	@scripts/status

logs: ## Follow the log
	@scripts/logs

clean-data: ## Stop everything and forget all data of this checkout
	@scripts/down
	@scripts/stack forget

test: ## Run every test against real PostgreSQL and Podman, in a stack of its own
	@scripts/test

lint: ## Check format, clippy, layers, shell, licences and advisories
	@scripts/lint

bench: ## Measure what calls, deployments and the gateway cost (THEMES="warm cold": only these)
	@scripts/bench $(THEMES)

fuzz: ## Fuzz what the gateway lets through, with a nightly toolchain (SECONDS=600: each target so long)
	@scripts/fuzz $(SECONDS)

generate: ## Write the generated files (OpenAPI)
	@scripts/generate
