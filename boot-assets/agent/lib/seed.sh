# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# The seed of an installed machine: what cloud-init reads at each boot from disk, in place of the server's URL
# (cloud-init, NoCloud: /var/lib/cloud/seed/nocloud). muster-mounts puts it there.

# write_seed FOLDER: the newest configuration that was pulled, under the instance-id that the server uses.
write_seed() {
  read_first "$state/machine-id"
  [ -s "$state/config" ] && [ -n "$first" ] || return 1
  mkdir -p "$1" || return 1
  {
    printf 'instance-id: "%s"\n' "$first"
    read_first "$state/hostname"
    [ -z "$first" ] || printf 'local-hostname: "%s"\n' "$first"
  } >"$1/meta-data.new" &&
    cp "$state/config" "$1/user-data.new" &&
    chmod 600 "$1/meta-data.new" "$1/user-data.new" &&
    sync &&
    mv "$1/user-data.new" "$1/user-data" &&
    mv "$1/meta-data.new" "$1/meta-data" &&
    sync
}

# Where the machine boots from its disk: what the server wants now is what the next boot applies.
refresh_seed() {
  [ "$boot_source" = disk ] || return 0
  ! cmp -s "$state/config" "$oem/muster/seed/user-data" || return 0
  if write_seed "$oem/muster/seed"; then
    log info 'the seed of the next boot was renewed'
  else
    report_trouble error 'cannot write the seed of the next boot'
  fi
}
