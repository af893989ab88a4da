# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# The boot order of UEFI firmware: the network option that leads to the server, the disk, whatever there was, and a copy of the
# network option. systemd-boot hands a kernel that it cannot load back to the firmware; the copy leads to the server then.

EFI_GLOBAL=8be4df61-93ca-11d2-aa0d-00e098032b8c
efi_variables=$sys/firmware/efi/efivars

# Never a reason to fail: without it the firmware finds \EFI\BOOT by itself (UEFI 2.10 section 3.5.1.1).
order_boot_options() {
  if ! open_efi_variables; then
    log info 'the boot order cannot be changed on this machine: the firmware finds the disk by its fallback path'
    return 0
  fi
  remove_own_options
  if ! efibootmgr --create-only --disk "$disk" --part 1 --label Muster --loader '\EFI\BOOT\BOOTX64.EFI' >"$work/said" 2>&1; then
    log warn "efibootmgr: $(tail -n 1 "$work/said")"
    return 0
  fi
  efibootmgr -v >"$work/options" 2>/dev/null
  own=$(print_own_options | head -n 1)
  network=$(print_network_option)
  copy=
  [ -z "$network" ] || copy=$(copy_option "$network")
  new_order=$(print_boot_order | grep -v -x -e "$network" -e "$own" -e "${copy:-none}")
  # shellcheck disable=SC2086 # one word an option
  new_order=$(printf '%s,' $network $own $new_order $copy)
  efibootmgr --bootorder "${new_order%,}" >"$work/said" 2>&1 || log warn "efibootmgr: $(tail -n 1 "$work/said")"
}

open_efi_variables() {
  command -v efibootmgr >/dev/null || return
  [ -n "$(print_paths "$efi_variables/BootOrder-*" "$efi_variables/Boot0*")" ] || {
    modprobe efivarfs
    mountpoint -q "$efi_variables" || mount -t efivarfs efivarfs "$efi_variables"
  } 2>/dev/null
}

remove_own_options() {
  efibootmgr -v >"$work/options" 2>/dev/null
  for option in $(print_own_options); do
    efibootmgr --bootnum "$option" --delete-bootnum >/dev/null 2>&1
  done
}

print_own_options() {
  sed -n 's/^Boot\([0-9A-F]\{4\}\)[* ] Muster\t.*/\1/p' "$work/options"
}

print_boot_order() {
  sed -n 's/^BootOrder: //p' "$work/options" | tr ',' '\n'
}

# The one that this boot came by, or the first of all: there is one for each protocol and card, and each that nobody answers
# costs a minute.
print_network_option() {
  for option in $(sed -n 's/^BootCurrent: //p' "$work/options") $(print_boot_order); do
    if grep -q "^Boot$option\*.*/MAC(" "$work/options"; then
      printf '%s\n' "$option"
      return
    fi
  done
}

# copy_option NUMBER: prints the number of its copy, made unless there is one.
copy_option() {
  for known in $(print_paths "$efi_variables/Boot[0-9A-F][0-9A-F][0-9A-F][0-9A-F]-$EFI_GLOBAL"); do
    number=${known##*/Boot}
    number=${number%%-*}
    if [ "$number" != "$1" ] && cmp -s "$known" "$efi_variables/Boot$1-$EFI_GLOBAL"; then
      printf '%s\n' "$number"
      return
    fi
  done
  number=$((0x$1))
  while [ -e "$efi_variables/Boot$(printf '%04X' "$number")-$EFI_GLOBAL" ]; do number=$((number + 1)); done
  number=$(printf '%04X' "$number")
  # In one write: the kernel takes the attributes and the value together.
  dd if="$efi_variables/Boot$1-$EFI_GLOBAL" of="$efi_variables/Boot$number-$EFI_GLOBAL" bs=64k 2>/dev/null && printf '%s\n' "$number"
}
