#!/bin/sh
# Builds the netboot image of the lab from Debian's packages: rootfs.squashfs, vmlinuz, initrd.img. Root only.
# Two layers: the base (packages, kernel, initrd) takes minutes and is kept; the image adds configuration and agent in seconds.
#   build-image.sh BASE_DIRECTORY IMAGE_DIRECTORY PACKAGE_CACHE LOG
# A directory that exists is whole and is left alone. Progress goes to standard output, all else to LOG.
set -eu

if [ "${MUSTER_IMAGE_UNSHARED:-}" != 1 ]; then
  # A mount namespace of its own: whatever way this script ends, no mount is left behind.
  MUSTER_IMAGE_UNSHARED=1 exec unshare --mount --propagation private sh "$0" "$@"
fi

base=$1 image=$2 package_cache=$3 log=$4
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
agent=$here/../../boot-assets/agent
mirror=${MUSTER_DEBIAN_MIRROR:-http://deb.debian.org/debian}
work=
umask 022
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

exec 3>&1 >>"$log" 2>&1 </dev/null

say() {
  printf '%s\n' "$*" >&3
  printf '=== %s\n' "$*"
}

discard_work() {
  [ -z "$work" ] || rm -rf -- "$work"
}
trap discard_work EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# shellcheck source=vm-lab/image/base.sh
. "$here/base.sh"
# shellcheck source=vm-lab/image/layer.sh
. "$here/layer.sh"

mkdir -p "$package_cache" "$(dirname "$base")" "$(dirname "$image")"
if [ ! -d "$base" ]; then
  work=$(mktemp -d "$base.tmp.XXXXXX")
  build_base "$work"
  mv -T "$work" "$base"
  work=
fi
if [ ! -d "$image" ]; then
  work=$(mktemp -d "$image.tmp.XXXXXX")
  build_layer "$work"
  mv -T "$work" "$image"
  work=
fi
