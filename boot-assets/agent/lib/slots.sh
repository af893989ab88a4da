# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# The two slots: which there are, what is in them, and how an image comes into one. What is written is read back from the
# disk and compared with its digest; what was fetched before a power cut is not fetched again.

CHUNK_MEBIBYTES=16
fetch_attempts=${MUSTER_FETCH_ATTEMPTS:-12}
fetch_pause_seconds=${MUSTER_FETCH_PAUSE_SECONDS:-5}

# passive_slot: sets passive to the slot that this machine does not run from.
passive_slot() {
  case $boot_slot in
    A) passive=B ;;
    B) passive=A ;;
    *) give_up failed 'this machine does not run from a slot' ;;
  esac
}

# read_slot SLOT: sets slot_image, slot_boot, slot_version and slot_since, to nothing where nothing whole is in it.
read_slot() {
  slot_image='' slot_boot='' slot_version='' slot_since=''
  [ -r "$oem/muster/slots" ] || return 0
  while read -r slot_name image boot version since; do
    [ "$slot_name" != "$1" ] || slot_image=$image slot_boot=$boot slot_version=$version slot_since=$since
  done <"$oem/muster/slots"
}

# note_slot SLOT: it holds the order's image. forget_slot SLOT: nobody knows what it holds.
note_slot() {
  {
    print_other_slots "$1"
    printf '%s %s %s %s %s\n' "$1" "$order_image" "$order_boot" "${order_version:--}" "$(date +%s)"
  } | replace_file "$oem/muster/slots"
}

forget_slot() {
  print_other_slots "$1" | replace_file "$oem/muster/slots"
}

print_other_slots() {
  [ ! -r "$oem/muster/slots" ] || grep -v "^$1 " "$oem/muster/slots"
}

# write_slot SLOT: the order's image comes into it. Nothing starts from it before mark_trial, and nothing of what this
# machine runs from is touched.
write_slot() {
  [ "$1" != "$boot_slot" ] || give_up failed "slot $1 is the one that this machine runs from" || return
  [ -z "$boot_slot" ] || ! is_on_trial "$boot_slot" || give_up retry 'what this machine runs is on trial itself' || return
  find_partition "MUSTER_$1" || return
  slot_device=$partition
  slot_size=$(blockdev --getsize64 "$slot_device") || give_up failed "cannot read the size of slot $1" || return
  [ "$squashfs_bytes" -le "$slot_size" ] ||
    give_up refused "the image has $squashfs_bytes bytes, slot $1 has $slot_size" || return
  remove_entry "$1" && forget_slot "$1" || return
  fetched_before=0
  progress_file=$oem/muster/progress
  fetch_part "$squashfs_digest" "$squashfs_bytes" "$slot_device" && note_slot "$1"
}

# install_boot_files: kernel and initrd of the order, in a folder that is theirs alone.
install_boot_files() {
  boot_files=$boot_folder/muster/$(print_boot_name "$order_boot")
  remove_unnamed_folders
  mkdir -p "$boot_files" || give_up failed "cannot make $boot_files" || return
  fetched_before=$squashfs_bytes
  install_boot_file linux "$kernel_digest" "$kernel_bytes" || return
  fetched_before=$((squashfs_bytes + kernel_bytes))
  install_boot_file initrd "$initrd_digest" "$initrd_bytes"
}

# The first 16 digits of a boot manifest's digest: FAT and GRUB like short names.
print_boot_name() {
  printf '%s' "${1#sha256:}" | cut -c 1-16
}

# install_boot_file NAME DIGEST BYTES. One that is there already and right stays: an entry may name it.
install_boot_file() {
  if [ -f "$boot_files/$1" ] && is_intact "$2" "$3" "$boot_files/$1"; then return 0; fi
  progress_file=
  rm -f "$boot_files/.$1.new"
  free=$(df -P -k "$boot_folder" | sed -n '2s/^[^ ]* *[0-9]* *[0-9]* *\([0-9]*\) .*/\1/p')
  [ "$(($3 / 1024))" -lt "${free:-0}" ] ||
    give_up failed "$1 has $3 bytes, the boot partition has $((${free:-0} * 1024)) left" || return
  fetch_part "$2" "$3" "$boot_files/.$1.new" || return
  if mv "$boot_files/.$1.new" "$boot_files/$1" && sync; then return; fi
  give_up failed "cannot write $boot_files/$1"
}

