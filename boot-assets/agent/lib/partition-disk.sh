# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# The partitions of an installed machine: a GPT with Kairos's names, two slots, and file systems where there are any. The
# boot partition is called MUSTER_NEW until the installation is whole: an interrupted one is known by it.

GRUB_PARTITION_TYPE=21686148-6449-6E6F-744E-656564454649

# partition_disk: everything on $disk is gone. Sets target_disk.
partition_disk() {
  target_disk=$disk
  print_layout >"$work/layout"
  if ! sfdisk --quiet --wipe always --wipe-partitions always "$disk" <"$work/layout" >"$work/said" 2>&1; then
    give_up failed "sfdisk: $(tail -n 3 "$work/said" | tr '\n' ' ')"
    return
  fi
  # shellcheck disable=SC2046 # one word a name
  wait_for_partitions $(sed -n 's/.*name=//p' "$work/layout") || return
  make_file_system MUSTER_NEW mkfs.vfat -F32 -n COS_GRUB &&
    make_file_system COS_OEM mkfs.ext4 -q -F -m 0 -L COS_OEM &&
    make_file_system COS_PERSISTENT mkfs.ext4 -q -F -m 0 -L COS_PERSISTENT
}

print_layout() {
  printf 'label: gpt\nstart=1MiB, size=%sMiB, type=uefi, name=MUSTER_NEW\n' "$BOOT_MEBIBYTES"
  [ "$firmware" != bios ] || printf 'size=1MiB, type=%s, name=MUSTER_BIOS\n' "$GRUB_PARTITION_TYPE"
  printf 'size=%sMiB, type=linux, name=COS_OEM\n' "$OEM_MEBIBYTES"
  for slot_name in COS_RECOVERY MUSTER_A MUSTER_B; do
    [ "$slot_name$order_recovery" = COS_RECOVERYno ] ||
      printf 'size=%sMiB, type=linux, name=%s\n' "$order_slot_mebibytes" "$slot_name"
  done
  printf 'type=linux, name=COS_PERSISTENT\n'
}

# udev looks at each new partition, and as long as it does, the kernel may call the disk busy.
wait_for_partitions() {
  rounds=0
  for slot_name; do
    while ! find_partition "$slot_name"; do
      rounds=$((rounds + 1))
      [ "$rounds" -le 50 ] || return
      blockdev --rereadpt "$disk" 2>/dev/null
      sleep 0.2
    done
  done
  udevadm settle --timeout=20 2>/dev/null || log warn 'udev takes its time with the new partitions'
}

# make_file_system PARTITION PROGRAM [argument...]
make_file_system() {
  find_partition "$1" || return
  shift
  try "$@" "$partition"
}

# The last step of an installation. Nothing of the disk is mounted any more.
name_boot_partition() {
  try sfdisk --quiet --part-label "$disk" 1 COS_GRUB || return
  sync
  blockdev --flushbufs "$disk"
  wait_for_partitions COS_GRUB
}
