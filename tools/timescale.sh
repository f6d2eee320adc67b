#!/bin/sh
# Make sure that a Debian with PostgreSQL 17 and TimescaleDB (the Apache-only build) is there to `chroot` into, for
# `make test-timescale`, and print its folder. It is shared by all checkouts; SENSORFLOW needs none of it.
set -eu
release=trixie
root=/var/cache/sensorflow/timescale-$release
program=usr/lib/postgresql/17/bin/postgres
if [ ! -e "$root/.complete" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "a TimescaleDB of our own needs root, for chroot; or set SENSORFLOW_TEST_TIMESCALE_URL to the URL of a" \
            "superuser of another one" >&2
        exit 1
    fi
    if ! command -v debootstrap >/dev/null 2>&1; then
        if ! command -v apt-get >/dev/null 2>&1; then
            echo "a TimescaleDB of our own needs debootstrap: install it, then run this again" >&2
            exit 1
        fi
        apt-get update -qq >/dev/null 2>&1 || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
    fi
    echo "installing PostgreSQL 17 with TimescaleDB into $root (700 MB, a few minutes)" >&2
    mkdir -p "$(dirname "$root")"
    new=$(mktemp -d "$root.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    chmod 755 "$new"
    if ! debootstrap --variant=minbase --include=postgresql-17,postgresql-17-timescaledb "$release" "$new" \
        >"$new.log" 2>&1; then
        tail -20 "$new.log" >&2
        echo "debootstrap failed; its log: $new.log" >&2
        exit 1
    fi
    rm -f "$new.log"
    test -x "$new/$program"
    : >"$new/.complete"
    rm -rf "$root"
    mv "$new" "$root"
fi
echo "$root"
