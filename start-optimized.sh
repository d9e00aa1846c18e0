#!/bin/sh
# Start the optimized server (port 8001) from this checkout. Arguments are passed on: ./start-optimized.sh --port 9000
set -eu
cd "$(dirname "$0")"

if [ ! -f .env ] && [ -z "${TWILIO_ACCOUNT_SID:-}" ]; then
    echo "start-optimized: no .env here; copy .env.example to .env and fill it in" >&2
    exit 78
fi
if [ -x .venv/bin/shortwire ]; then
    exec .venv/bin/shortwire serve --profile optimized "$@"
fi
if command -v uv >/dev/null 2>&1; then
    exec uv run shortwire serve --profile optimized "$@"
fi
echo "start-optimized: not set up yet; run 'make demo', or 'python3 -m venv .venv && .venv/bin/pip install -e .'" >&2
exit 69
