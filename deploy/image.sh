#!/bin/sh
# The steps of the Dockerfile that a test takes too.
#
#   image.sh dependencies LOCK VENV   a virtual environment with what users need of the lock file
#   image.sh program SOURCE VENV      dify-etl itself into it, compiled, so that nothing is written later
set -eu

case "$1" in
dependencies)
    python3 -m venv "$3"
    "$3/bin/python" -m pip install --quiet --require-hashes --only-binary :all: -r "$2"
    ;;
program)
    # hatchling stands in no image: the wheel is built in an environment that is left behind.
    built=$(mktemp -d)
    python3 -m venv "$built/venv"
    "$built/venv/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$built" "$2"
    "$3/bin/python" -m pip install --quiet --no-deps --no-compile "$built"/dify_etl-*.whl
    "$3/bin/python" -m pip uninstall --quiet --yes pip
    python3 -m compileall -q "$3/lib" || true
    rm -rf "$built"
    ;;
*)
    echo "image.sh: dependencies or program, not $1" >&2
    exit 2
    ;;
esac
