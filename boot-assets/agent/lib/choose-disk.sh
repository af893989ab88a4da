# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# Which disk an order may be installed to. Never one that is in use, and none with anything on it unless the order says so
# or an installation of ours was interrupted there. In doubt nothing is chosen.

BOOT_MEBIBYTES=512
OEM_MEBIBYTES=64
LEAST_PERSISTENT_MEBIBYTES=64

# choose_disk: sets disk to its device. A disk that an installation of ours was interrupted on is found again, since no other
# one fits beside it.
choose_disk() {
  disk=
  [ "$squashfs_bytes" -le $((order_slot_mebibytes * 1048576)) ] ||
    give_up refused "the image has $squashfs_bytes bytes, a slot $((order_slot_mebibytes * 1048576))" || return
  : >"$work/fitting"
  : >"$work/unfit"
  print_disks >"$work/disks"
  while read -r name bytes; do
    why=$(unfit_because "$name" "$bytes")
    if [ -z "$why" ]; then
      printf '%s %s\n' "$bytes" "$name" >>"$work/fitting"
    else
      printf '%s %s; ' "$name" "$why" >>"$work/unfit"
    fi
  done <"$work/disks"
  take_fitting
}

# Of several disks the rule must name one; of several empty ones that it names, the smallest will do.
take_fitting() {
  sort -n "$work/fitting" >"$work/sorted"
  names=$(sed 's/.* //' "$work/sorted" | tr '\n' ' ')
  unfit=$(cat "$work/unfit")
  case $(wc -l <"$work/sorted")$order_disk_force in
    0*) give_up refused "no disk can be installed to: ${unfit:-this machine has none}" || return ;;
    1 | 1no | 1yes) ;;
    *yes) give_up refused "several disks fit, and with force one must be named alone: ${names% }" || return ;;
    *)
      [ -n "$order_disk_path$order_disk_model" ] ||
        give_up refused "several disks fit: ${names% }; the profile must name one by path, model or size" || return
      ;;
  esac
  disk=$devices/${names%% *}
  log info "installs to $disk"
}

# NAME BYTES a line. A size in /sys counts sectors of 512 bytes whatever the disk's own are.
print_disks() {
  for known in $(print_paths "$sys/block/*"); do
    name=${known##*/}
    case $name in
      loop* | ram* | zram* | sr* | fd* | dm-* | md* | nbd* | mtdblock*) continue ;;
    esac
    read_first "$known/size"
    sectors=$first
    case $sectors in
      '' | 0 | *[!0-9]*) continue ;;
    esac
    # hidden: one of several ways to the same disk, which has a node of its own (NVMe multipath).
    is_set "$known/removable" || is_set "$known/ro" || is_set "$known/hidden" ||
      printf '%s %s\n' "$name" "$((sectors * 512))"
  done
}

is_set() {
  read_first "$1"
  [ "$first" = 1 ]
}

# unfit_because NAME BYTES: prints why not, or nothing.
unfit_because() {
  read_first "$sys/block/$1/device/model"
  model=$(printf '%s' "$first" | sed 's/ *$//')
  if ! matches "$model" "$order_disk_model"; then
    printf 'is a "%s"' "$model"
  elif ! matches_path "$1"; then
    printf 'has another path'
  elif [ -n "$order_disk_min_bytes" ] && [ "$2" -lt "$order_disk_min_bytes" ]; then
    printf 'has %s bytes, at least %s are asked for' "$2" "$order_disk_min_bytes"
  elif [ -n "$order_disk_max_bytes" ] && [ "$2" -gt "$order_disk_max_bytes" ]; then
    printf 'has %s bytes, at most %s are asked for' "$2" "$order_disk_max_bytes"
  elif [ "$2" -lt "$(needed_bytes)" ]; then
    printf 'has %s bytes, slots and all take %s' "$2" "$(needed_bytes)"
  elif is_in_use "$1"; then
    printf 'is in use'
  elif other=$(print_namesake "$1") && [ -n "$other" ]; then
    printf 'would share the names of its partitions with %s' "$other"
  elif [ "$order_disk_force" != yes ] && ! is_begun "$1" && holds_data "$1"; then
    printf 'holds data'
  fi
}

# matches TEXT GLOB: an empty glob matches all.
matches() {
  [ -n "$2" ] || return 0
  # shellcheck disable=SC2254 # the glob is the point
  case $1 in
    $2) return 0 ;;
  esac
  return 1
}

# Partitions have paths too, which lead to other nodes.
matches_path() {
  [ -n "$order_disk_path" ] || return 0
  node=$(readlink -f "$devices/$1")
  for link in $(print_paths "$devices/disk/by-path/*"); do
    if [ "$(readlink -f "$link")" = "$node" ] && matches "${link##*/}" "${order_disk_path#/dev/disk/by-path/}"; then
      return 0
    fi
  done
  return 1
}

# Two mebibytes for the tables at both ends and one for GRUB, whether there is one or not.
needed_bytes() {
  slots=2
  [ "$order_recovery" = no ] || slots=3
  echo $(((3 + BOOT_MEBIBYTES + OEM_MEBIBYTES + slots * order_slot_mebibytes + LEAST_PERSISTENT_MEBIBYTES) * 1048576))
}

# Mounted, swapped to, below a RAID or a mapper, behind a loop: the disk or any part of it.
is_in_use() {
  for known in $(print_paths "$sys/block/$1" "$sys/block/$1/$1*"); do
    node=$devices/${known##*/}
    read_first "$known/dev"
    [ -z "$(print_paths "$known/holders/*")" ] || return 0
    ! grep -q -e "^[0-9]* [0-9]* $first " -e " $node " "$proc/self/mountinfo" || return 0
    ! grep -q "^$node " "$proc/swaps" || return 0
    for backing in $(print_paths "$sys/block/loop*/loop/backing_file"); do
      read_first "$backing"
      [ "$first" != "$node" ] || return 0
    done
  done
  return 1
}

# Slots and what survives are found by the names of their partitions: an installation on another disk, or a Kairos there,
# would be found as well.
print_namesake() {
  for known in $(print_paths "$sys/block/*"); do
    [ "${known##*/}" = "$1" ] ||
      print_partitions "${known##*/}" | sed -n -E "s/.* (MUSTER_(A|B|NEW)|COS_(GRUB|OEM|RECOVERY|PERSISTENT))\$/${known##*/}/p" | head -n 1
  done
}

is_begun() {
  print_partitions "$1" | grep -q ' MUSTER_NEW$'
}

# A table or any signature. A disk that cannot be looked at counts as one with data: blkid says 2 where it found nothing.
holds_data() {
  blkid --probe "$devices/$1" >/dev/null 2>&1 && return 0
  [ $? -eq 2 ] || return 0
  signatures=$(wipefs --no-act "$devices/$1" 2>&1) || return 0
  [ -n "$signatures" ]
}
