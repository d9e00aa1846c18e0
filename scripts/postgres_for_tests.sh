#!/usr/bin/env bash
# A throwaway PostgreSQL for the tests: its own cluster in a temporary directory, a free loopback port,
# a random password, nothing kept. Installs the server first when it is missing and we are root on Debian.
#
#   export SHORTWIRE_TEST_POSTGRES_URL=$(scripts/postgres_for_tests.sh start)
#   scripts/postgres_for_tests.sh stop
#
# `start` prints only the URL on stdout, and the same one again while the server runs.
set -euo pipefail

state_dir="${TMPDIR:-/tmp}/shortwire-postgres-$(id -u)"
state_file="$state_dir/cluster"
service_user=postgres # PostgreSQL refuses to run as root

say() { echo "postgres_for_tests: $*" >&2; }

die() {
  say "$*"
  exit 1
}

find_bin() {
  local candidate
  for candidate in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -V -r) \
    /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin /usr/pgsql-*/bin; do
    if [ -x "$candidate/initdb" ]; then
      echo "$candidate"
      return
    fi
  done
  if command -v initdb >/dev/null; then
    dirname "$(command -v initdb)"
  fi
}

install_server() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
    die "no PostgreSQL server here: install one (Debian: apt-get install postgresql) and try again"
  say "installing postgresql"
  mkdir -p /etc/postgresql-common
  # Debian would make and start a cluster of its own, which nobody needs.
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update && apt-get install -y --no-install-recommends postgresql; } >&2
}

as_service_user() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && runuser -u "$service_user" -- "$@")
  else
    "$@"
  fi
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

own_state_dir() {
  mkdir -p -m 700 "$state_dir"
  [ -O "$state_dir" ] && [ ! -L "$state_dir" ] || die "$state_dir belongs to somebody else: remove it"
}

# Sets data, bin and url when a cluster of ours is running.
running() {
  [ -f "$state_file" ] || return 1
  { read -r data && read -r bin && read -r url; } <"$state_file"
  as_service_user "$bin/pg_ctl" -D "$data/pg" status >/dev/null 2>&1
}

start() {
  own_state_dir
  if running; then
    echo "$url"
    return
  fi
  bin=$(find_bin)
  if [ -z "$bin" ]; then
    install_server
    bin=$(find_bin)
    [ -n "$bin" ] || die "installed, but initdb was not found"
  fi
  data=$(mktemp -d "${TMPDIR:-/tmp}/shortwire-pg.XXXXXX")
  password=$(python3 -c 'import secrets; print(secrets.token_hex(16))')
  (umask 077 && printf '%s\n' "$password" >"$data/password")
  if [ "$(id -u)" = 0 ]; then
    chown -R "$service_user" "$data"
  fi
  as_service_user "$bin/initdb" -D "$data/pg" -U shortwire --auth=scram-sha-256 --pwfile="$data/password" \
    --encoding=UTF8 --locale=C.UTF-8 --no-sync >&2
  rm -f "$data/password"
  local attempt port
  for attempt in 1 2 3; do # somebody may take the free port before we do
    port=$(free_port)
    if as_service_user "$bin/pg_ctl" -D "$data/pg" -l "$data/log" -w -t 30 -s -o \
      "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$data -c fsync=off -c full_page_writes=off -c max_connections=50 -c shared_buffers=32MB" start >&2; then
      url="postgresql://shortwire:$password@127.0.0.1:$port/postgres"
      (umask 077 && printf '%s\n%s\n%s\n' "$data" "$bin" "$url" >"$state_file")
      echo "$url"
      return
    fi
  done
  cat "$data/log" >&2 || true
  rm -rf "$data"
  die "the server did not start"
}

stop() {
  own_state_dir
  if running; then
    as_service_user "$bin/pg_ctl" -D "$data/pg" -m immediate -w -s stop >&2
  fi
  if [ -f "$state_file" ]; then
    read -r data <"$state_file"
    case "$data" in
    */shortwire-pg.??????) rm -rf "$data" ;;
    esac
    rm -f "$state_file"
  fi
  rmdir "$state_dir"
}

case "${1:-}" in
start) start ;;
stop) stop ;;
*) die "usage: $0 start|stop" ;;
esac
