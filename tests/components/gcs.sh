# Google Cloud Storage: SeaweedFS again, for Google's XML API is that of S3 but for who signs and how.
# It lets everybody in and looks at no signature. (fake-gcs-server knows Google's JSON API, but of
# the XML API neither uploads nor lists.)
# shellcheck shell=bash
# shellcheck disable=SC2154 # `here` and `port` are given by `start`
# shellcheck source-path=SCRIPTDIR source=s3.sh
source "$here/s3.sh"

gcs_prepare() {
  s3_prepare
}

gcs_start() {
  weed_start gcs '{"name":"anonymous","actions":["Admin","Read","Write","List","Tagging"]}'
}

gcs_export() {
  echo "export MENDER_TEST_GCS=http://127.0.0.1:$port"
}
