#!/bin/sh
# Make sure that rabbitmq-server is installed, for the tests, which start their own.
set -eu
if command -v rabbitmq-server >/dev/null 2>&1 || [ -x /usr/sbin/rabbitmq-server ]; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "the tests need RabbitMQ: sudo apt-get install rabbitmq-server, then run this again" >&2
    exit 1
fi
echo "installing rabbitmq-server" >&2
apt-get update -qq >/dev/null 2>&1 || true
# the package would start its own server on a public port; this policy prevents it
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=1; fi
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rabbitmq-server >/dev/null
if [ -n "$made" ]; then rm -f "$policy"; fi
