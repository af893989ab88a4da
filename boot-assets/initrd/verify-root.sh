#!/bin/sh
# Compares the root file system that the initrd fetched with the digest in the boot manifest, before anything of it is used.
# Runs in a dracut initrd with systemd, between the fetch and the mount (muster-verify-root.service). Does not return where the
# two differ: it says so on every console and boots again. What this protects from, and what not: docs/images.md.
#
# muster.boot=sha256:HEX on the kernel command line is the digest of the manifest; muster.verify=required makes an initrd
# without sha256sum a reason to stop. Uses nothing beside sh and sha256sum that dracut does not put into every initrd.
set -u

cmdline=${MUSTER_CMDLINE:-/proc/cmdline}
manifest=${MUSTER_BOOT_MANIFEST:-/muster/boot.json}
# dracut's dmsquash-live leaves here what it was given to mount: a link to the file that livenet fetched.
live=${MUSTER_LIVE:-/run/initramfs/livedev}
result=${MUSTER_RESULT:-/run/muster/root-verified}
kmsg=${MUSTER_KMSG:-/dev/kmsg}
pause=${MUSTER_PAUSE_SECONDS:-20}

# The kernel prints this on every console there is (level 2, critical: `quiet` does not hide it).
say() {
  { printf '<2>muster: %s\n' "$*" >>"$kmsg"; } 2>/dev/null || printf 'muster: %s\n' "$*" >&2
}

stop() {
  say '*** BOOT STOPPED ***'
  for line in "$@"; do say "$line"; done
  say "This machine boots again in $pause seconds."
  sleep "$pause"
  ${MUSTER_REBOOT:-reboot --force --force}
  # A machine that cannot be told to restart must at least not go on.
  while :; do
    { echo b >/proc/sysrq-trigger; } 2>/dev/null
    sleep 60
  done
}

# The first word of that name: later ones come from profiles.
word() {
  tr ' ' '\n' <"$cmdline" | sed -n "/^$1=/{s///p;q;}"
}

# digest ALGORITHM FILE: in hex; fails where this initrd has no program for it.
digest() {
  if command -v "$1sum" >/dev/null 2>&1; then
    "$1sum" <"$2" | sed 's/ .*//'
  elif command -v busybox >/dev/null 2>&1; then
    busybox "$1sum" <"$2" | sed 's/ .*//'
  elif command -v openssl >/dev/null 2>&1; then
    openssl dgst "-$1" -r "$2" | sed 's/ .*//'
  else
    return 1
  fi
}

note() {
  mkdir -p "${result%/*}" && printf '%s\n' "$*" >"$result"
}

seconds() {
  sed 's/[. ].*//' /proc/uptime
}

pinned=$(word muster.boot)
[ -n "$pinned" ] || exit 0

if ! digest sha256 /dev/null >/dev/null 2>&1; then
  remedy='Build the initrd with: dracut --install sha256sum'
  [ "$(word muster.verify)" != required ] ||
    stop 'The root file system cannot be verified: this initrd has no sha256sum.' "$remedy"
  say "The root file system is NOT verified: this initrd has no sha256sum. $remedy"
  note 'unverified: no sha256sum'
  exit 0
fi

[ -f "$manifest" ] || stop 'The boot manifest did not come with the second initrd.'
[ "sha256:$(digest sha256 "$manifest")" = "$pinned" ] ||
  stop 'The boot manifest is not the one that the boot script names:' 'what came over the network was altered or is stale.'

expected=$(sed -n 's/^ *"squashfs": *"\(sha[0-9]*:[0-9a-f]*\)",*$/\1/p' "$manifest")
case $expected in
  sha256:* | sha512:*) ;;
  *) stop 'The boot manifest names no root file system.' ;;
esac
[ -e "$live" ] || stop 'The root file system is not where dracut puts it: nothing to verify.'

begun=$(seconds)
actual=${expected%%:*}:$(digest "${expected%%:*}" "$live") || stop "This initrd has no ${expected%%:*}sum."
if [ "$actual" != "$expected" ]; then
  stop 'The root file system is not the one of this image: bytes were altered on the way.' \
    "expected $expected" "received $actual"
fi
note "verified $expected"
printf 'muster: root file system verified in %s s\n' "$(($(seconds) - begun))"
