# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# The server's order as text: lines of key=value. What is not exactly as agreed is refused: some of it ends in boot entries.

# parse_order FILE: sets the variables order_*; false with `reason` where something in it is not as it should be.
# Text in base64 stays in the file until the worker decodes it.
parse_order() {
  order_id='' order_kind='' order_repository='' order_image='' order_version='' order_boot='' order_artifacts_url=''
  order_command_line='' order_rate_bytes='' order_trial_seconds='' order_tries='' order_ignore_units=''
  order_not_before='' order_not_after='' order_trust_unsigned=''
  order_disk_min_bytes='' order_disk_max_bytes='' order_disk_model='' order_disk_path='' order_disk_force=''
  order_slot_mebibytes='' order_recovery=''
  while IFS= read -r line || [ -n "$line" ]; do
    name=${line%%=*} value=${line#*=}
    case $name in
      id) take_field is_order_id || return 1 ;;
      kind) take_field is_word || return 1 ;;
      repository) take_field is_repository || return 1 ;;
      image | boot) take_field is_digest || return 1 ;;
      version) take_field is_version || return 1 ;;
      artifacts_url) take_field is_url || return 1 ;;
      rate_bytes | trial_seconds | tries | not_before | not_after | disk_min_bytes | disk_max_bytes | slot_mebibytes)
        take_field is_number || return 1
        ;;
      ignore_units) take_field is_unit_list || return 1 ;;
      command_line) take_field is_command_line || return 1 ;;
      disk_model | disk_path) take_field is_plain_text || return 1 ;;
      disk_force | recovery | trust_unsigned) take_field is_yes_or_no || return 1 ;;
      persist) is_persist_path "$value" || refuse_field || return 1 ;;
    esac
  done <"$1"
  if [ -z "$order_id" ] || [ -z "$order_kind" ]; then
    reason='the order has no id or no kind'
    return 1
  fi
  case $order_kind in
    install | upgrade) has_image || return 1 ;;
    reboot | cancel) ;;
    *)
      reason="the order is of an unknown kind ($order_kind)"
      return 1
      ;;
  esac
  order_version=${order_version:--} order_rate_bytes=${order_rate_bytes:-0} order_tries=${order_tries:-3}
  order_trial_seconds=${order_trial_seconds:-600} order_slot_mebibytes=${order_slot_mebibytes:-3072}
  # No limit, as with rate_bytes.
  order_disk_min_bytes=${order_disk_min_bytes#0} order_disk_max_bytes=${order_disk_max_bytes#0}
}

# take_field CHECK: $value into order_$name, once, where CHECK says that it may be so. An empty one counts as absent.
take_field() {
  [ -n "$value" ] || return 0
  eval "[ -z \"\$order_$name\" ]" && "$1" "$value" || refuse_field || return 1
  eval "order_$name=\$value"
}

refuse_field() {
  reason="the order is malformed at $name"
  return 1
}

has_image() {
  [ -n "$order_image" ] && [ -n "$order_boot" ] && [ -n "$order_repository" ] && [ -n "$order_artifacts_url" ] && return
  reason='the order names no image'
  return 1
}

is_order_id() {
  case $1 in
    '' | *[!A-Za-z0-9._-]*) return 1 ;;
  esac
  [ ${#1} -le 64 ]
}

is_word() {
  case $1 in
    *[!a-z-]*) return 1 ;;
  esac
}

is_repository() {
  case $1 in
    /* | */ | *[!a-z0-9./_-]*) return 1 ;;
  esac
}

is_version() {
  case $1 in
    *[!A-Za-z0-9._+~-]*) return 1 ;;
  esac
  [ ${#1} -le 64 ]
}

is_url() {
  case ${1#http*://} in
    "$1" | '' | *[!][A-Za-z0-9.:/_%-]*) return 1 ;;
  esac
  case $1 in
    http://* | https://*) return 0 ;;
  esac
  return 1
}

is_unit_list() {
  case $1 in
    *[!A-Za-z0-9@:._\\,-]*) return 1 ;;
  esac
}

is_plain_text() {
  case $1 in
    *[![:print:]]*) return 1 ;;
  esac
  [ ${#1} -le 200 ]
}

is_yes_or_no() {
  [ "$1" = yes ] || [ "$1" = no ]
}

# Words of the image and of the profile, nothing that would mean something to GRUB's shell, and none of those that say
# where the root is and who we are: these are for the entry itself to say.
is_command_line() {
  case $1 in
    *[![:print:]]* | *[\'\"\`\\\$]*) return 1 ;;
  esac
  case " $1" in
    *' root='* | *' init='* | *' rdinit='* | *' muster.'* | *' ds='*) return 1 ;;
  esac
  [ ${#1} -le 2048 ]
}

is_persist_path() {
  case $1 in
    *[!A-Za-z0-9._/@+-]* | */../* | */.. | /usr/local | /usr/local/* | /oem | /oem/* | /) return 1 ;;
    /*) return 0 ;;
    *) return 1 ;;
  esac
}

# decode_field KEY FILE <the order's text: the one value of that key, out of base64. False where it is not there once.
decode_field() {
  sed -n "s/^$1=//p" >"$work/base64"
  [ "$(wc -l <"$work/base64")" -eq 1 ] && base64 -d <"$work/base64" >"$2" 2>/dev/null && [ -s "$2" ]
}
