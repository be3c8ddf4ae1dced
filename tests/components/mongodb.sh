# MongoDB: mongo-java-server, since no package registry carries the real one. It has no sessions,
# transactions or change streams, and reads without its secondary indexes: the truth about
# behaviour, not about speed.
# shellcheck shell=bash
# shellcheck disable=SC2154 # `here`, `dir` and `port` are given by `start`

mongodb_build() {
  mvn -q -B -f "$here/mongodb.pom.xml" dependency:copy-dependencies -DoutputDirectory="$1/lib" &&
    javac -cp "$1/lib/*" -d "$1" "$here/MongoMain.java"
}

mongodb_prepare() {
  local missing=()
  have javac || missing+=(default-jdk-headless)
  have mvn || missing+=(maven)
  [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
  mongodb_classes=$(cached mongodb "$here/mongodb.pom.xml" "$here/MongoMain.java" -- mongodb_build)
}

mongodb_start() {
  spawn mongodb java -Xmx512m -XX:+UseSerialGC -cp "$mongodb_classes:$mongodb_classes/lib/*" \
    MongoMain "$port"
  wait_ready mongodb port_open "$port"
}

mongodb_export() {
  echo "export MENDER_TEST_MONGODB=mongodb://127.0.0.1:$port"
}
