# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# What the server orders: installations, upgrades, restarts. The loop only watches: a worker (order-work.sh) checks and writes,
# and the machine restarts when the window for it is open. Ended orders are remembered, or they would be begun again.

# stage: nothing · working · waiting (for the window) · rebooting · trial (until health.sh says which way it went).
named_order='' stage='' worker='' order_asked_at=0 must_ask='' rebooted_at=0 server_offset=''
told_id='' told_phase='' told_done='' told_total='' told_reason='' told_at=0

print_order_fields() {
  printf 'order_id=%s\norder_phase=%s\norder_done_bytes=%s\n' "$told_id" "$told_phase" "$told_done"
  printf 'order_total_bytes=%s\norder_reason=%s\n' "$told_total" "$told_reason"
}

# After each answer of the server: does it want something else than what is being done?
consider_order() {
  case $stage in
    '')
      # How the last one ended is told at least once.
      if [ "$told_id" != "$named_order" ] && [ "$progress_at" -eq "$NEVER" ]; then forget_told; fi
      # Not while it is open which slot stays, and not before the configuration is here: an installation takes it along.
      [ -z "$named_order" ] || [ "$slot_state" = trial ] || [ "$config_at" -ne "$NEVER" ] || is_ended "$named_order" || ask_soon
      ;;
    working | waiting) [ "$named_order" = "$told_id" ] || ask_soon ;;
  esac
}

ask_soon() {
  must_ask=yes
  [ -z "$stage" ] || schedule order 0
  hasten order
}

step_order() {
  if [ -n "$must_ask" ] || { is_under_way && [ "$((now - order_asked_at))" -ge "$order_refresh_ms" ]; }; then
    ask_for_order || return 0
  fi
  case $stage in
    working) watch_worker ;;
    rebooting) [ "$((now - rebooted_at))" -lt 120000 ] || restart_now ;;
  esac
  [ "$stage" != waiting ] || start_when_due
  refresh_now
  if [ -z "$stage" ] || [ "$stage" = trial ]; then
    schedule order "$NEVER"
  else
    schedule order "$((now + order_poll_ms))"
  fi
}

is_under_way() {
  [ "$stage" = working ] || [ "$stage" = waiting ]
}

# False where the step has been put off. A server that is not there stops nothing that has begun.
ask_for_order() {
  must_ask=
  fetch_as_member /api/v1/agent/order
  refresh_now
  order_asked_at=$now
  if [ "$outcome" = ok ]; then
    read_header date
    server_offset=$(date -u -d "$header" +%s 2>/dev/null) && server_offset=$((server_offset - now / 1000)) || server_offset=
    mv "$work/body" "$work/order"
    take_order
  elif [ "$http_status" = 404 ]; then
    ! is_under_way || cancel_order 'the server took the order back'
  elif is_under_way; then
    log warn "cannot ask for the order again: $reason"
  elif ! rejoin_if_unauthorised order; then
    log warn "cannot fetch the order: $reason"
    must_ask=yes
    postpone order
    return 1
  fi
}

# $work/order is what the server wants now. The variables order_* are those of the order under way afterwards.
take_order() {
  if ! parse_order "$work/order"; then
    refused_because=$reason
    if is_under_way; then
      log warn "what the server says of the order is not understood: $refused_because"
      parse_order "$order_folder/text"
    else
      order_id=${order_id:-$named_order}
      end_order refused "$refused_because"
    fi
    return
  fi
  if is_under_way; then
    if [ "$order_id $order_kind $order_boot" = "$told_id $begun_kind $begun_boot" ]; then
      cp "$work/order" "$order_folder/text"
      return
    fi
    fresh_order=$order_id
    cancel_order "another order took its place ($order_kind $fresh_order)"
  fi
  [ "$order_kind" != cancel ] || return 0
  ! is_ended "$order_id" || return 0
  begin_order
}

begin_order() {
  case $order_kind$boot_source in
    installdisk) end_order refused 'this machine runs from its disk: it is installed' ;;
    upgradenetwork) end_order refused 'this machine runs from the network: it has no slots' ;;
    *)
      rm -rf "$order_folder"
      mkdir -p "$order_folder"
      cp "$work/order" "$order_folder/text"
      begun_kind=$order_kind begun_boot=$order_boot stage=waiting
      tell "$order_id" checking '' '' ''
      [ "$order_kind" = reboot ] || start_worker
      ;;
  esac
}

# A session of its own, hence a process group that can be ended as a whole.
start_worker() {
  report_trouble info "order $order_id: $order_kind of $order_image begins"
  stage=working failed_image='' failed_reason=''
  setsid "$program" work </dev/null &
  worker=$!
}

watch_worker() {
  if [ -r "$order_folder/progress" ] && read -r phase done_bytes total_bytes <"$order_folder/progress"; then
    tell "$told_id" "$phase" "$done_bytes" "$total_bytes" ''
  fi
  if [ -r "$order_folder/outcome" ]; then
    read -r outcome reason <"$order_folder/outcome"
  elif is_alive "$worker"; then
    return
  else
    outcome=failed reason='the work on the order ended without a word'
  fi
  worker=
  if [ "$outcome" != ready ]; then
    end_order "$outcome" "$reason"
  elif [ "$order_kind" = install ]; then
    report_trouble info "order $told_id: installed"
    tell "$told_id" installed "$told_total" "$told_total" ''
    restart_into_order
  else
    report_trouble info "order $told_id: $order_image is written and verified"
    stage=waiting
  fi
}

# A zombie is not alive, and `kill -0` would say that it is.
is_alive() {
  read -r _ _ process_state _ 2>/dev/null <"/proc/$1/stat" || return 1
  [ "$process_state" != Z ]
}

