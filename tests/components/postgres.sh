# PostgreSQL: a cluster of its own, without durability. 15 or later, from the machine or from apt.
# shellcheck shell=bash
# shellcheck disable=SC2154 # `dir` and `port` are given by `start`

postgres_bin() {
  local found
  found=$(command -v postgres) && { dirname "$(readlink -f "$found")"; return; }
  found=$(compgen -G '/usr/lib/postgresql/*/bin/postgres' | sort -V | tail -n 1)
  [ -n "$found" ] && dirname "$found"
}

postgres_prepare() {
  postgres_bin >/dev/null && return
  if [ "$(id -u)" = 0 ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    # The package would start a cluster of the machine's own.
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  fi
  apt_install -o Dpkg::Options::=--force-confold postgresql
}

postgres_start() {
  local bin data=$dir/postgres as=()
  bin=$(postgres_bin)
  rm -rf "$data"
  mkdir "$data"
  if [ "$(id -u)" = 0 ]; then # it refuses to run as root
    chown postgres "$data"
    as=(setpriv --reuid=postgres --regid=postgres --init-groups)
  fi
  (cd / && "${as[@]}" "$bin/initdb" -D "$data" -U postgres --auth=trust --encoding=UTF8 \
    --locale=C.UTF-8 --no-sync) >"$dir/postgres.initdb.log" 2>&1 || return 1
  spawn postgres "${as[@]}" "$bin/postgres" -D "$data" -p "$port" -k "$data" \
    -c listen_addresses=127.0.0.1 -c max_connections=200 \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off
  wait_ready postgres "$bin/pg_isready" -q -h 127.0.0.1 -p "$port" -U postgres
}

postgres_export() {
  echo "export MENDER_TEST_POSTGRES=postgres://postgres@127.0.0.1:$port/postgres"
}
