#!/bin/sh
# Resolve pyproject.toml anew into requirements/*.txt: exact versions with hashes, for Python 3.11 and newer on any platform.
# Versions that are already locked stay if they still fit. sh tools/lock.sh --upgrade selects the newest versions of all packages.
set -eu
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
all=$(mktemp)
trap 'rm -f "$all"' EXIT

compile() { # OUTPUT, then what uv takes
    output=$1
    shift
    "$uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
        --no-annotate --output-file "$output" "$@" >/dev/null
}

# All extras are resolved together first, so that a package has one version in all of the files.
if [ -z "$*" ]; then sort -u requirements/*.txt | grep '==' | sed 's/ \\$//' >"$all" || :; fi
compile "$all" pyproject.toml requirements/build.in requirements/uv.in --all-extras "$@"
compile requirements/build.txt requirements/build.in --constraints "$all"
compile requirements/uv.txt requirements/uv.in --constraints "$all"
compile requirements/base.txt pyproject.toml --constraints "$all"
compile requirements/buckets.txt pyproject.toml --constraints "$all" --extra s3 --extra gcs --extra azure
compile requirements/embedded.txt pyproject.toml --constraints "$all" --extra embedded
compile requirements/demo.txt pyproject.toml --constraints "$all" --extra embedded --extra demo
compile requirements/dev.txt pyproject.toml --constraints "$all" --extra embedded --extra dev
compile requirements/bench.txt pyproject.toml --constraints "$all" --extra embedded --extra dev --extra bench
compile requirements/docs.txt pyproject.toml --constraints "$all" --extra docs
