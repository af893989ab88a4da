# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables; set -u finds those that nobody sets
# Requests to the server. What is secret goes to curl on standard input, never into its arguments: `ps` shows those to all.

# fetch PATH [curl argument...] <curl configuration. Sets outcome (see judge) and http_status; $work/body, $work/headers.
fetch() {
  path=$1
  shift
  : >"$work/body"
  : >"$work/headers"
  # -q first: nobody's .curlrc. --capath: with --cacert alone, Debian's curl trusts the system's authorities as well.
  # `<&3`: a shell gives its background jobs an empty standard input otherwise.
  {
    curl -q --config - --silent --show-error --globoff --noproxy '*' --proto '=https' --tlsv1.2 \
      --capath "$work/no-authorities" --connect-timeout "$connect_seconds" --max-time "$answer_seconds" --max-filesize 1048576 \
      --output "$work/body" --dump-header "$work/headers" --write-out '%{http_code}' \
      "$@" "$server$path" <&3 >"$work/status" 2>"$work/error" &
  } 3<&0
  child=$!
  wait "$child" && curl_status=0 || curl_status=$?
  child=
  http_status=000
  read -r http_status <"$work/status" || :
  judge
}

# fetch_as_member PATH [curl argument...]: with this machine's certificate.
fetch_as_member() {
  path=$1
  shift
  fetch "$path" --cacert "$state/ca.pem" --cert "$state/machine.pem" --key "$state/machine.key" "$@" </dev/null
}

# outcome: ok · retry (later, the same may go well) · refused (it will not) · unauthorised. `reason` is for the log.
judge() {
  retry_after_ms=0
  if [ "$curl_status" -ne 0 ]; then
    outcome=retry
    reason=$(head -n 1 "$work/error" | cut -c 1-200)
    return
  fi
  case $http_status in
    2??)
      outcome=ok
      return
      ;;
    401) outcome=unauthorised ;;
    408 | 409 | 425 | 429) outcome=retry ;;
    4??) outcome=refused ;;
    *) outcome=retry ;;
  esac
  reason="$http_status $(head -c 200 "$work/body" | head -n 1)"
  read_header retry-after
  case $header in
    '' | *[!0-9]* | ?????*) ;;
    *) retry_after_ms=$((header * 1000)) ;;
  esac
  [ "$retry_after_ms" -le "$refused_delay_ms" ] || retry_after_ms=$refused_delay_ms
}

# read_header NAME: sets header to its value, or to nothing.
read_header() {
  header=$(sed -n -e 's/\r$//' -e "s/^$1: *//Ip" "$work/headers")
}

# Turns lines of name=value into curl's configuration, one form field each: quoted, cut, nothing where the value is empty.
to_form() {
  sed -n -e 's/[[:cntrl:]]//g' -e 's/= */=/' -e 's/ *$//' -e '/^[a-z_]*=$/d' -e 's/^\(.\{420\}\).*/\1/' \
    -e 's/[\\"]/\\&/g' -e 's/.*/data-urlencode = "&"/p'
}
