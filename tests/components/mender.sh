# The server of this workspace, with a user who may do everything. Its settings are those of the
# environment (MENDER_DATABASE_URL chooses another database); addresses and data folder are private.
# shellcheck shell=bash
# shellcheck disable=SC2154 # `here`, `dir` and `port` are given by `start`

mender_prepare() {
  mender_binary=${MENDER_SERVER:-} # a binary built elsewhere
  [ -z "$mender_binary" ] || return 0
  (cd "$here/../.." && cargo build --locked -q -p mender-server) >&2
  mender_binary=$(cd "$here/../.." && cd "${CARGO_TARGET_DIR:-target}" && pwd)/debug/mender-server
}

mender_start() {
  local settings
  mender_internal=$(free_port)
  settings=(MENDER_LISTEN="127.0.0.1:$port" MENDER_INTERNAL_LISTEN="127.0.0.1:$mender_internal"
    MENDER_DATA_DIR="$dir/mender")
  mkdir -p "$dir/mender"
  spawn mender env "${settings[@]}" "$mender_binary" serve
  wait_ready mender curl -fsS "http://127.0.0.1:$mender_internal/api/internal/v1/devauth/health" || return 1
  (cd / && env "${settings[@]}" "$mender_binary" user create \
    --username tester@example.com --password tester-password) >>"$dir/mender.log" 2>&1
}

mender_export() {
  echo "export MENDER_COMPAT_BASE=http${MENDER_TLS_CERT:+s}://127.0.0.1:$port"
  echo "export MENDER_COMPAT_INTERNAL=http://127.0.0.1:$mender_internal"
  echo "export MENDER_COMPAT_USER=tester@example.com"
  echo "export MENDER_COMPAT_PASSWORD=tester-password"
}
