# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# Who the server is and who we are: the pinned authority, this machine's key, its certificate and the renewal of it.

# The pin came with the kernel command line; the authority may therefore be fetched from anybody. Until it matches,
# nothing else is asked of this server, and the token above all is not shown to it.
step_authority() {
  if ! matches_pin "$state/ca.pem"; then
    fetch /ca.pem --insecure </dev/null
    if [ "$outcome" != ok ]; then
      log warn "cannot fetch the server's authority: $reason"
      postpone authority
      return
    fi
    if ! matches_pin "$work/body"; then
      report_trouble error 'the server is not the one that this machine was booted for: its authority does not match muster.ca'
      outcome=retry
      postpone authority
      return
    fi
    mv "$work/body" "$state/ca.pem"
  fi
  schedule authority "$NEVER"
  if [ -s "$state/machine.pem" ]; then
    schedule renew "$(read_renewal)"
    schedule beat 0
  else
    schedule join 0
  fi
}

matches_pin() {
  [ -s "$1" ] && [ "$(sha256sum <"$1" | cut -c 1-64)" = "$pin" ]
}

step_join() {
  outcome=retry retry_after_ms=0 token=
  [ ! -r "$token_file" ] || read -r token <"$token_file" || :
  case $token in
    '' | *[!A-Za-z0-9._-]*)
      log warn "waits for an enrollment token in $token_file"
      postpone join
      return
      ;;
  esac
  if ! make_request; then
    log error 'openssl cannot make a key or a request'
    postpone join
    return
  fi
  print_facts | to_form >"$work/facts"
  fetch /api/v1/enroll --cacert "$state/ca.pem" --config "$work/facts" --data-urlencode "csr@$work/machine.csr" <<CONFIGURATION
header = "Authorization: Bearer $token"
CONFIGURATION
  token=
  accept_certificate
  if [ "$outcome" != ok ]; then
    # A refused token stays refused: 401 here says something of the token, not of a certificate.
    [ "$outcome" != unauthorised ] || outcome=refused
    if [ "$outcome" = refused ]; then
      report_trouble error "enrollment refused: $reason"
    else
      log warn "enrollment put off: $reason"
    fi
    postpone join
    return
  fi
  rm -f "$token_file"
  log info "enrolled as machine $(cat "$state/machine-id")"
  schedule join "$NEVER"
  schedule beat 0
}

# The key is made once and kept: a server that answered and was not heard knows this machine again by it.
make_request() {
  if [ ! -s "$state/machine.key" ]; then
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/machine.key" 2>"$work/error" || return 1
    mv "$work/machine.key" "$state/machine.key"
  fi
  openssl req -new -sha256 -key "$state/machine.key" -subj /CN=muster-machine -out "$work/machine.csr" 2>"$work/error"
}

is_own_certificate() {
  [ "$(openssl x509 -in "$work/body" -noout -pubkey 2>&1)" = "$(openssl pkey -in "$state/machine.key" -pubout 2>&1)" ] &&
    openssl verify -no_check_time -no-CApath -no-CAstore -CAfile "$state/ca.pem" "$work/body" >/dev/null 2>"$work/error"
}

# After an answer that holds a certificate: takes it and plans its renewal, or turns the outcome into retry.
# Clocks of machines are wrong; what is compared is the server's end against the server's own Date.
accept_certificate() {
  [ "$outcome" = ok ] || return 0
  if ! is_own_certificate; then
    outcome=retry reason='the certificate in the answer is not for this machine'
    return
  fi
  read_header x-muster-not-after
  not_after=$header
  read_header date
  server_now=$(date -u -d "$header" +%s 2>/dev/null) || server_now=$(date +%s)
  case $not_after in
    '' | *[!0-9]*) not_after=$((server_now + 3600)) ;;
  esac
  half_life_ms=$(((not_after - server_now) * 500))
  random_below $((half_life_ms / 10 + 1))
  half_life_ms=$((half_life_ms * 19 / 20 + random))
  [ "$half_life_ms" -ge "$shortest_renewal_ms" ] || half_life_ms=$shortest_renewal_ms
  refresh_now
  read_header x-muster-machine-id
  printf '%s\n' "$header" >"$work/machine-id"
  printf '%s %s\n' "$boot_id" "$((now + half_life_ms))" >"$work/renewal"
  mv "$work/machine-id" "$state/machine-id"
  mv "$work/renewal" "$state/renewal"
  mv "$work/body" "$state/machine.pem"
  schedule renew "$((now + half_life_ms))"
}

# Prints when to renew. Times since boot mean nothing after a reboot: renew at once then.
read_renewal() {
  read -r boot at 2>/dev/null <"$state/renewal" || boot='' at=''
  [ "$boot" = "$boot_id" ] || at=0
  printf '%s\n' "${at:-0}"
}

step_renew() {
  outcome=retry retry_after_ms=0 reason='openssl cannot make a request'
  if make_request; then
    fetch_as_member /api/v1/agent/renew --data-urlencode "csr@$work/machine.csr"
  fi
  accept_certificate
  if [ "$outcome" = ok ]; then
    log info 'certificate renewed'
  elif ! rejoin_if_unauthorised renew; then
    report_trouble warn "certificate not renewed: $reason"
    postpone renew
  fi
}

# rejoin_if_unauthorised STEP: true where the server refused our certificate and the step has been dealt with.
rejoin_if_unauthorised() {
  [ "$outcome" = unauthorised ] || return 1
  report_trouble error "the server refuses this machine's certificate: $reason"
  if [ -s "$token_file" ]; then
    rm -f "$state/machine.pem" "$state/renewal"
    for other in renew beat config report events progress; do
      schedule "$other" "$NEVER"
    done
    schedule join 0
  else
    outcome=refused
    postpone "$1"
  fi
}

# carry_identity FOLDER: what an installed machine needs to go on as the same member. It boots without a token.
carry_identity() {
  mkdir -p "$1" && chmod 700 "$1" || return 1
  for part in ca.pem machine.key machine.pem machine-id; do
    cp "$state/$part" "$1/$part.new" && chmod 600 "$1/$part.new" && mv "$1/$part.new" "$1/$part" || return 1
  done
}
