# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# The life of a member: heartbeats, the configuration it should have, the report of what became of it, and its troubles.

wanted_digest='' pulled_digest='' heartbeat_ms=30000 introduced='' report_deadline=0 last_trouble='' beat_answered=''

# The first word is a question (desired), all others are heartbeats; the answers are the same.
step_beat() {
  if [ -z "$introduced" ]; then
    fetch_as_member /api/v1/agent/desired
  else
    read -r load rest </proc/loadavg
    : "$rest"
    {
      print_boot_fields
      print_order_fields
    } | to_form >"$work/beat"
    fetch_as_member /api/v1/agent/heartbeat --data "uptime_seconds=$((now / 1000))" --data "load=$load" \
      --data "boot_id=$boot_id" --config "$work/beat"
  fi
  if [ "$outcome" != ok ]; then
    if ! rejoin_if_unauthorised beat; then
      log warn "no heartbeat: $reason"
      postpone beat
    fi
    return
  fi
  beat_answered=$introduced introduced=yes
  take_desired
  refresh_now
  with_jitter "$heartbeat_ms"
  schedule beat "$((now + jittered))"
  [ "$wanted_digest" = "$pulled_digest" ] || hasten config
  [ ! -s "$work/troubles" ] || hasten events
  consider_order
}

take_desired() {
  : >"$work/check-files"
  named_order=
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      heartbeat_seconds=[1-9] | heartbeat_seconds=[1-9][0-9] | heartbeat_seconds=[1-9][0-9][0-9])
        heartbeat_ms=$((${line#*=} * 1000))
        ;;
      config_digest=*) wanted_digest=${line#*=} ;;
      order_id=*) if is_order_id "${line#*=}"; then named_order=${line#*=}; fi ;;
      hostname=*[!A-Za-z0-9.-]*) ;;
      hostname=?*) keep_hostname "${line#*=}" ;;
      check_file=/*) printf '%s\n' "${line#*=}" >>"$work/check-files" ;;
    esac
  done <"$work/body"
}

keep_hostname() {
  read_first "$state/hostname"
  [ "$first" = "$1" ] || printf '%s\n' "$1" >"$state/hostname"
}

step_config() {
  fetch_as_member /api/v1/agent/config
  if [ "$outcome" != ok ]; then
    if ! rejoin_if_unauthorised config; then
      report_trouble warn "cannot pull the configuration: $reason"
      postpone config
    fi
    return
  fi
  read_header x-muster-config-digest
  mv "$work/body" "$state/config"
  [ -z "$pulled_digest" ] ||
    report_trouble info 'the configuration of this machine changed: it is applied when the machine boots again'
  # Compared from now on is what was wanted; reported, what came.
  pulled_digest=$wanted_digest
  config_digest=${header:-$wanted_digest}
  log info "pulled configuration $config_digest"
  refresh_seed
  schedule config "$NEVER"
  refresh_now
  report_deadline=$((now + cloud_init_patience_ms))
  schedule report 0
}

step_report() {
  if ! is_cloud_init_finished && [ "$now" -lt "$report_deadline" ]; then
    schedule report "$((now + cloud_init_poll_ms))"
    return
  fi
  {
    printf 'cloud_init=%s\ncloud_init_detail=%s\n' "$cloud_init_word" "$cloud_init_detail"
    printf 'config_digest=%s\nhostname=%s\n' "$(applied_digest)" "$(uname -n)"
    print_file_lines
  } | to_form >"$work/report"
  fetch_as_member /api/v1/agent/report --config "$work/report"
  if [ "$outcome" != ok ]; then
    if ! rejoin_if_unauthorised report; then
      report_trouble warn "the server does not take the report: $reason"
      postpone report
    fi
    return
  fi
  log info "reported: cloud-init $cloud_init_word, server says $(head -n 1 "$work/body")"
  [ "$cloud_init_word" != error ] || report_trouble error "cloud-init ended with errors: $cloud_init_detail"
  if is_final "$cloud_init_word"; then
    schedule report "$NEVER"
  else
    # Reported as unfinished; the end is reported when it comes.
    refresh_now
    report_deadline=$((now + cloud_init_patience_ms))
    schedule report "$((now + cloud_init_poll_ms))"
  fi
}

# Sets cloud_init_word and cloud_init_detail. The command starts a Python, so its files are looked at first; and they are
# waited for, since `cloud-init status` says error as soon as one stage had one, with others still at work.
is_cloud_init_finished() {
  cloud_init_word=running cloud_init_detail=''
  if ! command -v "$cloud_init" >/dev/null; then
    cloud_init_word=disabled cloud_init_detail='cloud-init is not installed'
    return 0
  fi
  if [ -d "$cloud_init_run" ] && [ ! -e "$cloud_init_run/result.json" ] && [ ! -e "$cloud_init_run/disabled" ]; then
    return 1
  fi
  "$cloud_init" status --long >"$work/cloud-init" 2>/dev/null </dev/null
  cloud_init_word=$(sed -n 's/^status: *//p' "$work/cloud-init" | head -n 1)
  # The path of the seed holds a secret of this boot.
  cloud_init_detail=$(grep -v -E '^(status|boot_status_code|last_update|extended_status):' "$work/cloud-init" |
    sed -e 's/^detail: *//' -e '/^$/d' -e 's#/boot/[^/]*/#/boot/.../#g' | tr -s '\n' ' ')
  is_final "$cloud_init_word"
}

# What cloud-init worked on, which is older than what was pulled where the configuration changed since this boot.
applied_digest() {
  if [ -s "$cloud_init_data" ]; then
    printf 'sha256:%s' "$(sha256sum <"$cloud_init_data" | cut -c 1-64)"
  else
    printf '%s' "$config_digest"
  fi
}

is_final() {
  case $1 in
    done | error | degraded | disabled) return 0 ;;
  esac
  return 1
}

print_file_lines() {
  while IFS= read -r checked; do
    if [ -f "$checked" ] && sum=$(sha256sum <"$checked" 2>/dev/null); then
      printf 'file=%s %s\n' "${sum%% *}" "$checked"
    else
      printf 'file=missing %s\n' "$checked"
    fi
  done <"$work/check-files"
}

# report_trouble LEVEL TEXT: to the log now, and to the server as soon as there is a certificate to say it with.
report_trouble() {
  log "$1" "$2"
  [ "$2" != "$last_trouble" ] || return 0
  last_trouble=$2
  printf '%s %s\n' "$1" "$(printf '%s' "$2" | tr -cd '[:print:]' | cut -c 1-400)" >>"$work/troubles"
  tail -n 20 "$work/troubles" >"$work/troubles.new" && mv "$work/troubles.new" "$work/troubles"
  hasten events
}

# One a round. Nothing that goes wrong here is a trouble of its own.
step_events() {
  if [ ! -s "$state/machine.pem" ] || ! read -r level message 2>/dev/null <"$work/troubles"; then
    schedule events "$NEVER"
    return
  fi
  printf 'level=%s\nmessage=%s\n' "$level" "$message" | to_form >"$work/event"
  fetch_as_member /api/v1/agent/event --config "$work/event"
  if [ "$outcome" = retry ]; then
    postpone events
    return
  fi
  sed -i 1d "$work/troubles"
  schedule events 0
}
