#!/bin/sh
# Pins every dependency with its hashes into requirements.txt (what the product and the demo need) and
# requirements-dev.txt (everything). The lock file itself holds registry addresses, so it is not kept.
set -eu
cd "$(dirname "$0")/.."
export UV_CUSTOM_COMPILE_COMMAND=scripts/lock.sh
uv lock -q
uv export -q --format requirements-txt --no-header --no-annotate --no-emit-project --all-extras --no-default-groups -o requirements.txt
uv export -q --format requirements-txt --no-header --no-annotate --no-emit-project --all-extras --all-groups -o requirements-dev.txt
rm -f uv.lock
if grep -nE 'https?://' requirements.txt requirements-dev.txt; then
    echo "an address got into the export" >&2
    exit 1
fi
