# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# What takes long of an order, in a process of its own (`muster-agent work`) and a process group of its own, so that heartbeats
# go on and a cancel ends all of it. It speaks to the loop by two files: progress, and at its end, outcome.

# Ends with an outcome of one line: ready, refused or failed, and the reason.
work_on_order() {
  work=$order_folder/work
  mkdir -p "$work"
  outcome=failed reason=''
  if prepare_order && "do_$order_kind"; then
    outcome=ready reason=''
  fi
  case $outcome in
    ready | refused) ;;
    *) outcome=failed ;;
  esac
  printf '%s %s\n' "$outcome" "$reason" >"$order_folder/outcome.new" &&
    mv "$order_folder/outcome.new" "$order_folder/outcome"
}

# tell_progress PHASE DONE_BYTES TOTAL_BYTES
tell_progress() {
  printf '%s %s %s\n' "$1" "$2" "$3" >"$order_folder/progress.new" &&
    mv "$order_folder/progress.new" "$order_folder/progress"
}

# Everything that can be refused is, before a byte is fetched.
prepare_order() {
  outcome=refused
  tell_progress checking 0 0
  parse_order "$order_folder/text" && check_documents || return 1
  : >"$order_folder/persist"
  sed -n 's/^persist=//p' "$order_folder/text" >"$order_folder/persist"
  if [ "$order_kind" = install ]; then
    # Trust on first use: who serves the installation, behind the pinned TLS, says whom this machine trusts from now on.
    keep_keys release && keep_keys operator || return 1
    [ "$order_trust_unsigned" != yes ] || : >"$order_folder/trust/unsigned-allowed"
    [ -z "$(print_paths "$order_folder/trust/release/*.pub")" ] || check_release "$order_folder/trust" || return 1
  else
    check_release "$oem/muster/trust" && check_rollout "$oem/muster/trust" && check_version || return 1
  fi
  # From here on what was signed counts, not what the order says of it.
  order_version=${new_version:--}
  outcome=failed reason=
}

# keep_keys release|operator: the order's keys as files.
keep_keys() {
  mkdir -p "$order_folder/trust/$1"
  sed -n "s/^trust_$1_base64=//p" "$order_folder/text" >"$work/keys"
  number=0
  while read -r key; do
    number=$((number + 1))
    if ! printf '%s\n' "$key" | base64 -d >"$order_folder/trust/$1/$number.pub" 2>/dev/null ||
      ! openssl pkey -pubin -in "$order_folder/trust/$1/$number.pub" -noout 2>/dev/null; then
      reason="a $1 key in the order is no public key"
      return 1
    fi
  done <"$work/keys"
}

do_install() {
  install_to_disk
}

do_upgrade() {
  # What is known of the last attempt is of no use any more: the slot is written anew.
  rm -f "$oem/muster/last-fallback"
  passive_slot && write_slot "$passive" && install_boot_files
}
