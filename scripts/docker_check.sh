#!/bin/sh
# `make docker-check`: builds both images without a container engine, then starts Python and `footnote` in each.
#
# Needs root on Debian or Ubuntu and three packages: apt-get install buildah mmdebstrap eatmydata
# Downloads Debian packages and wheels; takes minutes and about 3 GB in DOCKER_CHECK_DIR (default build/docker-check),
# which may be deleted afterwards. The registry's Python image is replaced by the same Debian release with its own
# Python, so that what is checked is our instructions, not another party's download.
# Read from the environment when set: DEBIAN_MIRROR; PIP_CERT and PIP_INDEX_URL, passed on to the builds.
set -eu
cd "$(dirname "$0")/.."

work=${DOCKER_CHECK_DIR:-build/docker-check}
mkdir -p "$work"
work=$(cd "$work" && pwd)

[ "$(id -u)" = 0 ] || { echo "docker_check.sh: must run as root" >&2; exit 2; }
for tool in buildah mmdebstrap eatmydata; do
    command -v "$tool" >/dev/null || { echo "docker_check.sh: apt-get install buildah mmdebstrap eatmydata" >&2; exit 2; }
done

# One store for all commands, apart from whatever else buildah holds on this machine.
store() { eatmydata buildah --root "$work/store-$driver" --runroot "$work/run" --storage-driver "$driver" "$@"; }
# vfs works on every file system, but copies whole images: 12 GB and many times slower.
driver=overlay
store info >/dev/null 2>&1 || driver=vfs

tidy() { # leaves the base and the two images, and nothing mounted that would keep the directory from being deleted
    store rm --all >/dev/null 2>&1 || true
    store rmi --prune >/dev/null 2>&1 || true
    umount "$work/store-$driver/overlay" 2>/dev/null || true
}
trap tidy EXIT

printf 'unqualified-search-registries = ["docker.io"]\n' >"$work/registries.conf"
export CONTAINERS_REGISTRIES_CONF="$work/registries.conf"

# Where a proxy or mirror stands between this machine and the package index, pip in the builds must know it too.
{
    echo "[global]"
    [ -z "${PIP_CERT-}" ] || echo "cert = /run/trusted.crt"
    [ -z "${PIP_INDEX_URL-}" ] || echo "index-url = $PIP_INDEX_URL"
} >"$work/pip.conf"
set -- --volume "$work/pip.conf:/etc/pip.conf:ro"
[ -z "${PIP_CERT-}" ] || set -- "$@" --volume "$PIP_CERT:/run/trusted.crt:ro"

make_base() { # make_base IMAGE: a stand-in for the registry's python image
    release=${1##*-}
    if [ ! -e "$work/$release.tar" ]; then
        echo "== base image from Debian $release"
        eatmydata mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv,python-is-python3 \
            "$release" "$work/$release.tar.part" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
        mv "$work/$release.tar.part" "$work/$release.tar"
    fi
    container=$(store from scratch)
    store add --quiet "$container" "$work/$release.tar" /
    store config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    store commit --quiet --rm "$container" "docker.io/library/$1"
}

try() { # try IMAGE COMMAND...: the command in a container of the image, as the image's user
    image=$1
    shift
    container=$(store from --pull-never "$image")
    status=0
    store run --isolation chroot "$container" -- "$@" || status=$?
    store rm "$container" >/dev/null
    return $status
}

base=$(sed -n 's/^FROM \(python:[^ ]*\) AS base$/\1/p' Dockerfile.api)
grep -q "^FROM $base AS base\$" Dockerfile.worker || { echo "docker_check.sh: the Dockerfiles differ in their base" >&2; exit 1; }
store inspect --type image "docker.io/library/$base" >/dev/null 2>&1 || make_base "$base"

for name in api worker; do
    echo "== build Dockerfile.$name"
    store bud --isolation chroot --pull-never --format docker --network host --layers "$@" \
        --file "Dockerfile.$name" --tag "footnote-$name" .
    echo "== run footnote-$name"
    try "footnote-$name" python -c "import os, sys; sys.exit(f'runs as {os.getuid()}' if os.getuid() != 10001 else 0)"
    try "footnote-$name" python -c "import os, sys; sys.exit(os.access('/venv', os.W_OK) or not os.access('/data/files', os.W_OK))"
    try "footnote-$name" footnote --help >/dev/null
    try "footnote-$name" python -c "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ['api', 'worker', 'migrations'])))"
done
try footnote-api python -c "import api.app"
try footnote-worker sh -c "tesseract --list-langs | grep -qx eng"
try footnote-worker env REDIS_URL=redis://127.0.0.1:1 celery --app worker.app report >/dev/null
store images
echo "docker check: both images build and start"
