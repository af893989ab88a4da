# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# Time and words: the log, and when each step is due. A step that fails is put off 1, 2, 4 ... 60 s; one that the server
# refuses for good, ten minutes. Times are milliseconds since boot, so that a clock set by NTP moves nothing.

NEVER=9000000000000000
STEPS='authority join renew beat config report events health order progress'
for step in $STEPS; do
  eval "${step}_at=\$NEVER"
done

# log LEVEL TEXT. systemd reads the level from the prefix; control characters of a server's answer never reach a terminal.
log() {
  prefix=
  if [ -n "${JOURNAL_STREAM:-}" ]; then
    case $1 in
      error) prefix='<3>' ;;
      warn) prefix='<4>' ;;
      *) prefix='<6>' ;;
    esac
  fi
  printf '%s%s: %s\n' "$prefix" "$1" "$(printf '%s' "$2" | tr -cd '[:print:]' | cut -c 1-400)"
}

# Sets now: milliseconds since boot. The 1 before the digits keeps 08 from being read as octal.
refresh_now() {
  read -r uptime rest </proc/uptime
  : "$rest"
  now=$((${uptime%.*} * 1000 + (1${uptime#*.} - 100) * 10))
}

# random_below LIMIT: sets random. 31 bits, so that the product with a duration stays inside 64.
random_below() {
  random=$(($(od -An -N4 -tu4 /dev/urandom) % 2147483648 * $1 / 2147483648))
}

# with_jitter MILLISECONDS: sets jittered to 75 to 125 % of it.
with_jitter() {
  random_below $(($1 / 2 + 1))
  jittered=$(($1 * 3 / 4 + random))
}

# schedule STEP AT: on its way again, failures forgotten.
schedule() {
  eval "$1_at=$2 $1_failures=0"
}

# hasten STEP: due now, if it waits for nothing else.
hasten() {
  if eval "[ \$$1_at -eq $NEVER ]"; then schedule "$1" 0; fi
}

is_due() {
  eval "[ \$now -ge \$$1_at ]"
}

# postpone STEP: after a failure; `outcome` and `retry_after_ms` are those of the request that failed.
postpone() {
  refresh_now
  eval "failures=\${$1_failures:-0}"
  delay=$first_delay_ms
  steps=$failures
  while [ "$steps" -gt 0 ] && [ "$delay" -lt "$longest_delay_ms" ]; do
    delay=$((delay * 2)) steps=$((steps - 1))
  done
  [ "$delay" -le "$longest_delay_ms" ] || delay=$longest_delay_ms
  with_jitter "$delay"
  floor=$retry_after_ms
  [ "$outcome" != refused ] || floor=$refused_delay_ms
  if [ "$jittered" -lt "$floor" ]; then
    random_below $((floor / 4 + 1))
    jittered=$((floor + random))
  fi
  eval "$1_at=$((now + jittered)) $1_failures=$((failures + 1))"
}

# Sleeps to the next step's time. The sleep is a child that is waited for, so that TERM is answered at once.
pause_until_due() {
  refresh_now
  next=$((now + 60000))
  for step in $STEPS; do
    eval "at=\$${step}_at"
    [ "$at" -ge "$next" ] || next=$at
  done
  pause_ms=$((next - now))
  [ "$pause_ms" -gt 0 ] || return 0
  fraction=$((1000 + pause_ms % 1000))
  sleep "$((pause_ms / 1000)).${fraction#1}" &
  child=$!
  wait "$child"
  child=
}
