#!/bin/sh
# shellcheck disable=SC2034,SC2154 # it shares its variables with the libraries that it loads
# Runs in the machine under test, brought by its initrd: loads the disk side of the agent, asks the test over HTTP what to do
# and tells it on the serial port how that went. What the rest of the agent would give is made up here.
#   disk-machine.sh LAB_URL
set -u
set -f
umask 077
export LC_ALL=C
exec </dev/null >/dev/ttyS0 2>&1
lab=$1
here=$(dirname "$0")

uptime_seconds() {
  cut -d ' ' -f 1 /proc/uptime
}

say() {
  printf '\r\nLAB %s %s\r\n' "$(uptime_seconds)" "$*"
}

log() {
  say "log $1: $2"
}

tell_progress() {
  say "progress $*"
}

write_seed() {
  printf '#cloud-config\n' >"$1/user-data" && printf 'instance-id: lab\n' >"$1/meta-data"
}

carry_identity() {
  printf 'key\n' >"$1/machine.key"
}

sys=/sys
state=/run/disk-machine
restart=
work=$state/work
connect_seconds=10
mkdir -p "$work" && : >"$state/ca.pem"
boot_slot=$(tr ' ' '\n' </proc/cmdline | sed -n 's/^muster\.slot=//p')
boot_state=$(tr ' ' '\n' </proc/cmdline | sed -n 's/^muster\.state=//p')

# shellcheck source=boot-assets/agent/lib/facts.sh
. "$here/lib/facts.sh"
for part in disk-tools choose-disk partition-disk slots boot-choice boot-entries boot-order grub install; do
  # shellcheck source=/dev/null # each of them
  . "$here/lib/$part.sh"
done

# outcome_of COMMAND [argument...]
outcome_of() {
  outcome='' reason=''
  started=$(uptime_seconds)
  if "$@"; then say "$1: ok (since $started)"; else say "$1: $outcome: $reason"; fi
}

open_oem() {
  oem=/run/lab-oem
  mount_partition COS_OEM "$oem"
}

show_installed() {
  for file in COS_GRUB COS_OEM COS_PERSISTENT; do
    mount_partition "$file" "/run/show/$file" && (cd "/run/show/$file" && find . | sort)
    umount "/run/show/$file"
  done
}

# What the machine will start, as it stands on the boot partition.
show_boot_choice() {
  open_boot_folder
  for file in $(print_paths "$boot_folder/loader/entries/*" "$boot_folder/grub/grubenv" "$boot_folder/grub/slot-*.cfg"); do
    printf '\r\nFILE %s\r\n' "${file#"$boot_folder/"}"
    tr '#' '\n' <"$file" | grep .
  done
  printf '\r\nFOLDERS %s\r\n' "$(print_paths "$boot_folder/muster/*" | tr '\n' ' ')"
  [ ! -r "$oem/muster/slots" ] || cat "$oem/muster/slots"
}


say "up: slot=$boot_slot state=$boot_state firmware=$firmware"
until curl --silent --show-error --fail --output "$work/task" "$lab/task"; do sleep 1; done
# shellcheck source=/dev/null # the test wrote it
. "$work/task"
sync
say 'task ended'
[ -z "$restart" ] || reboot --force
