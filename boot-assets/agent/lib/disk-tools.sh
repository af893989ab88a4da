# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# Small things that all work on the disk needs: words for what went wrong, files that are whole or not there, partitions.

devices=${MUSTER_DEV:-/dev}
proc=${MUSTER_PROC:-/proc}
oem=${MUSTER_OEM:-/oem}
boot_folder=${MUSTER_BOOT_FOLDER:-/run/muster/boot}
# The disk that is being installed: its partitions are meant then, and not those that udev has links to.
target_disk=

# give_up OUTCOME REASON: `|| give_up ... || return`. Outcomes are those of http.sh (retry, refused), and failed: the
# machine itself did not do what it should.
give_up() {
  outcome=$1 reason=$2
  return 1
}

# try PROGRAM [argument...]: quiet while it goes well.
try() {
  "$@" >"$work/said" 2>&1 </dev/null && return
  give_up failed "$1: $(tail -n 3 "$work/said" | tr '\n' ' ' | cut -c 1-200)"
}

# replace_file FILE <content: after a power cut it has the old content or the new one.
replace_file() {
  if cat >"${1%/*}/.${1##*/}.new" && sync && mv "${1%/*}/.${1##*/}.new" "$1" && sync; then return; fi
  give_up failed "cannot write $1"
}

# print_paths PATTERN...: what there is of them, one a line.
print_paths() (
  set +f
  for pattern; do
    # shellcheck disable=SC2086 # the pattern is to be expanded
    for found in $pattern; do
      [ ! -e "$found" ] || printf '%s\n' "$found"
    done
  done
)

# print_partitions DISK: NODE NAME a line, as the kernel has them at this moment.
print_partitions() {
  for known in $(print_paths "$sys/block/$1/$1*"); do
    printf '%s %s\n' "${known##*/}" "$(sed -n 's/^PARTNAME=//p' "$known/uevent")"
  done
}

# find_partition NAME: sets partition to its device.
find_partition() {
  partition=$devices/disk/by-partlabel/$1
  if [ -n "$target_disk" ]; then
    partition=$devices/$(print_partitions "${target_disk##*/}" | sed -n "s/ $1\$//p")
  fi
  [ -b "$partition" ] || give_up failed "there is no partition $1"
}

# mount_partition NAME FOLDER: nothing to do where something is mounted there.
mount_partition() {
  mkdir -p "$2" || give_up failed "cannot make $2" || return
  ! mountpoint -q "$2" || return 0
  find_partition "$1" && try mount "$partition" "$2"
}

open_boot_folder() {
  mount_partition COS_GRUB "$boot_folder"
}

# What is read next comes from the disk, not from what this machine remembers of it.
forget_cached() {
  sync
  { echo 3 >"$proc/sys/vm/drop_caches"; } 2>/dev/null || log warn 'cannot drop the caches: what is verified may come from memory'
}
