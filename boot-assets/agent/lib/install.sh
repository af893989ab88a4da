# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# Puts the order's image on a disk of this machine. Interrupted at any point, the next run begins anew: the disk is known to be
# ours by its unfinished name, which the last step takes away.

install_folder=${MUSTER_INSTALL_FOLDER:-/run/muster/install}
agent_folder=$install_folder/persistent/.muster/agent

# install_to_disk: true when the machine can start from the disk. Otherwise outcome and reason say why not.
install_to_disk() {
  outcome=failed reason='' target_disk=''
  own_oem=$oem own_boot_folder=$boot_folder
  oem=$install_folder/oem boot_folder=$install_folder/boot
  unmount_targets
  finished=
  ! install_parts || finished=yes
  unmount_targets
  [ -z "$finished" ] || name_boot_partition || finished=
  target_disk=''
  oem=$own_oem boot_folder=$own_boot_folder
  [ -n "$finished" ]
}

install_parts() {
  tell_progress checking 0 0
  if find_finished; then
    log info "$disk was installed by this order already"
    mount_settings && write_settings
    return
  fi
  choose_disk && partition_disk && mount_partition MUSTER_NEW "$boot_folder" && mount_settings || return
  mkdir -p "$oem/muster" || give_up failed 'cannot write to the new disk' || return
  write_slot A && write_recovery && install_boot_files && write_settings || return
  "${firmware}_install_loader" && "${firmware}_write_entry" A good || return
  [ "$order_recovery" = no ] || "${firmware}_write_recovery_entry" || return
  [ "$firmware" = bios ] || order_boot_options
}

# Done, but the word of it was lost, and the server had the machine boot from the network once more. The mark lies where
# the agent makes a clean sweep when it first starts from the disk: from then on there is something to lose.
find_finished() {
  [ "$order_disk_force" != yes ] || return
  print_disks >"$work/disks"
  while read -r name bytes; do
    print_partitions "$name" >"$work/partitions"
    [ "$(grep -c -e ' COS_GRUB$' -e ' MUSTER_A$' -e ' COS_PERSISTENT$' "$work/partitions")" -eq 3 ] || continue
    disk=$devices/$name target_disk=$devices/$name
    mount_settings && [ "$(cat "$agent_folder/work/installed" 2>/dev/null)" = "$order_id $order_boot" ] && return
    unmount_targets
    target_disk=''
  done <"$work/disks"
  return 1
}

mount_settings() {
  mount_partition COS_OEM "$oem" && mount_partition COS_PERSISTENT "$install_folder/persistent"
}

unmount_targets() {
  sync
  for folder in boot oem persistent; do
    ! mountpoint -q "$install_folder/$folder" || umount "$install_folder/$folder" || log warn "$install_folder/$folder stays mounted"
  done
}

# From the slot and not from the network once more.
write_recovery() {
  [ "$order_recovery" != no ] || return 0
  find_partition MUSTER_A || return
  slot_device=$partition
  find_partition COS_RECOVERY || return
  tell_progress writing "$squashfs_bytes" "$((squashfs_bytes + kernel_bytes + initrd_bytes))"
  try dd if="$slot_device" of="$partition" bs=1M count="$squashfs_bytes" iflag=count_bytes conv=fsync || return
  is_intact "$squashfs_digest" "$squashfs_bytes" "$partition" ||
    give_up failed "what the disk gives back of the recovery image is not $squashfs_digest"
}

# What survives upgrades: whom this machine trusts, what it keeps, its first configuration, and who it is.
write_settings() {
  {
    mkdir -p "$oem/muster/seed" "$agent_folder/work" &&
      cp -R "$order_folder/trust" "$oem/muster/" &&
      cp "$order_folder/persist" "$oem/muster/persist" &&
      write_seed "$oem/muster/seed" &&
      carry_identity "$agent_folder" &&
      printf '%s\n' "$order_id $order_boot" >"$agent_folder/work/installed" &&
      chmod 700 "$agent_folder" "${agent_folder%/*}" &&
      rm -f "$oem/muster/progress" && sync
  } || give_up failed 'cannot write the settings of the machine to its new disk'
}
