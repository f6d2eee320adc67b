#!/bin/sh
# Make .venv with the project and the given extras: tools/setup.sh embedded,demo
# Needs only Python 3.11 or newer. Uses uv, which is faster, or pip if uv cannot be installed.
set -eu
cd "$(dirname "$0")/.."
extras=$1
venv=.venv

say() { printf '%s\n' "$*" >&2; }

find_python() {
    for name in python3.11 python3.12 python3.13 python3.14 python3; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    say "sensorflow needs Python 3.11 or newer: apt-get install python3 python3-venv"
    exit 1
}

make_venv() {
    "$python" -m venv "$venv" >/dev/null 2>&1 && return
    rm -rf "$venv"
    # Debian splits ensurepip off into python3-venv
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing python3-venv"
        apt-get update -qq >/dev/null 2>&1 || true
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "python$version-venv" >/dev/null 2>&1 ||
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null 2>&1 || true
        "$python" -m venv "$venv" && return
        rm -rf "$venv"
    elif "$python" -m virtualenv --version >/dev/null 2>&1; then
        "$python" -m virtualenv -q "$venv" && return
    fi
    say "cannot make a virtual environment: apt-get install python3-venv, then run this again"
    exit 1
}

if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    rm -rf "$venv"
    python=$(find_python)
    make_venv
fi
say "installing into $venv ($extras)"
python=$venv/bin/python
# Exact versions with hashes, as tools/lock.sh has written them. The file of the last extra contains the packages of all given extras.
locked=requirements/${extras##*,}.txt
pip_install() { "$python" -m pip install -q --disable-pip-version-check --no-input "$@"; }
uv_install() { "$python" -m uv pip install -q --python "$python" "$@" 2>"$venv/uv.log"; }

pip_install --require-hashes -r requirements/uv.txt >/dev/null 2>&1 || true
# the package sensorflow on the package index is another project and would be imported instead of this one
"$python" -m pip uninstall -q -y sensorflow >/dev/null 2>&1 || true
if ! uv_install --require-hashes -r "$locked" -r requirements/build.txt; then
    pip_install --require-hashes -r "$locked" -r requirements/build.txt
fi
uv_install --no-deps --no-build-isolation -e . || pip_install --no-deps --no-build-isolation -e .
for extra in $(printf '%s' "$extras" | tr ',' ' '); do touch "$venv/.has-$extra"; done
