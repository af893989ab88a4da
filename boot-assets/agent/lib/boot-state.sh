# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# Which image this machine runs, from where, and whether the other slot was tried and given up. Read once, at the start:
# the boot loader's word (EFI variables of systemd-boot, the kernel command line that GRUB wrote) cannot change later.

# Of systemd-boot (systemd.io/BOOT_LOADER_INTERFACE).
LOADER_VENDOR=4a67b082-0a4c-41cf-b6c7-440b29bb8c4f

read_boot_state() {
  boot_source=network boot_slot='' slot_state='' running_image='' running_boot='' watchdog_seconds='' grub_state=''
  # shellcheck disable=SC2013 # words, not lines, are what a kernel command line is made of
  for word in $(cat "$cmdline_file"); do
    case $word in
      muster.slot=[AB]) boot_source=disk boot_slot=${word#*=} ;;
      muster.recovery) boot_source=disk ;;
      muster.image=*) if is_digest "${word#*=}"; then running_image=${word#*=}; fi ;;
      muster.bootmanifest=*) if is_digest "${word#*=}"; then running_boot=${word#*=}; fi ;;
      muster.state=*) grub_state=${word#*=} ;;
      muster.watchdog=*) if is_number "${word#*=}"; then watchdog_seconds=${word#*=}; fi ;;
    esac
  done
  other_slot='' running_version='' passive_image='' failed_image='' failed_reason=''
  case $boot_slot in
    A) other_slot=B ;;
    B) other_slot=A ;;
    *) return 0 ;;
  esac
  slot_state=good
  ! is_counted_boot || is_blessed || slot_state=trial
  read_slots
  [ "$slot_state" = trial ] || find_fallback
}

is_digest() {
  case ${1#sha256:} in
    "$1" | *[!0-9a-f]*) return 1 ;;
  esac
  [ ${#1} -eq 71 ]
}

is_number() {
  case $1 in
    '' | *[!0-9]* | ????????????????*) return 1 ;;
  esac
}

# Whether the boot loader counts this boot: nobody has found this slot good yet.
is_counted_boot() {
  if [ -n "$grub_state" ]; then
    [ "$grub_state" = trial ]
    return
  fi
  [ -d "$sys/firmware/efi" ] || return 1
  # A module, in the kernels of clouds.
  [ -n "$(ls "$efivars" 2>/dev/null)" ] || mount -t efivarfs efivarfs "$efivars" 2>/dev/null
  [ -e "$efivars/LoaderBootCountPath-$LOADER_VENDOR" ]
}

# Since this very boot: the boot loader's word stays what it was.
is_blessed() {
  read_first "$state/blessed"
  [ "$first" = "$boot_id" ]
}

# Lines of /oem/muster/slots: slot, image, boot manifest, version or -, time.
read_slots() {
  [ -r "$oem/muster/slots" ] || return 0
  while read -r slot image boot version rest; do
    : "$boot" "$rest"
    if [ "$slot" = "$boot_slot" ] && [ "$image" = "$running_image" ] && [ "$version" != - ]; then
      running_version=$version
    elif [ "$slot" = "$other_slot" ] && is_digest "$image"; then
      passive_image=$image
    fi
  done <"$oem/muster/slots"
}

# Sets failed_image and failed_reason where the other slot was tried and did not last.
find_fallback() {
  [ -n "$passive_image" ] || return 0
  if [ -r "$oem/muster/last-fallback" ]; then
    image=$(sed -n 's/^image=//p' "$oem/muster/last-fallback")
    if [ "$image" = "$passive_image" ]; then
      failed_image=$image
      failed_reason=$(sed -n 's/^reason=//p' "$oem/muster/last-fallback" | tr -cd '[:print:]')
      return 0
    fi
  fi
  if is_spent "$other_slot"; then
    failed_image=$passive_image
    failed_reason="slot $other_slot did not come up: no try of it is left"
  fi
}

# is_spent SLOT: whether the boot partition has an entry of it with no tries left, or GRUB's environment says the same.
is_spent() {
  [ -d "$boot_folder/loader" ] || [ -d "$boot_folder/grub" ] || open_boot_folder || return
  entries=$boot_folder/loader/entries/muster-$(printf '%s' "$1" | tr '[:upper:]' '[:lower:]')
  [ -z "$(print_paths "$entries+0.conf" "$entries+0-*.conf")" ] || return 0
  [ "$(read_grub_environment trial)" = "$1" ] && [ "$(read_grub_environment tries)" = 0 ]
}

# At the start: what went wrong before there was an agent to say it.
report_boot_state() {
  [ -z "$slot_state" ] || log info "runs slot $boot_slot ($slot_state)"
  [ -z "$failed_image" ] || report_trouble error "fell back from $failed_image: $failed_reason"
  [ -r "$run/mount-trouble" ] || return 0
  while IFS= read -r line; do
    report_trouble error "$line"
  done <"$run/mount-trouble"
}

# What each heartbeat says of it.
print_boot_fields() {
  printf 'image=%s\nsource=%s\n' "$running_image" "$boot_source"
  printf 'slot=%s\nslot_state=%s\n' "${slot_state:+$boot_slot}" "$slot_state"
  printf 'version=%s\npassive_image=%s\n' "$running_version" "$passive_image"
  printf 'failed_image=%s\nfailed_reason=%s\n' "$failed_image" "$failed_reason"
}

# The last words before a restart are on the disk before it begins.
restart_machine() {
  sync
  # shellcheck disable=SC2086 # a command and its arguments
  $reboot_command
}
