# What the scripts of this folder share. Sourced, from the root of the workspace; expects bash in strict mode. With
# `plain` set the server speaks http, and the device reaches it by a link that can be slow, or break.
# shellcheck shell=bash
# shellcheck source=tests/components/lib.sh
source tests/components/lib.sh

identity=/usr/share/mender/identity/mender-device-identity
artifact=/etc/mender/artifact_info

# provide FILE MODE TEXT: unless it is there.
provide() {
  [ ! -e "$1" ] || return 0
  say "writing $1"
  mkdir -p "$(dirname "$1")"
  printf '%s\n' "$3" >"$1.$$"
  chmod "$2" "$1.$$"
  mv "$1.$$" "$1"
}

fail() {
  say "$*"
  exit 1
}

# The certificate lies beside the folder of the components, which must not exist yet.
work=$(mktemp -d "${TMPDIR:-/tmp}/mender-clients.XXXXXX")
chmod 711 "$work"
clean_up() {
  local status=$?
  if [ "$status" != 0 ]; then
    tail -n 40 "$work"/*.out "$work"/components/*.log >&2 || true
  fi
  tests/components/stop "$work/components"
  rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

{ have mender && have mender-cli && have mender-artifact; } || apt_install mender-client mender-cli mender-artifact
provide "$identity" 755 $'#!/bin/sh\necho mac=52:54:00:00:00:01'
provide "$artifact" 644 artifact_name=initial

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
if [ -z "${plain:-}" ]; then
  export MENDER_TLS_CERT=$work/cert.pem MENDER_TLS_KEY=$work/key.pem
fi
exports=$(tests/components/start --dir "$work/components" mender)
eval "$exports"
dir=$MENDER_TEST_COMPONENTS
server=$MENDER_COMPAT_BASE
link=$server
if [ -n "${plain:-}" ]; then
  port=$(free_port)
  link=http://127.0.0.1:$port
  echo pass >"$dir/link"
  spawn link python3 "$PWD/tests/clients/link.py" "$port" "${server##*:}" "$dir/link"
fi
devices=$server/api/management/v2/devauth/devices

# --- The user's side

# Some of its messages go to the standard output, others not.
cli() {
  HOME=$work XDG_CACHE_HOME=$work SSL_CERT_FILE=$work/cert.pem mender-cli --server "$server" "$@" >"$work/cli.out" 2>&1
}

# api METHOD URL [BODY]: as the user that mender-cli has logged in.
api() {
  curl -fsS --cacert "$work/cert.pem" -X "$1" -H "Authorization: Bearer $(<"$work/mender/authtoken")" \
    ${3:+-H 'Content-Type: application/json' -d "$3"} "$2"
}

# Device, key and status of the only device; nothing where there is none.
only_device() {
  api GET "$devices" | python3 -c 'import json, sys
for d in json.load(sys.stdin): print(d["id"], d["auth_sets"][0]["id"], d["status"])'
}

# set_status accepted|rejected
set_status() {
  local id key
  read -r id key _ < <(only_device)
  api PUT "$devices/$id/auth/$key/status" "{\"status\":\"$1\"}"
}

# listed STATUS: how many such devices mender-cli lists.
listed() { cli devices list && { grep -c "^Status: $1$" "$work/cli.out" || true; }; }

# --- The device's side

mkdir "$dir/device"
echo device_type=test >"$dir/device/device_type"
cat >"$dir/device.conf" <<CONF
{
  "ServerURL": "$link", "ServerCertificate": "$work/cert.pem", "DeviceTypeFile": "$dir/device/device_type",
  "UpdatePollIntervalSeconds": 1, "InventoryPollIntervalSeconds": 1, "RetryPollIntervalSeconds": 1,
  "DBus": { "Enabled": false }
}
CONF
mkdir -p "$dir/target"
client=(mender --config "$dir/device.conf" --fallback-config "$dir/none.conf" --data "$dir/device" --no-syslog)

# said TEXT: how often the device has logged it.
said() { grep -c "$1" "$dir/device.log" || true; }
granted() { said 'successfully received new authorization data'; }
refused() { said 'authentication request rejected .*dev auth: unauthorized'; }

# Reports of the device that were stored.
served() {
  grep -c 'request method=PUT path="/api/devices/v1/inventory/.*caller="device".* status=200 ' "$dir/mender.log" || true
}

# until_more COUNTER BEFORE: until there is more than before.
until_more() {
  local deadline=$((SECONDS + 60))
  until [ "$("$1")" -gt "$2" ]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "nothing more is $1"
    sleep 0.1
  done
}

# --- Deployments

deployments=$server/api/management/v1/deployments/deployments
# artifact NAME TYPE PAYLOAD-TYPE [SIZE]: made with mender-artifact, and uploaded with mender-cli. Payloads are random: the client
# refuses what is shorter than 4096 bytes.
artifact() {
  local folder=$work/payload
  mkdir -p "$folder"
  printf '%s\n' "$dir/target" >"$folder/dest_dir"
  echo installed >"$folder/filename"
  echo 644 >"$folder/permissions"
  head -c "${4:-16K}" /dev/urandom >"$folder/installed"
  mender-artifact write module-image -T "$3" -t "$2" -n "$1" -o "$work/$1.mender" --compression none \
    -f "$folder/dest_dir" -f "$folder/filename" -f "$folder/permissions" -f "$folder/installed" >/dev/null
  cli artifacts upload --no-progress "$work/$1.mender"
}

# made URL BODY: creates something as the user, and prints its id.
made() {
  curl -fsS --cacert "$work/cert.pem" -D - -o /dev/null -d "$2" -H 'Content-Type: application/json' \
    -H "Authorization: Bearer $(<"$work/mender/authtoken")" "$1" |
    tr -d '\r' | awk 'tolower($1) == "location:" { n = split($2, part, "/"); print part[n] }'
}

# deploy NAME [WHAT ELSE [URL]]: to the only device, or to whom the URL says; sets `deployment`.
deploy() {
  local to=${3:-} devices=
  [ -n "$to" ] || devices=",\"devices\":[\"$first\"]"
  deployment=$(made "${to:-$deployments}" "{\"name\":\"to $1\",\"artifact_name\":\"$1\"$devices${2:-}}")
  [ -n "$deployment" ] || fail "no deployment of $1"
}

# Whether the deployment has this status now.
is_status() { api GET "$deployments/$deployment" | grep -q "\"status\":\"$1\""; }

# ended: how often the deployment has ended; its device's status is in `status`.
ended() {
  status=$(api GET "$deployments/$deployment/devices/list" |
    python3 -c 'import json, sys
for d in json.load(sys.stdin): print(d["status"])')
  api GET "$deployments/$deployment" | grep -c '"status":"finished"' || true
}

# ends_with STATUS [SECONDS]
ends_with() {
  local deadline=$((SECONDS + ${2:-90}))
  until [ "$(ended)" = 1 ]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "the deployment does not end"
    sleep 0.2
  done
  ended >/dev/null
  [ "$status" = "$1" ] || fail "the deployment ended with $status, not $1"
}
