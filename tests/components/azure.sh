# Azure Blob Storage: Azurite, from npm. It checks signatures and their age.
# shellcheck shell=bash
# shellcheck disable=SC2154 # `here`, `dir` and `port` are given by `start`

azure_build() {
  cp "$here/azure.json" "$1/package.json" &&
    npm install --prefix "$1" --omit=dev --no-audit --no-fund --loglevel=error
}

azure_prepare() {
  have npm || apt_install npm
  azure_modules=$(cached azure "$here/azure.json" -- azure_build)
}

azure_start() {
  rm -rf "$dir/azure"
  spawn azure node "$azure_modules/node_modules/azurite/dist/src/blob/main.js" \
    --blobHost 127.0.0.1 --blobPort "$port" -l "$dir/azure" --silent --skipApiVersionCheck \
    --disableTelemetry
  wait_ready azure port_open "$port"
}

azure_export() {
  echo "export MENDER_TEST_AZURE=http://127.0.0.1:$port"
}
