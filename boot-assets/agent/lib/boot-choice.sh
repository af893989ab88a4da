# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# What the machine starts next: the same words for both kinds of firmware. systemd-boot counts in the names of its entries
# (boot-entries.sh), GRUB in its environment block (grub.sh).

if [ -d "$sys/firmware/efi" ]; then firmware=uefi; else firmware=bios; fi

# mark_trial SLOT: the next boots try what the order brought into it, as often as the order says, and then come back.
mark_trial() {
  open_boot_folder && "${firmware}_write_entry" "$1" trial
}

# mark_good [SLOT]: what was on trial is what the machine starts from now on.
mark_good() {
  open_boot_folder && "${firmware}_mark_good" "${1:-$boot_slot}"
}

# mark_bad [SLOT]: it is not started again while the other one can be.
mark_bad() {
  open_boot_folder && "${firmware}_mark_bad" "${1:-$boot_slot}"
}

# remove_entry SLOT: nothing starts from it.
remove_entry() {
  open_boot_folder && "${firmware}_remove_entry" "$1"
}

is_on_trial() {
  open_boot_folder && "${firmware}_is_on_trial" "$1"
}

# print_named_folders: what must stay of the folders below muster/.
print_named_folders() {
  "${firmware}_print_named_folders"
}

# print_words SLOT|recovery: the kernel command line that finds the root on this disk. It ends in a reboot where there is none.
print_words() {
  case $1 in
    recovery) root_name=COS_RECOVERY root_word=muster.recovery ;;
    *) root_name=MUSTER_$1 root_word=muster.slot=$1 ;;
  esac
  printf '%s ' "root=live:$devices/disk/by-partlabel/$root_name" rd.live.image rd.live.overlay.overlayfs=1 rd.shell=0 \
    rd.emergency=reboot rd.retry=15 panic=5 oops=panic "$root_word" "muster.image=$order_image" \
    "muster.bootmanifest=$order_boot" "muster.url=$server" "muster.ca=sha256:$pin" ds=nocloud
  printf '%s' "$order_command_line"
}
