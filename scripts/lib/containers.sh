# shellcheck shell=bash
# The Podman side of a stack: its API service, and forgetting all that it ran and stored.
# Sourced, never run; needs output.sh, state.sh, daemons.sh and postgres.sh.

podman_socket() {
    printf '%s/podman.sock\n' "$RUN_DIR"
}

podman_answers() {
    curl --silent --fail --max-time 2 --unix-socket "$(podman_socket)" http://podman/_ping
}

# Starts Podman's API service. In production the function-runner does this itself (PODMAN_MANAGED=true).
start_podman_service() {
    start_daemon podman-service "$STATE_DIR/podman-service.log" \
        podman system service --time=0 "unix://$(podman_socket)"
    wait_until 30 podman_answers || fail "Podman does not answer: $(tail -n 5 "$STATE_DIR/podman-service.log")"
}

stop_podman_service() {
    local pid
    # A user's Podman serves from a child, which does not hear of its parent's signals.
    if pid=$(daemon_pid podman-service); then
        kill -- "-$pid" 2>/dev/null || true
    fi
    stop_daemon podman-service 10
    rm -f "$(podman_socket)"
}

# Prints the ids of Podman's own processes: the service, its child in a user namespace, and the process that holds the
# namespace of a user's Podman.
podman_pids() {
    local service
    if service=$(daemon_pid podman-service); then
        printf '%s\n' "$service"
        xargs -n 1 < <(cat "/proc/$service/task"/*/children 2>/dev/null || true)
    fi
    cat "$RUN_DIR/libpod/pause.pid" 2>/dev/null || true
}

# Prints the ids of processes whose command line or environment names a directory of this stack, but not those of its
# PostgreSQL and its Podman service, and not the caller's.
stack_pids() {
    local known candidates pid
    known=$(printf '%s\n' $$ "$PPID" "$(podman_pids)" "$(cluster_pids)")
    # shellcheck disable=SC2062 # the braces name files
    candidates=$(grep -lsaF --file=<(printf '%s/\n' "$STATE_DIR" "$RUN_DIR") /proc/[0-9]*/{cmdline,environ} |
        cut -d / -f 3 | sort -u | grep -vxF "$known" || true)
    # The commands of this search are over by now.
    for pid in $candidates; do
        [[ ! -d /proc/$pid ]] || printf '%s\n' "$pid"
    done
}

# Kills what the tests of this stack left running.
kill_stack_processes() {
    local pid
    for pid in $(stack_pids); do
        kill -9 "$pid" 2>/dev/null || true
    done
}

# Prints every image tag with the image's id, sorted.
list_image_tags() {
    podman images --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | grep -v '^<none>' | LC_ALL=C sort
}

# Prints the mount points below a directory, deepest first.
mounts_below() {
    awk -v prefix="$1/" 'index($5, prefix) == 1 { print $5 }' /proc/self/mountinfo | sort -r
}

# Prints the bridges of the stack's networks, a line each.
network_interfaces() {
    sed -n 's/.*"network_interface": "\(.*\)".*/\1/p' "$STATE_DIR"/networks/*.json 2>/dev/null || true
}

# Prints the ids of the function-runners that left networks of instances.
network_runners() {
    sed -n 's/.*"dev\.slipway\.runner": "\([0-9a-f]*\)".*/\1/p' "$STATE_DIR"/networks/*.json 2>/dev/null | sort -u
}

# Removes every container of this stack, its storage, mounts and networks. The directories must not be in use.
forget_containers() {
    local interface runner
    if [[ -e $CONTAINERS_STORAGE_CONF ]]; then
        podman rm --all --force --time 0 >/dev/null || say "podman rm failed: cleaning up by hand"
        podman rm --all --force --storage >/dev/null 2>&1 || true
    fi
    if ((EUID == 0)); then
        mounts_below "$STATE_DIR" | xargs -r umount --lazy
        mounts_below "$RUN_DIR" | xargs -r umount --lazy
        for interface in $(network_interfaces); do
            if ip link show "$interface" >/dev/null 2>&1; then
                ip link delete "$interface"
            fi
        done
        for runner in $(network_runners); do
            scripts/forget-egress "$runner"
        done
        rm -rf "$STATE_DIR/containers" "$RUN_DIR/containers" "$RUN_DIR/libpod"
    else
        # The files and the mount belong to this user's namespace.
        # shellcheck disable=SC2016 # expanded inside
        podman unshare sh -c 'umount --lazy "$1/overlay" 2>/dev/null; rm -rf "$@"' sh \
            "$STATE_DIR/containers" "$RUN_DIR/containers"
        xargs -r kill 2>/dev/null <"$RUN_DIR/libpod/pause.pid" || true
        rm -rf "$RUN_DIR/libpod"
    fi
}
