#!/usr/bin/env bash
# Runs one real Kafka broker (KRaft, no ZooKeeper, no Docker) until it is stopped with Ctrl-C or SIGTERM.
#
#   docker/kafka/start.sh [--dir DIR] [--port PORT] [--heap SIZE] [--attached]
#
# DIR keeps the topics (a temporary directory, removed at the end, when absent); PORT 0 takes a free one (9092 when absent).
# --attached ends it also when standard input is closed, as it is when the program that started it has died.
# Prints "ready HOST:PORT" on a line of its own: the address for sluice start --kafka HOST:PORT.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir='' port=9092 heap=512m attached=''
while [ $# -gt 0 ]; do
  case "$1" in
    --dir) dir=$2; shift 2 ;;
    --port) port=$2; shift 2 ;;
    --heap) heap=$2; shift 2 ;;
    --attached) attached=yes; shift ;;
    --help | -h) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "docker/kafka/start.sh: unknown option $1; see --help" >&2; exit 2 ;;
  esac
done

libs=$("$here/fetch.sh")
temporary=''
if [ -z "$dir" ]; then
  dir=$(mktemp -d)
  temporary=$dir
fi
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

free_port() {
  node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); });'
}
[ "$port" = 0 ] && port=$(free_port)
controller=$(free_port)

cat >"$dir/server.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/topics
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
EOF

export LOG_DIR="$dir"
java=(java "-Xmx$heap" -Xms64m -XX:+UseG1GC "-Dlog4j2.configurationFile=$here/log4j2.properties" -cp "$libs/*")
if [ ! -e "$dir/topics/meta.properties" ]; then
  id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
  # An id that starts with a dash would be taken for an option.
  "${java[@]}" kafka.tools.StorageTool format --cluster-id "s${id:1}" --config "$dir/server.properties" >"$dir/format.log" 2>&1 ||
    { cat "$dir/format.log" >&2; exit 1; }
fi

: >"$dir/broker.log"
"${java[@]}" kafka.Kafka "$dir/server.properties" >>"$dir/broker.log" 2>&1 &
broker=$!
# Whoever starts this script from a program may have to end the broker the hard way.
echo "pid $broker"

finish() {
  trap '' TERM INT
  kill -TERM "$broker" 2>/dev/null || true
  wait "$broker" 2>/dev/null || true
  [ -n "$temporary" ] && rm -rf "$temporary"
  exit 0
}
trap finish TERM INT
if [ -n "$attached" ]; then
  { cat >/dev/null; kill -TERM $$ 2>/dev/null; } <&0 &
fi

for _ in $(seq 600); do
  if grep -q 'Kafka Server started' "$dir/broker.log"; then
    echo "ready 127.0.0.1:$port"
    wait "$broker" && code=0 || code=$?
    [ -n "$temporary" ] && rm -rf "$temporary"
    exit "$code"
  fi
  kill -0 "$broker" 2>/dev/null || { echo 'docker/kafka: the broker ended at its start:' >&2; tail -n 20 "$dir/broker.log" >&2; exit 1; }
  sleep 0.1 &
  wait $! || true
done
echo 'docker/kafka: the broker did not start within a minute:' >&2
tail -n 20 "$dir/broker.log" >&2
kill -KILL "$broker"
exit 1
