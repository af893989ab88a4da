# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# Whether this machine may take an image: the release key signed it, the operator key approved the rollout, and it is not
# older than what runs. Nothing in here trusts the server. All checks set `reason`; all files lie in $order_folder.

# The payload as cosign and Muster write it (SIGNATURE_SPEC.md of cosign): a free text that looks like this cannot stand
# before it, since the text must begin so.
PAYLOAD_PATTERN='^{"critical":{"identity":{"docker-reference":"\([^"\\]*\)"},"image":{"docker-manifest-digest":"\(sha256:[0-9a-f]*\)"},"type":"cosign container image signature"}'

# is_signed KEYS PAYLOAD SIGNATURE: by any of the keys in that folder.
is_signed() {
  for key in $(print_paths "$1/*.pub"); do
    openssl dgst -sha256 -verify "$key" -signature "$3" "$2" >/dev/null 2>&1 && return
  done
  return 1
}

# may_go_unchecked KEYS WHOSE TRUST: true where the machine was installed without such a key and with leave to do without.
may_go_unchecked() {
  [ -z "$(print_paths "$1/*.pub")" ] || return 1
  if [ -e "$3/unsigned-allowed" ]; then
    log warn "no $2 key is on this machine: not checked"
    return 0
  fi
  reason="no $2 key is on this machine, and it was not installed to do without"
  return 1
}

# check_release TRUST: a release key signed the boot manifest of this order, for this repository.
check_release() {
  reason=
  ! may_go_unchecked "$1/release" release "$1" || return 0
  [ -z "$reason" ] || return 1
  reason='no release key has signed this image'
  for suffix in '' _1 _2 _3; do
    if decode_field "release_payload_base64$suffix" "$order_folder/payload" <"$order_folder/text" &&
      decode_field "release_signature_base64$suffix" "$order_folder/signature" <"$order_folder/text" &&
      is_signed "$1/release" "$order_folder/payload" "$order_folder/signature" && names_this_image; then
      return
    fi
  done
  return 1
}

names_this_image() {
  reference=$(sed -n "s/$PAYLOAD_PATTERN.*/\\1/p" "$order_folder/payload")
  signed=$(sed -n "s/$PAYLOAD_PATTERN.*/\\2/p" "$order_folder/payload")
  if [ "$signed" != "$order_boot" ]; then
    reason='the release key has signed another image'
    return 1
  fi
  # Without registry, tag and digest: images travel.
  reference=${reference%%@*}
  case ${reference##*/} in
    *:*) reference=${reference%:*} ;;
  esac
  case ${reference%%/*} in
    "$reference") ;;
    *[.:]* | localhost) reference=${reference#*/} ;;
  esac
  [ "$reference" = "$order_repository" ] && return
  reason="the release key has signed it for another repository ($reference)"
  return 1
}

# check_rollout TRUST: an operator key signed this image for these machines, and the time for it has not passed.
check_rollout() {
  reason=
  allows_downgrade=no
  ! may_go_unchecked "$1/operator" operator "$1" || return 0
  [ -z "$reason" ] || return 1
  if ! decode_field rollout_base64 "$order_folder/rollout" <"$order_folder/text" ||
    ! decode_field rollout_signature_base64 "$order_folder/signature" <"$order_folder/text"; then
    reason='no operator has signed this rollout'
    return 1
  fi
  if ! is_signed "$1/operator" "$order_folder/rollout" "$order_folder/signature"; then
    reason='no operator that this machine knows has signed this rollout'
    return 1
  fi
  if ! read_rollout; then
    reason="the operator's document has another form than this agent knows"
    return 1
  fi
  if [ "$signed_image" != "$order_image" ] || [ "$signed_boot" != "$order_boot" ] ||
    [ "$signed_repository" != "$order_repository" ]; then
    reason='the operator has signed another image'
    return 1
  fi
  note_time "$signed_created"
  if [ "$latest_time" -ge "$signed_expires" ]; then
    reason="the operator's signature has expired"
    return 1
  fi
  allows_downgrade=$signed_downgrade
}

# Nine lines in one order, nothing else: written anew, they must give the same bytes.
read_rollout() {
  for name in rollout repository image boot version downgrade created expires; do
    eval "signed_$name=\$(sed -n 's/^$name=//p' \"\$order_folder/rollout\")"
  done
  {
    printf 'muster-rollout-v1\nrollout=%s\nrepository=%s\n' "$signed_rollout" "$signed_repository"
    printf 'image=%s\nboot=%s\nversion=%s\n' "$signed_image" "$signed_boot" "$signed_version"
    printf 'downgrade=%s\ncreated=%s\nexpires=%s\n' "$signed_downgrade" "$signed_created" "$signed_expires"
  } | cmp -s - "$order_folder/rollout" &&
    is_digest "$signed_image" && is_digest "$signed_boot" && is_yes_or_no "$signed_downgrade" &&
    is_number "$signed_created" && is_number "$signed_expires"
}

# note_time SECONDS: sets latest_time to the latest time that this machine can be sure of. Its clock may have stood still;
# what an operator signed shows that it is at least as late.
note_time() {
  read_first "$state/latest-time"
  latest_time=$first
  is_number "$latest_time" || latest_time=0
  if [ "$1" -gt "$latest_time" ]; then
    latest_time=$1
    printf '%s\n' "$1" >"$state/latest-time.new" && mv "$state/latest-time.new" "$state/latest-time"
  fi
  clock=$(date +%s)
  [ "$clock" -le "$latest_time" ] || latest_time=$clock
}

# check_documents: the boot manifest is the one that was signed, and its configuration the one that it names. Sets the
# digests and sizes of the three parts, and new_version and required_version.
check_documents() {
  if ! decode_field boot_manifest_base64 "$order_folder/boot-manifest" <"$order_folder/text" ||
    [ "$(digest_of "$order_folder/boot-manifest")" != "$order_boot" ]; then
    reason='the boot manifest in the order has another digest'
    return 1
  fi
  read_part 'config\.v1+json'
  if ! decode_field boot_config_base64 "$order_folder/boot-config" <"$order_folder/text" ||
    [ "$(digest_of "$order_folder/boot-config")" != "$part_digest" ]; then
    reason='the boot configuration in the order has another digest'
    return 1
  fi
  for part in kernel initrd squashfs; do
    if ! read_part "$part"; then
      reason="the boot manifest names no $part"
      return 1
    fi
    eval "${part}_digest=\$part_digest ${part}_bytes=\$part_bytes"
  done
  new_version=$(sed -n 's/^{"version":"\([A-Za-z0-9._+~-]*\)".*/\1/p' "$order_folder/boot-config")
  required_version=$(sed -n 's/^{\("version":"[^"]*",\)\{0,1\}"requiresVersion":"\([A-Za-z0-9._+~-]*\)".*/\2/p' "$order_folder/boot-config")
}

digest_of() {
  printf 'sha256:%s' "$(sha256sum <"$1" | cut -c 1-64)"
}

# read_part TYPE: digest and size of the one descriptor with that media type.
read_part() {
  descriptor=$(tr -d ' \t\r\n' <"$order_folder/boot-manifest" |
    grep -o '{[^{}]*}' | grep "\"mediaType\":\"application/vnd\\.muster\\.boot\\.$1\"")
  part_digest=$(printf '%s\n' "$descriptor" | sed -n 's/.*"digest":"\(sha256:[0-9a-f]*\)".*/\1/p')
  part_bytes=$(printf '%s\n' "$descriptor" | sed -n 's/.*"size":\([0-9]*\).*/\1/p')
  is_digest "$part_digest" && is_number "$part_bytes"
}

# check_version: not below what runs, unless the operator allowed it; not past a stepping stone in any case.
check_version() {
  [ -n "$running_version" ] || return 0
  if [ -n "$required_version" ] && ! is_at_least "$running_version" "$required_version"; then
    reason="this image needs version $required_version first; this machine runs $running_version"
    return 1
  fi
  [ "$allows_downgrade" = no ] || return 0
  if [ -z "$new_version" ]; then
    reason="the image has no version, and this machine runs $running_version"
    return 1
  fi
  is_at_least "$new_version" "$running_version" && return
  reason="version $new_version is older than $running_version, which this machine runs"
  return 1
}

# is_at_least NEWER OLDER, as Debian orders versions.
is_at_least() {
  printf '%s\n%s\n' "$2" "$1" | sort -s -C -V
}
