#!/bin/bash
# dracut module: arms a watchdog on a trial boot, before anything else can hang, and brings the program with which the root is
# verified. See boot-assets/dracut/README.md.

check() {
  return 0
}

depends() {
  echo systemd
}

installkernel() {
  instmods softdog
}

install() {
  inst_multiple sha256sum modprobe sed tr head sleep mkdir
  # shellcheck disable=SC2154 # dracut's own
  inst_script "$moddir/arm-watchdog.sh" /usr/lib/muster/arm-watchdog.sh
  # shellcheck disable=SC2154
  inst_simple "$moddir/muster-watchdog.service" "$systemdsystemunitdir/muster-watchdog.service"
  # shellcheck disable=SC2154
  mkdir -p "$initdir$systemdsystemunitdir/sysinit.target.wants"
  ln -sf ../muster-watchdog.service "$initdir$systemdsystemunitdir/sysinit.target.wants/muster-watchdog.service"
}