# What no entry names would fill the boot partition.
remove_unnamed_folders() {
  print_named_folders >"$work/named"
  for folder in $(print_paths "$boot_folder/muster/*"); do
    [ "$folder" = "$boot_files" ] || grep -q -x -F "${folder##*/}" "$work/named" || rm -rf "$folder"
  done
  sync
}

# fetch_part DIGEST BYTES TARGET: a device or a file. Wrong bytes are fetched once more, as somebody on the way, or the
# disk, may have had a bad moment.
fetch_part() {
  for attempt in first second; do
    fetch_whole "$@" || return
    tell_progress verifying "$((fetched_before + $2))" "$((squashfs_bytes + kernel_bytes + initrd_bytes))"
    if is_intact "$@"; then return 0; fi
    log warn "what was written to $3 is not $1 ($attempt time)"
    [ -z "$progress_file" ] || rm -f "$progress_file"
  done
  give_up failed "what $3 gives back is not $1: the disk is bad, or the server's copy"
}

# is_intact DIGEST BYTES FILE
is_intact() {
  forget_cached
  [ "sha256:$(head -c "$2" "$3" | sha256sum | cut -c 1-64)" = "$1" ]
}

fetch_whole() {
  part_done=0 attempts=0
  [ -z "$progress_file" ] || read_progress "$@"
  while [ "$part_done" -lt "$2" ]; do
    part_length=$(($2 - part_done))
    [ "$part_length" -le $((CHUNK_MEBIBYTES * 1048576)) ] || part_length=$((CHUNK_MEBIBYTES * 1048576))
    tell_progress downloading "$((fetched_before + part_done))" "$((squashfs_bytes + kernel_bytes + initrd_bytes))"
    if fetch_chunk "$1" "$3"; then
      part_done=$((part_done + part_length)) attempts=0
      [ -z "$progress_file" ] || note_progress "$1 $3 $part_done" || return
    else
      attempts=$((attempts + 1))
      [ "$outcome" = retry ] && [ "$attempts" -lt "$fetch_attempts" ] || return 1
      log warn "download of $1 stopped at $part_done bytes: $reason"
      sleep "$((fetch_pause_seconds * attempts))"
    fi
  done
}

# Counted are chunks that the disk confirmed. Should the count be wrong all the same, the digest tells.
read_progress() {
  [ -r "$progress_file" ] && read -r digest target bytes <"$progress_file" || return 0
  case $bytes in
    '' | *[!0-9]*) return 0 ;;
  esac
  [ "$digest $target" != "$1 $3" ] || [ "$bytes" -gt "$2" ] || part_done=$bytes
}

# Not synced: a count that is lost costs a chunk.
note_progress() {
  if printf '%s\n' "$1" >"$progress_file.new" && mv "$progress_file.new" "$progress_file"; then return; fi
  give_up failed "cannot write $progress_file"
}

# fetch_chunk DIGEST TARGET: part_length bytes at part_done. --max-filesize: from a server or proxy that ignores the range,
# nothing is taken but a part that is asked for as a whole.
fetch_chunk() {
  {
    curl -q --silent --show-error --fail --globoff --noproxy '*' --proto '=http,https' --connect-timeout "$connect_seconds" \
      --speed-limit 1 --speed-time 60 --limit-rate "${order_rate_bytes:-0}" --max-filesize "$part_length" \
      --cacert "$state/ca.pem" --range "$part_done-$((part_done + part_length - 1))" \
      --write-out '%{stderr}%{size_download}\n' "$order_artifacts_url/artifacts/$1" 2>"$work/error" </dev/null
    echo $? >"$work/curl-status"
  } | dd of="$2" bs=1M seek="$((part_done / 1048576))" iflag=fullblock conv=notrunc,fsync 2>"$work/said" ||
    give_up failed "cannot write to $2: $(head -n 1 "$work/said")" || return
  read -r curl_status <"$work/curl-status"
  if [ "$curl_status" -eq 0 ] && [ "$(tail -n 1 "$work/error")" = "$part_length" ]; then return; fi
  give_up retry "$(head -n 1 "$work/error" | cut -c 1-200)"
}
