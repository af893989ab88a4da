# shellcheck shell=sh disable=SC2034,SC2154,SC2016 # the parts share their variables; `$` in GRUB's script is GRUB's
# GRUB, for machines with a BIOS. Its environment block says which slot is good and which is on trial; GRUB counts a try down
# before it starts it, and a kernel that does not load costs a try as well. What a slot's kernel gets is in slot-X.cfg.

bios_install_loader() {
  mkdir -p "$boot_folder/grub" || give_up failed 'cannot write to the boot partition' || return
  try grub-install --target=i386-pc --boot-directory="$boot_folder" --no-floppy --fonts= --locales= --themes= \
    --modules='part_gpt fat biosdisk' --install-modules='normal configfile loadenv linux test echo reboot' "$disk" || return
  print_grub_configuration | replace_file "$boot_folder/grub/grub.cfg"
}

# GRUB has no arithmetic: counting down is a list. The last lines are for an environment block that cannot be read.
print_grub_configuration() {
  printf '%s\n' 'set timeout=0' 'load_env' 'set slot=$good' 'set state=good'
  tries=9
  while [ "$tries" -gt 0 ]; do
    printf 'if [ -n "$trial" -a "$state" = good -a "$tries" = %s ]; then set tries=%s; set state=trial; fi\n' "$tries" "$((tries - 1))"
    tries=$((tries - 1))
  done
  cat <<'GRUB'
if [ "$state" = trial ]; then
  if save_env tries; then set slot=$trial; else set state=good; fi
fi
function start {
  if source $prefix/slot-$1.cfg; then
    if [ "$state" = trial ]; then set guard="muster.watchdog=$watchdog"; else set guard=; fi
    if linux /muster/$folder/linux $words muster.state=$state $guard; then
      if initrd /muster/$folder/initrd; then boot; fi
    fi
  fi
}
start $slot
if [ "$state" = trial ]; then reboot; fi
start A
start B
start recovery
exit
GRUB
}

# bios_write_entry SLOT trial|good
bios_write_entry() {
  write_slot_configuration "$1" || return
  folder=$(print_boot_name "$order_boot")
  if [ "$2" = trial ]; then
    change_grub_environment "trial=$1" "trialver=$folder" "tries=$(limit_tries "${order_tries:-3}")"
  else
    change_grub_environment "good=$1" "goodver=$folder" trial= trialver= tries=0
  fi
}

bios_write_recovery_entry() {
  write_slot_configuration recovery
}

limit_tries() {
  if [ "$1" -gt 9 ]; then echo 9; else echo "$1"; fi
}

# Single quotes keep GRUB from looking into the words; where $words is used, it splits them at spaces and no more.
write_slot_configuration() {
  {
    printf 'set folder=%s\nset watchdog=%s\n' "$(print_boot_name "$order_boot")" "${order_trial_seconds:-600}"
    printf "set words='%s'\n" "$(print_words "$1" | sed "s/'/'\\\\''/g")"
  } | replace_file "$boot_folder/grub/slot-$1.cfg"
}

bios_remove_entry() {
  [ "$(read_grub_environment trial)" != "$1" ] || change_grub_environment trial= trialver= tries=0 || return
  rm -f "$boot_folder/grub/slot-$1.cfg" && sync
}

bios_mark_good() {
  [ "$(read_grub_environment trial)" = "$1" ] || return 0
  change_grub_environment "good=$1" "goodver=$(read_grub_environment trialver)" trial= trialver= tries=0
}

bios_mark_bad() {
  [ "$(read_grub_environment trial)" != "$1" ] || change_grub_environment tries=0
}

bios_is_on_trial() {
  [ "$(read_grub_environment good)" != "$1" ]
}

bios_print_named_folders() {
  for known in $(print_paths "$boot_folder/grub/slot-*.cfg"); do
    sed -n 's/^set folder=//p' "$known"
  done
}

# read_grub_environment KEY
read_grub_environment() {
  [ ! -r "$boot_folder/grub/grubenv" ] || sed -n "s/^$1=//p" "$boot_folder/grub/grubenv"
}

# change_grub_environment KEY=VALUE...: the others keep theirs. GRUB wants exactly 1024 bytes, filled with `#`.
change_grub_environment() {
  {
    printf '# GRUB Environment Block\n'
    for key in good goodver trial trialver tries; do
      value=$(read_grub_environment "$key")
      for change; do
        [ "${change%%=*}" != "$key" ] || value=${change#*=}
      done
      printf '%s=%s\n' "$key" "$value"
    done
    head -c 1024 /dev/zero | tr '\0' '#'
  } | head -c 1024 | replace_file "$boot_folder/grub/grubenv"
}
