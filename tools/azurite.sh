#!/bin/sh
# Make sure that Azurite, Microsoft's server of Azure's blobs for tests, is in .venv/azurite.
set -eu
cd "$(dirname "$0")/.."
version=3.35.0
folder=.venv/azurite
if [ -e "$folder/$version" ]; then exit 0; fi
echo "installing Azurite" >&2
PATH="$PWD/.venv/bin:$PATH" npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" "azurite@$version" >&2
touch "$folder/$version"
