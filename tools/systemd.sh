#!/bin/sh
# Make sure that systemd's programs are installed, for the tests: its verifier, and an init for `make service`.
set -eu
if command -v systemd-analyze >/dev/null 2>&1; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "the tests need systemd-analyze: sudo apt-get install systemd, then run this again" >&2
    exit 1
fi
echo "installing systemd" >&2
apt-get update -qq >/dev/null 2>&1 || true
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd dbus >/dev/null
