# shellcheck shell=bash
# The private PostgreSQL cluster of a stack: a Unix socket, no TCP, scram-sha-256, data of its own.
# Sourced, never run; needs output.sh, platform.sh, state.sh and daemons.sh.

# PostgreSQL refuses to run as root: there it runs as `postgres`, elsewhere as the user.
as_postgres() {
    if ((EUID == 0)); then
        (cd / && exec runuser -u postgres -- "$@")
    else
        "$@"
    fi
}

cluster_password_file() {
    printf '%s/postgres/password\n' "$STATE_DIR"
}

cluster_socket_directory() {
    printf '%s/postgres\n' "$RUN_DIR"
}

# Sets libpq's variables: the superuser of this cluster.
use_cluster_superuser() {
    PGHOST=$(cluster_socket_directory)
    PGPASSWORD=$(<"$(cluster_password_file)")
    export PGHOST PGPASSWORD PGUSER=postgres PGDATABASE=postgres PGPORT=5432
}

# Prints the superuser's URL. The host is percent-encoded: a socket directory is no host name.
cluster_superuser_url() {
    local host
    host=$(cluster_socket_directory)
    printf 'postgres://postgres:%s@%s/postgres\n' "$(<"$(cluster_password_file)")" "${host//\//%2F}"
}

# A server process has its data directory as its working directory, so neither a recycled process id nor a dead process
# passes for one.
cluster_running() {
    local data=$STATE_DIR/postgres/data pid
    pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) || return 1
    [[ $(readlink "/proc/$pid/cwd" 2>/dev/null) == "$data" ]]
}

# Prints the ids of all processes of the cluster, those that outlive a killed postmaster for a moment as well.
cluster_pids() {
    { find /proc -mindepth 2 -maxdepth 2 -name cwd -lname "$STATE_DIR/postgres/data" 2>/dev/null || true; } |
        cut -d / -f 3
}

cluster_gone() {
    [[ -z $(cluster_pids) ]]
}

# Clears the lock files of a postmaster that was killed: after a reboot their process id may be a stranger's, and
# PostgreSQL would refuse to start.
clear_dead_cluster() {
    wait_until 30 cluster_gone || fail "processes of a killed PostgreSQL still run: $(cluster_pids | xargs)"
    rm -f "$STATE_DIR/postgres/data/postmaster.pid" "$(cluster_socket_directory)"/.s.PGSQL.*
}

make_own_directory() {
    mkdir -p "$1"
    chmod 700 "$1"
    if ((EUID == 0)); then
        chown postgres: "$1"
    fi
}

# Makes the cluster beside its final place and moves it there, so that a run killed half-way leaves none half made.
create_cluster() {
    local data=$STATE_DIR/postgres/data password
    password=$(cluster_password_file)
    rm -rf "$data.new"
    # shellcheck disable=SC2016 # expanded by the inner shell
    openssl rand -hex 24 | as_postgres sh -c 'umask 077; cat >"$0"' "$password"
    as_postgres "$(postgres_program initdb)" --pgdata="$data.new" --username=postgres --pwfile="$password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
    sync -f "$data.new"
    mv "$data.new" "$data"
}

# write_cluster_settings [LINE...]: the whole configuration; lines given later win.
write_cluster_settings() {
    as_postgres tee "$STATE_DIR/postgres/data/postgresql.conf" >/dev/null <<SETTINGS
# Written by Slipway at each start.
listen_addresses = ''
port = 5432
unix_socket_directories = '$(cluster_socket_directory)'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 300
shared_buffers = '128MB'
max_wal_size = '1GB'
log_line_prefix = '%m [%p] %q%u@%d '
$(printf '%s\n' "$@")
SETTINGS
}

# start_cluster [SETTING...]: idempotent; survives a killed postmaster and a reboot.
start_cluster() {
    local data=$STATE_DIR/postgres/data
    make_own_directory "$STATE_DIR/postgres"
    make_own_directory "$(cluster_socket_directory)"
    [[ -s $data/PG_VERSION ]] || create_cluster
    require_cluster_version
    cluster_running && return 0
    clear_dead_cluster
    write_cluster_settings "$@"
    as_postgres "$(postgres_program pg_ctl)" start --wait --timeout=120 --silent --pgdata="$data" \
        --log="$STATE_DIR/postgres/log" 9>&- >/dev/null ||
        fail "PostgreSQL did not start: $(tail -n 5 "$STATE_DIR/postgres/log")"
}

require_cluster_version() {
    local made installed
    made=$(<"$STATE_DIR/postgres/data/PG_VERSION")
    installed=$("$(postgres_program postgres)" --version | grep -o '[0-9]*' | head -n 1)
    [[ $made == "$installed" ]] ||
        fail "the data in $STATE_DIR/postgres/data is of PostgreSQL $made and $installed is installed: pg_upgrade it"
}

stop_cluster() {
    cluster_running || return 0
    as_postgres "$(postgres_program pg_ctl)" stop --wait --timeout=60 --silent --mode="${1:-fast}" \
        --pgdata="$STATE_DIR/postgres/data"
}
