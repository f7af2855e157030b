#!/usr/bin/env bash
# Fetches jars from Maven Central into .cache/NAME/VERSION/libs, once: those of a real Kafka broker, or what the POM lists.
# Needs Java 17 and Maven. Prints the directory of the jars.
#
#   docker/kafka/fetch.sh [POM NAME]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
version=4.1.0
pom=${1:-$here/pom.xml}
cache="$root/.cache/${2:-kafka}"
libs="$cache/$version/libs"

if [ ! -e "$libs/.complete" ]; then
  for tool in java mvn; do
    command -v "$tool" >/dev/null || { echo "docker/kafka: $tool is not installed" >&2; exit 3; }
  done
  mkdir -p "$cache/$version"
  # Several tests may find the jars missing at once: each fetches into a directory of its own, and one of them is kept.
  draft=$(mktemp -d "$cache/$version/draft.XXXXXX")
  trap 'rm -rf "$draft"' EXIT
  mvn --quiet --batch-mode --file "$pom" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$draft" >&2
  touch "$draft/.complete"
  chmod 755 "$draft"
  if [ ! -e "$libs/.complete" ]; then
    rm -rf "$libs"
    mv -T "$draft" "$libs" 2>/dev/null || [ -e "$libs/.complete" ]
  fi
fi
echo "$libs"
