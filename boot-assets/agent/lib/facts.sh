# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# What this machine is, read from /sys and /proc, as lines of name=value. Facts inform the server; nothing in them
# authorises. Builtins where they will do: the agent starts on machines that are busy booting.

# To be called in a subshell: it turns globbing on.
print_facts() {
  set +f
  read_first "$sys/class/dmi/id/product_uuid"
  printf 'uuid=%s\n' "$first" | tr '[:upper:]' '[:lower:]'
  for fact in serial:product_serial vendor:sys_vendor product:product_name; do
    read_first "$sys/class/dmi/id/${fact#*:}"
    printf '%s=%s\n' "${fact%%:*}" "$first"
  done
  if [ -d "$sys/firmware/efi" ]; then echo firmware=uefi; else echo firmware=bios; fi
  printf 'architecture=%s\ncpu_count=%s\n' "$(uname -m)" "$(nproc --all)"
  sed -n -e 's/^model name[[:space:]]*: */cpu=/p' /proc/cpuinfo | head -n 1
  read -r _ kibibytes _ </proc/meminfo
  printf 'memory_bytes=%s\n' "$((kibibytes * 1024))"
  print_mac_lines
  print_disk_lines
}

# read_first FILE: sets first to its first line, or to nothing.
read_first() {
  first=
  [ ! -r "$1" ] || IFS= read -r first <"$1" || :
}

# Cards that hang on a bus. Where there is none (containers, odd virtual hardware), every Ethernet device.
print_mac_lines() {
  macs=$(print_macs physical)
  [ -n "$macs" ] || macs=$(print_macs any)
  for mac in $macs; do
    printf 'mac=%s\n' "$mac"
  done
}

print_macs() {
  for card in "$sys"/class/net/*; do
    [ "$1" = any ] || [ -e "$card/device" ] || continue
    read_first "$card/type"
    [ "$first" = 1 ] || continue
    # Under a bond all cards show the address of the first.
    read_first "$card/bonding_slave/perm_hwaddr"
    [ -n "$first" ] || read_first "$card/address"
    case $first in
      00:00:00:00:00:00) ;;
      ??:??:??:??:??:??) printf '%s\n' "$first" ;;
    esac
  done
}

# name,sizeBytes,model; a size in /sys counts sectors of 512 bytes whatever the disk's own are.
print_disk_lines() {
  for disk in "$sys"/block/*; do
    name=${disk##*/}
    case $name in
      loop* | ram* | zram* | sr* | fd* | dm-* | md* | nbd*) continue ;;
    esac
    read_first "$disk/size"
    sectors=$first
    case $sectors in
      '' | 0 | *[!0-9]*) continue ;;
    esac
    read_first "$disk/device/model"
    printf 'disk=%s,%s,%s\n' "$name" "$((sectors * 512))" "$(printf '%s' "$first" | tr ',' ' ')"
  done
}