# By the server's clock, where it told us the time; its windows are meant.
start_when_due() {
  clock=$(date +%s)
  [ -z "$server_offset" ] || clock=$((server_offset + now / 1000))
  if [ -n "$order_not_before" ] && [ "$clock" -lt "$order_not_before" ]; then
    tell "$told_id" "$told_phase" "$told_done" "$told_total" "waits until $(date -u -d "@$order_not_before" +%Y-%m-%dT%H:%M:%SZ)"
    return
  fi
  if [ -n "$order_not_after" ] && [ "$clock" -gt "$order_not_after" ]; then
    tell "$told_id" "$told_phase" "$told_done" "$told_total" 'its window has passed: waits for the next one'
    return
  fi
  if [ "$order_kind" = upgrade ]; then
    if ! passive_slot || ! mark_trial "$passive"; then
      end_order failed "$reason"
      return
    fi
  fi
  tell "$told_id" rebooting "$told_done" "$told_total" ''
  restart_into_order
}

# Remembered across the restart: what it was for.
restart_into_order() {
  stage=rebooting
  {
    printf 'id=%s\nkind=%s\nimage=%s\nboot_id=%s\n' "$told_id" "$order_kind" "$order_image" "$boot_id"
    printf 'trial_seconds=%s\nignore_units=%s\n' "$order_trial_seconds" "$order_ignore_units"
  } >"$state/pending.new" && mv "$state/pending.new" "$state/pending"
  send_progress --max-time 10
  restart_now
}

restart_now() {
  refresh_now
  rebooted_at=$now
  log info 'restarts'
  restart_machine || report_trouble error 'the machine cannot be restarted'
}

# cancel_order WHY: before mark_trial nothing that was written can be started, so nothing has to be undone.
cancel_order() {
  log info "order $told_id given up: $1"
  end_worker
  stage=
  forget_told
  rm -rf "$order_folder"
}

forget_told() {
  told_id='' told_phase='' told_done='' told_total='' told_reason=''
}

end_worker() {
  [ -n "$worker" ] || return 0
  kill -s TERM -- "-$worker" 2>/dev/null
  wait "$worker" 2>/dev/null
  worker=
}

# end_order refused|failed REASON
end_order() {
  stage=
  remember_order "$order_id" "$1"
  report_trouble error "order $order_id $1: $2"
  tell "$order_id" "$1" "$told_done" "$told_total" "$2"
}

# remember_order ID done|refused|failed
remember_order() {
  refresh_now
  printf '%s %s %s %s\n' "$1" "$2" "$boot_id" "$now" >>"$state/orders"
  tail -n 20 "$state/orders" >"$state/orders.new" && mv "$state/orders.new" "$state/orders"
}

# is_ended ID: a failure is tried again later, or after a restart; all else is not.
is_ended() {
  [ -r "$state/orders" ] || return 1
  # shellcheck disable=SC2046 # the words of the line
  set -- $(grep -e "^$1 " "$state/orders" | tail -n 1)
  case ${2:-} in
    '') return 1 ;;
    failed) [ "$3" = "$boot_id" ] && [ "$((now - $4))" -lt "$failed_order_ms" ] ;;
  esac
}

# tell ID PHASE DONE TOTAL REASON: at once where the phase is another, else every ten seconds while bytes move.
tell() {
  if [ "$1 $2 $5" != "$told_id $told_phase $told_reason" ]; then
    schedule progress 0
  elif [ "$3" != "$told_done" ] && [ "$progress_at" -eq "$NEVER" ]; then
    schedule progress "$((told_at + progress_ms))"
  fi
  told_id=$1 told_phase=$2 told_done=$3 told_total=$4 told_reason=$5
}

step_progress() {
  schedule progress "$NEVER"
  [ -n "$told_id" ] || return 0
  if [ -z "$introduced" ]; then
    schedule progress "$((now + order_poll_ms))"
    return
  fi
  send_progress
  told_at=$now
  [ "$outcome" != retry ] || postpone progress
}

# send_progress [curl argument...]
send_progress() {
  {
    printf 'order_id=%s\nphase=%s\ndone_bytes=%s\n' "$told_id" "$told_phase" "$told_done"
    printf 'total_bytes=%s\nreason=%s\n' "$told_total" "$told_reason"
  } | to_form >"$work/progress"
  fetch_as_member /api/v1/agent/progress --config "$work/progress" "$@"
}

# At the start: what became of the order that this machine restarted for.
settle_pending() {
  trial_seconds=$watchdog_seconds ignored_units=''
  [ -r "$state/pending" ] || return 0
  told_id='' order_kind='' order_image='' pending_boot=''
  while IFS= read -r line; do
    case $line in
      id=*) told_id=${line#*=} ;;
      kind=*) order_kind=${line#*=} ;;
      image=*) order_image=${line#*=} ;;
      boot_id=*) pending_boot=${line#*=} ;;
      trial_seconds=*) trial_seconds=${watchdog_seconds:-${line#*=}} ;;
      ignore_units=*) ignored_units=${line#*=} ;;
    esac
  done <"$state/pending"
  order_id=$told_id
  if [ "$pending_boot" = "$boot_id" ]; then
    stage=rebooting told_phase=rebooting
    schedule order 0
  elif [ "$slot_state" = trial ] && [ "$running_image" = "$order_image" ]; then
    stage=trial
    tell "$told_id" trial '' '' ''
  elif [ "$order_kind" = upgrade ] && [ "$running_image" != "$order_image" ]; then
    rm -f "$state/pending"
    # Not to be tried again: `refused` in the memory, a failure to the server.
    remember_order "$told_id" refused
    tell "$told_id" failed '' '' "${failed_reason:-the machine came up with the image that it had before}"
  else
    rm -f "$state/pending"
    remember_order "$told_id" 'done'
    told_id=
  fi
}
