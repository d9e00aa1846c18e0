#!/bin/sh
# Prints the path of the Python to make the virtual environment with; says on stderr which one, and why.
# PYTHON=... chooses; else the first of those found that is new enough, has venv, and was built with optimisations
# (src/shortwire/interpreter.py), else the first that is new enough.
cd "${0%/*}/.." || exit 1

if [ -n "$PYTHON" ]; then
    echo "Python: $PYTHON, because PYTHON says so" >&2
    command -v "$PYTHON" || { echo "there is no $PYTHON" >&2; exit 1; }
    exit
fi

second=
for name in python3.13 python3.12 python3.11 python3; do
    rest=$PATH:
    while [ -n "$rest" ]; do
        python=${rest%%:*}/$name rest=${rest#*:}
        [ -x "$python" ] && built=$("$python" -I src/shortwire/interpreter.py 2>/dev/null) || continue
        if [ "${built%% *}" = optimised ]; then
            echo "Python: ${built#* }, $python, an optimised build" >&2
            echo "$python"
            exit
        fi
        [ -n "$second" ] || second=$python version=${built#* }
    done
done
if [ -n "$second" ]; then
    echo "Python: $version, $second; built without optimisations (20 to 40 % slower), and no other is here" >&2
    echo "$second"
    exit
fi
echo "Shortwire needs Python 3.11 or newer with its venv module (Debian: apt install python3-venv)" >&2
exit 1
