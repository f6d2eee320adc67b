#!/bin/sh
# Make sure that prometheus and promtool are installed, for the tests, which start their own.
set -eu
if command -v prometheus >/dev/null 2>&1 && command -v promtool >/dev/null 2>&1; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "the tests need Prometheus: sudo apt-get install prometheus, then run this again" >&2
    exit 1
fi
echo "installing prometheus" >&2
apt-get update -qq >/dev/null 2>&1 || true
# the package would start its own server on a public port; this policy prevents it
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=1; fi
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null
if [ -n "$made" ]; then rm -f "$policy"; fi
