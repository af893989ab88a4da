# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# The gate of a trial boot: an image stays only where the system is up, the server answered it, and every probe is content.
# Until then the watchdog runs and the boot loader counts. Who does not pass in time says why and goes back by himself.

probe_job='' gave_up_at=0

# Before the watchdog's time is over, so that the reason is written down and the other slot is chosen at once.
begin_trial() {
  [ "$slot_state" = trial ] || return 0
  trial_seconds=${trial_seconds:-600}
  margin=$((trial_seconds / 5))
  [ "$margin" -le 30 ] || margin=30
  trial_deadline=$(((trial_seconds - margin) * 1000))
  health_folder=$state/health
  rm -rf "$health_folder"
  mkdir -p "$health_folder"
  : >"$health_folder/counts"
  log info "on trial until $((trial_deadline / 1000)) s after the start"
  schedule health 0
}

step_health() {
  if [ "$gave_up_at" -gt 0 ]; then
    restart_now
    schedule health "$((now + 120000))"
    return
  fi
  ill=
  check_system
  check_answered
  check_probes
  if [ -z "$ill" ] && mark_good; then
    end_trial
  elif [ -n "$hopeless" ]; then
    give_up_trial "$hopeless"
  elif [ "$now" -ge "$trial_deadline" ]; then
    give_up_trial "not healthy within $((trial_deadline / 1000)) s: ${ill:-the boot entry cannot be made good ($reason)}"
  else
    schedule health "$((now + health_poll_ms))"
  fi
}

# fall_ill WHY: the first reason is the one that counts.
fall_ill() {
  ill=${ill:-$1}
}

check_system() {
  "$systemctl" is-system-running >"$work/system" 2>/dev/null </dev/null
  read_first "$work/system"
  case $first in
    running) ;;
    degraded)
      "$systemctl" list-units --state=failed --plain --no-legend --no-pager >"$work/failed" 2>/dev/null </dev/null
      units=
      while read -r unit rest; do
        : "$rest"
        case ",$ignored_units," in
          *",$unit,"*) ;;
          *) units="$units $unit" ;;
        esac
      done <"$work/failed"
      [ -z "$units" ] || fall_ill "units failed:$units"
      ;;
    *) fall_ill "the system is ${first:-silent}" ;;
  esac
}

# The answer to a heartbeat, not to the first question: that one names no image.
check_answered() {
  [ -n "$beat_answered" ] || fall_ill 'the server has not answered a heartbeat'
}

# Probes run while the rest is well, and what they say counts where it still is.
check_probes() {
  hopeless=
  if [ -z "$probe_job" ]; then
    [ -n "$ill" ] || start_probes
  elif [ ! -e "$health_folder/result" ] && is_alive "$probe_job"; then
    fall_ill "probe $(cat "$health_folder/current" 2>/dev/null) is at work"
  else
    probe_job=
    [ -e "$health_folder/result" ] || printf 'all ended without a word\n' >"$health_folder/result"
    count_failures
    [ ! -s "$health_folder/result" ] || fall_ill "probe $(head -n 1 "$health_folder/result")"
  fi
}

start_probes() {
  rm -f "$health_folder/result"
  setsid "$program" probe </dev/null &
  probe_job=$!
  fall_ill 'probes are at work'
}

# counts: a line for each time in a row that a probe failed; it may fail twice, things take time. Sets hopeless at the third.
count_failures() {
  : >"$health_folder/counts.new"
  while read -r name words; do
    failures=$(($(grep -c -x -F -e "$name" "$health_folder/counts") + 1))
    [ "$failures" -lt 3 ] || hopeless="probe $name failed three times: $words"
    while [ "$failures" -gt 0 ]; do
      printf '%s\n' "$name" >>"$health_folder/counts.new"
      failures=$((failures - 1))
    done
  done <"$health_folder/result"
  mv "$health_folder/counts.new" "$health_folder/counts"
}

# `muster-agent probe`: NAME WORDS for each that is not content; its last line of output is the reason.
run_probes() {
  health_folder=$state/health
  : >"$health_folder/result.new"
  for folder in $probe_folders; do
    for probe in $(print_paths "$folder/*"); do
      if [ ! -f "$probe" ] || [ ! -x "$probe" ]; then continue; fi
      name=${probe##*/}
      printf '%s\n' "$name" >"$health_folder/current"
      timeout -k 5 "$probe_seconds" "$probe" >"$health_folder/output" 2>&1 </dev/null && continue
      status=$?
      words=$(tail -n 1 "$health_folder/output" | tr -cd '[:print:]' | cut -c 1-200)
      [ "$status" -ne 124 ] || words="took more than $probe_seconds s"
      printf '%s %s\n' "$name" "${words:-exit status $status}" >>"$health_folder/result.new"
    done
  done
  mv "$health_folder/result.new" "$health_folder/result"
}

end_trial() {
  printf '%s\n' "$boot_id" >"$state/blessed"
  disarm_watchdog
  slot_state=good stage=''
  rm -f "$state/pending" "$oem/muster/last-fallback"
  [ -z "$told_id" ] || remember_order "$told_id" 'done'
  told_id='' told_phase=''
  report_trouble info "healthy: $running_image stays"
  schedule health "$NEVER"
  schedule beat 0
}

# The magic character ends it (Documentation/watchdog/watchdog-api.rst of the kernel).
disarm_watchdog() {
  read_first "$run/watchdog"
  device=${watchdog_device:-$first}
  [ -n "$device" ] && [ -e "$device" ] || return 0
  { printf V >"$device"; } 2>/dev/null || report_trouble error 'the watchdog cannot be disarmed: this machine will restart'
}

give_up_trial() {
  end_probes
  {
    printf 'image=%s\nreason=%s\n' "$running_image" "$(printf '%s' "$1" | tr -cd '[:print:]' | cut -c 1-300)"
  } >"$oem/muster/last-fallback.new" && mv "$oem/muster/last-fallback.new" "$oem/muster/last-fallback"
  report_trouble error "given up, back to the other slot: $1"
  mark_bad || log error "the boot entry cannot be given up ($reason): its tries will run out"
  refresh_now
  gave_up_at=$now
  restart_now
  schedule health "$((now + 120000))"
}

end_probes() {
  [ -n "$probe_job" ] || return 0
  kill -s TERM -- "-$probe_job" 2>/dev/null
  wait "$probe_job" 2>/dev/null
  probe_job=
}
