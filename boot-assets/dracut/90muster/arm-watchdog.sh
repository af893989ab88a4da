#!/bin/sh
# Arms the kernel's software watchdog for a boot that is on trial (muster.watchdog=SECONDS on the kernel command line) and lets
# nobody pet it: a system that does not prove healthy in that time is restarted, wherever it hangs. The agent disarms it by the
# magic character (Documentation/watchdog/watchdog-api.rst of the kernel); until then closing the device changes nothing.
set -u

cmdline=${MUSTER_CMDLINE:-/proc/cmdline}
device=${MUSTER_WATCHDOG:-/dev/watchdog}
run=${MUSTER_RUN:-/run/muster}

seconds=$(tr ' ' '\n' <"$cmdline" | sed -n 's/^muster\.watchdog=\([0-9][0-9]*\)$/\1/p' | head -n 1)
[ -n "$seconds" ] || exit 0

${MUSTER_MODPROBE:-modprobe} softdog "soft_margin=$seconds" nowayout=0 || {
  echo 'muster: this initrd has no softdog: a hang will not be noticed' >&2
  exit 0
}
left=50
while [ ! -e "$device" ] && [ "$left" -gt 0 ]; do
  left=$((left - 1))
  sleep 0.1
done
mkdir -p "$run"
if { printf x >"$device"; } 2>/dev/null; then
  printf '%s\n' "$device" >"$run/watchdog"
  echo "muster: watchdog armed, $seconds s to prove healthy"
else
  echo "muster: cannot open $device: a hang will not be noticed" >&2
fi
