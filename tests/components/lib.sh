# Shared by `start` and the components. Sourced; expects bash in strict mode.
# shellcheck shell=bash
# shellcheck disable=SC2034 # used by those that source it

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${MENDER_CI_CACHE:-$HOME/.cache/mender-ci}

say() { printf 'components: %s\n' "$*" >&2; }

alive() { kill -0 "$1" 2>/dev/null && ! grep -qs '^State:.*Z' "/proc/$1/status"; }

have() { command -v "$1" >/dev/null 2>&1; }

# A TCP port of 127.0.0.1 that is free now.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# apt_install PACKAGE...: only as root, where a machine lacks what a component needs.
apt_install() {
  say "installing $*"
  [ "$(id -u)" = 0 ] || { say "not root: install $* by hand"; return 1; }
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# cached NAME FILE... -- COMMAND: prints the folder that COMMAND (given an empty folder as its last
# argument) fills. The name holds a checksum of FILEs, which pin the versions; the folder appears
# whole or not at all, also when two runs build it at once.
cached() {
  local name=$1 files=() sum dir tmp
  shift
  while [ "$1" != -- ]; do files+=("$1"); shift; done
  shift
  sum=$(cat "${files[@]}" | sha256sum | cut -c1-12)
  dir=$cache/$name-$sum
  if [ ! -d "$dir" ]; then
    say "preparing $name"
    mkdir -p "$cache"
    find "$cache" -maxdepth 1 -name 'tmp.*' -mtime +0 -exec rm -rf {} + # of runs that were killed
    tmp=$(mktemp -d "$cache/tmp.XXXXXX")
    if ! "$@" "$tmp" >&2; then
      rm -rf "$tmp"
      return 1
    fi
    chmod 755 "$tmp"
    mv -T "$tmp" "$dir" 2>/dev/null || rm -rf "$tmp"
  fi
  printf '%s\n' "$dir"
}

# spawn NAME COMMAND...: runs it in the background, its output in $dir/NAME.log and its process id
# in $dir/NAME.pid, in a process group of its own so that Ctrl-C reaches only the script.
spawn() {
  local name=$1
  shift
  (cd / && exec setsid "$@") >"$dir/$name.log" 2>&1 </dev/null &
  echo $! >"$dir/$name.pid"
}

# wait_ready NAME COMMAND...: until COMMAND succeeds; fails where the process ends or 60 s pass.
wait_ready() {
  local name=$1 deadline=$((SECONDS + 60)) pid
  shift
  pid=$(<"$dir/$name.pid")
  until "$@" >/dev/null 2>&1; do
    alive "$pid" || return 1
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
  alive "$pid" # else it was another one's port that answered
}

# stop_one PIDFILE: asks the process to end, insists after ten seconds.
stop_one() {
  local pid deadline=$((SECONDS + 10)) signal=TERM
  pid=$(<"$1")
  [[ $1 != */postgres.pid ]] || signal=QUIT # immediately: nobody will read this data again
  kill "-$signal" "$pid" 2>/dev/null || true
  while alive "$pid"; do
    [ "$SECONDS" -lt "$deadline" ] || kill -KILL "$pid" 2>/dev/null || true
    sleep 0.05
  done
  rm -f "$1"
}

# stop_all FOLDER: everything started with that folder, then the folder.
stop_all() {
  local pidfile
  for pidfile in "$1"/*.pid; do
    [ ! -e "$pidfile" ] || stop_one "$pidfile"
  done
  rm -rf "$1"
}
