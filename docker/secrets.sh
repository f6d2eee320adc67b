#!/bin/sh
# Write random passwords, and the URLs and files that contain them, to docker/secrets. Files that exist are kept.
# A password that docker/.env has set for an earlier version is taken from there.
set -eu
cd "$(dirname "$0")"
if [ -f .env ]; then . ./.env; fi
mkdir -p secrets
# The folder protects the files on this host. Compose mounts the files as they are, so each container's user must be able to
# read those of its container.
chmod 700 secrets
umask 022

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
new() { # FILE CONTENT
    [ -s "secrets/$1" ] || printf '%s\n' "$2" >"secrets/$1"
}

new database_password "${POSTGRES_PASSWORD:-$(random)}"
new valkey_password "${VALKEY_PASSWORD:-$(random)}"
new rabbitmq_password "$(random)"
new flower_password "${FLOWER_PASSWORD:-$(random)}"
new grafana_password "$(random)"
new database_url "postgresql://sensorflow:$(cat secrets/database_password)@database:5432/sensorflow"
new valkey_url "redis://:$(cat secrets/valkey_password)@broker:6379/0"
new valkey.conf "requirepass $(cat secrets/valkey_password)"
new rabbitmq_url "amqp://sensorflow:$(cat secrets/rabbitmq_password)@broker:5672//"
new rabbitmq.conf "default_user = sensorflow
default_pass = $(cat secrets/rabbitmq_password)"
