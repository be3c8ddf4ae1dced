# OpenSearch: the real engine, from Maven, as one node in one process.
# shellcheck shell=bash
# shellcheck disable=SC2154 # `here`, `dir` and `port` are given by `start`

opensearch_build() {
  mvn -q -B -f "$here/opensearch.pom.xml" dependency:copy-dependencies -DoutputDirectory="$1/lib" &&
    javac -cp "$1/lib/*" -d "$1" "$here/OpenSearchMain.java"
}

opensearch_prepare() {
  local missing=()
  have javac || missing+=(default-jdk-headless)
  have mvn || missing+=(maven)
  [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
  opensearch_classes=$(
    cached opensearch "$here/opensearch.pom.xml" "$here/OpenSearchMain.java" -- opensearch_build
  )
}

# The runner takes ports from 9201 to 9299 only.
opensearch_port() {
  local candidate
  for candidate in $(shuf -i 9201-9299); do
    port_open "$candidate" || { printf '%s\n' "$candidate"; return; }
  done
  return 1
}

opensearch_start() {
  port=$(opensearch_port)
  spawn opensearch java -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -cp "$opensearch_classes:$opensearch_classes/lib/*" OpenSearchMain "$dir/opensearch" "$port"
  wait_ready opensearch curl -fsS "http://127.0.0.1:$port/_cluster/health?wait_for_status=yellow"
}

opensearch_export() {
  echo "export MENDER_TEST_OPENSEARCH=http://127.0.0.1:$port"
}
