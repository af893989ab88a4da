# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# systemd-boot. Its order is the whole decision: entries without tries left come last, then the higher version wins (Boot
# Loader Specification, "Sorting"). So there is no default entry, and `version` counts what was installed here, not releases.

uefi_install_loader() {
  case $(uname -m) in
    x86_64) loader=x64 ;;
    aarch64) loader=aa64 ;;
    *) give_up failed "no boot loader for $(uname -m)" || return ;;
  esac
  mkdir -p "$boot_folder/EFI/BOOT" "$boot_folder/loader/entries" || give_up failed 'cannot write to the boot partition' || return
  printf '%s\n' 'timeout 0' 'editor no' 'auto-entries no' 'auto-firmware no' | replace_file "$boot_folder/loader/loader.conf" || return
  loader_file=${MUSTER_SYSTEMD_BOOT:-/usr/lib/systemd/boot/efi}/systemd-boot$loader.efi
  [ -r "$loader_file" ] || give_up failed "the image lacks $loader_file" || return
  replace_file "$boot_folder/EFI/BOOT/BOOT$(printf '%s' "$loader" | tr '[:lower:]' '[:upper:]').EFI" <"$loader_file"
}

# uefi_write_entry SLOT trial|good. All others of this slot go first: two of them could be left by a power cut.
uefi_write_entry() {
  uefi_remove_entry "$1" || return
  name_entry "$1"
  entry_words=$(print_words "$1")
  if [ "$2" = trial ]; then
    entry_words="$entry_words muster.watchdog=${order_trial_seconds:-600}"
    entry=$entry+${order_tries:-3}
  fi
  print_entry "$1" muster "$(next_entry_version)" "$entry_words" | replace_file "$entry.conf"
}

uefi_write_recovery_entry() {
  print_entry recovery zz 0 "$(print_words recovery)" | replace_file "$boot_folder/loader/entries/muster-recovery.conf"
}

# print_entry SLOT SORT_KEY VERSION WORDS
print_entry() {
  entry_folder=/muster/$(print_boot_name "$order_boot")
  printf 'title Muster %s (%s)\nsort-key %s\nversion %s\n' "${order_version:--}" "$1" "$2" "$3"
  printf 'linux %s/linux\ninitrd %s/initrd\noptions %s\n' "$entry_folder" "$entry_folder" "$4"
}

# name_entry SLOT: sets entry to its path, without counter and ending.
name_entry() {
  entry=$boot_folder/loader/entries/muster-$(printf '%s' "$1" | tr '[:upper:]' '[:lower:]')
}

next_entry_version() {
  highest=0
  for known in $(print_paths "$boot_folder/loader/entries/muster-*.conf"); do
    version=$(sed -n 's/^version //p' "$known")
    case $version in
      '' | *[!0-9]*) ;;
      *) [ "$version" -le "$highest" ] || highest=$version ;;
    esac
  done
  echo $((highest + 1))
}

uefi_remove_entry() {
  name_entry "$1"
  for known in $(print_paths "$entry.conf" "$entry+*.conf"); do
    rm -f "$known" || give_up failed "cannot remove $known" || return
  done
  sync
}

# The watchdog is for trials: a good entry is one without it.
uefi_mark_good() {
  name_entry "$1"
  counted=$(print_paths "$entry+*.conf")
  [ -n "$counted" ] || return 0
  sed 's/ muster\.watchdog=[0-9]*//' "${counted##*
}" | replace_file "$entry.conf" || return
  for known in $counted; do
    rm -f "$known"
  done
  sync
}

# Zero tries left: NAME+LEFT-DONE.conf.
uefi_mark_bad() {
  name_entry "$1"
  for known in $(print_paths "$entry.conf" "$entry+*.conf"); do
    case $known in
      *+0-* | *+0.conf) ;;
      *-[0-9].conf) mv "$known" "$entry+0-${known##*-}" ;;
      *) mv "$known" "$entry+0-1.conf" ;;
    esac || give_up failed "cannot rename $known" || return
  done
  sync
}

uefi_is_on_trial() {
  name_entry "$1"
  [ ! -e "$entry.conf" ] && [ -n "$(print_paths "$entry+*.conf")" ]
}

uefi_print_named_folders() {
  for known in $(print_paths "$boot_folder/loader/entries/*.conf"); do
    sed -n 's#^linux /muster/\([^/]*\)/linux$#\1#p' "$known"
  done
}
