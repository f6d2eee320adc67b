#!/bin/sh
# Check the packages that requirements/ locks for known vulnerabilities, with pip-audit.
# Exit status 0: none is known. 1: some are known. 2: no source of advisories could be reached.
set -u
cd "$(dirname "$0")/.."
report=$(mktemp)
trap 'rm -f "$report"' EXIT
audit() { # SERVICE
    .venv/bin/python -m uv tool run --quiet --from 'pip-audit==2.10.1' pip-audit --vulnerability-service "$1" \
        --require-hashes --disable-pip --progress-spinner off --strict -r requirements/bench.txt -r requirements/build.txt \
        >"$report" 2>&1
}
for service in osv pypi; do
    if audit "$service"; then
        echo "no known vulnerability in the locked packages (source: $service)"
        exit 0
    fi
    if grep -q '^Found [1-9]' "$report"; then
        cat "$report"
        exit 1
    fi
done
echo "NOT AUDITED: neither OSV nor the advisories of the package index could be reached. The last answer:" >&2
tail -n 3 "$report" >&2
exit 2
