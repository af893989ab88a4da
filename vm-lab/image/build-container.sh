#!/bin/sh
# Makes the lab's Debian root a container image, with the tools that people make container images with. Root only.
# An OCI layout with two tags: `1` has a layer of Debian packages with kernel and initrd, and a layer with configuration and
# agent; `2` shares both and adds one small layer.
#   build-container.sh BASE_DIRECTORY LAYOUT_DIRECTORY LOG
# The base must be there (build-image.sh). A layout that exists is whole and is left alone. Progress goes to standard output,
# all else to LOG.
set -eu

base=$1 layout=$2 log=$3
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
agent=$here/../../boot-assets/agent
work=
umask 022
export LC_ALL=C

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

# shellcheck source=vm-lab/image/layer.sh
. "$here/layer.sh"

# Whatever this script makes has the time of the base, so that the same base and recipe give the same digests.
base_time() {
  date -u -r "$base/vmlinuz" +%Y-%m-%dT%H:%M:%SZ
}

# As Debian has them: a versioned file in /boot, and a link to it in the root folder.
add_boot_files() {
  version=$(basename "$(find "$base/rootfs/lib/modules" -mindepth 1 -maxdepth 1 -type d)")
  ln "$base/vmlinuz" "$1/boot/vmlinuz-$version"
  ln "$base/initrd.img" "$1/boot/initrd.img-$version"
  ln -s "boot/vmlinuz-$version" "$1/vmlinuz"
  ln -s "boot/initrd.img-$version" "$1/initrd.img"
  touch -h -r "$base/vmlinuz" "$1/vmlinuz" "$1/initrd.img" "$1/boot"
}

add_base_layer() {
  say 'base layer: packages, kernel, initrd'
  cp -al "$base/rootfs" "$work/base"
  add_boot_files "$work/base"
  (cd "$work/base" && tar --create --format=pax --sort=name --numeric-owner --xattrs --xattrs-include='security.*' \
    --pax-option=delete=atime,delete=ctime --file="$work/base.tar" -- *)
  umoci init --layout "$work/layout"
  umoci new --image "$work/layout:1"
  umoci config --no-history --image "$work/layout:1" --created "$(base_time)" --architecture amd64 --os linux
  umoci raw add-layer --image "$work/layout:1" --history.created "$(base_time)" --history.created_by 'debian packages' "$work/base.tar"
  rm -rf -- "$work/base" "$work/base.tar"
}

# What changes on the way from one layer to the next: files added, files of the base gone (a whiteout), a folder emptied.
add_agent_layer() {
  say 'agent layer: configuration and agent'
  umoci unpack --image "$work/layout:1" "$work/bundle"
  touch "$work/unpacked"
  install_files "$here/files" "$work/bundle/rootfs"
  install_agent "$work/bundle/rootfs"
  enable_units "$work/bundle/rootfs"
  rm -rf -- "$work/bundle/rootfs/usr/share/bash-completion" "$work/bundle/rootfs/vmlinuz.old"
  find "$work/bundle/rootfs" -newer "$work/unpacked" -exec touch -h -r "$base/vmlinuz" {} +
  umoci repack --image "$work/layout:1" --history.created "$(base_time)" --history.created_by 'agent' "$work/bundle"
  rm -rf -- "$work/bundle"
}

# name_version TAG: what people and rollouts compare.
name_version() {
  umoci config --no-history --image "$work/layout:$1" --config.label "org.opencontainers.image.version=$1.0"
}

add_second_tag() {
  say 'second tag: one small layer'
  printf 'release 2\n' >"$work/release"
  touch -r "$base/vmlinuz" "$work/release"
  umoci insert --image "$work/layout:1" --tag 2 --history.created "$(base_time)" --history.created_by 'release 2' \
    "$work/release" /etc/lab-release
}

# An image that cannot come up: the kernel panics while its initrd runs. The hook comes behind the initrd, as a second archive.
add_panicking_tag() {
  say 'third tag: panics in its initrd'
  hook=$work/panic/usr/lib/dracut/hooks/cmdline
  mkdir -p "$hook"
  printf '#!/bin/sh\necho c >/proc/sysrq-trigger\n' >"$hook/00-panic.sh"
  chmod 755 "$hook/00-panic.sh"
  find "$work/panic" -exec touch -h -r "$base/vmlinuz" {} +
  version=$(basename "$(find "$base/rootfs/lib/modules" -mindepth 1 -maxdepth 1 -type d)")
  {
    cat "$base/initrd.img"
    head -c "$(((4 - $(stat -c %s "$base/initrd.img") % 4) % 4))" /dev/zero
    (cd "$work/panic" && find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc -R 0:0)
  } >"$work/initrd"
  touch -r "$base/vmlinuz" "$work/initrd"
  umoci insert --image "$work/layout:1" --tag 3 --history.created "$(base_time)" --history.created_by 'panics' \
    "$work/initrd" "/boot/initrd.img-$version"
}

# An image that comes up, and says of itself that it is ill.
add_ill_tag() {
  say 'fourth tag: its health probe fails'
  printf '#!/bin/sh\necho "the lab wants this release to fail"\nexit 1\n' >"$work/probe"
  chmod 755 "$work/probe"
  touch -r "$base/vmlinuz" "$work/probe"
  umoci insert --image "$work/layout:1" --tag 4 --history.created "$(base_time)" --history.created_by 'ill' \
    "$work/probe" /usr/lib/muster/health.d/50-lab
}

if [ ! -d "$layout" ]; then
  work=$(mktemp -d "$layout.tmp.XXXXXX")
  add_base_layer
  add_agent_layer
  add_second_tag
  add_panicking_tag
  add_ill_tag
  for tag in 1 2 3 4; do name_version "$tag"; done
  umoci gc --layout "$work/layout"
  chmod -R a+rX "$work/layout"
  mv -T "$work/layout" "$layout"
fi
