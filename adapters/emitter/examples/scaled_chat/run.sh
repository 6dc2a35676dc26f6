#!/bin/sh
# Starts Redis, two nodes, nginx and a worker, each on loopback. Open http://127.0.0.1:8080 in two tabs. Ctrl-C ends
# all of them. Needs the programs redis-server, redis-cli and nginx.
#
# Environment: PORT (8080, of nginx), REDIS_PORT (6390), ONE and TWO (3001 and 3002, of the nodes), INTERVAL (10, between
# two messages of the worker), PROGRAM (the built example; built here by default).
set -eu
EXAMPLE=$(cd "$(dirname "$0")" && pwd)
PORT=${PORT:-8080} REDIS_PORT=${REDIS_PORT:-6390} ONE=${ONE:-3001} TWO=${TWO:-3002}
export REDIS="redis://127.0.0.1:$REDIS_PORT" INTERVAL=${INTERVAL:-10}
PATH=$PATH:/usr/sbin

if [ -z "${PROGRAM:-}" ]; then
  cd "$EXAMPLE/../../../.."
  cargo build -p socketio-emitter --features redis --example scaled_chat
  PROGRAM=$PWD/target/debug/examples/scaled_chat
fi

FOLDER=$(mktemp -d)
pids=
end() {
  trap - EXIT INT TERM
  kill $pids 2>/dev/null || true
  wait
  rm -rf "$FOLDER"
}
trap end EXIT
trap 'exit 0' INT TERM

redis-server --port "$REDIS_PORT" --bind 127.0.0.1 --save '' --dir "$FOLDER" --loglevel warning &
pids="$pids $!"
until redis-cli -p "$REDIS_PORT" ping > /dev/null 2>&1; do sleep 0.1; done
PORT=$ONE "$PROGRAM" node one &
pids="$pids $!"
PORT=$TWO "$PROGRAM" node two &
pids="$pids $!"
words="s|@FOLDER@|$FOLDER|; s|@EXAMPLE@|$EXAMPLE|; s|@PORT@|$PORT|; s|@ONE@|$ONE|; s|@TWO@|$TWO|"
sed "$words" "$EXAMPLE/nginx.conf" > "$FOLDER/nginx.conf"
nginx -e stderr -p "$FOLDER" -c "$FOLDER/nginx.conf" -g 'daemon off; master_process off;' &
pids="$pids $!"
"$PROGRAM" worker &
pids="$pids $!"
echo "open http://127.0.0.1:$PORT"
wait
