# shellcheck shell=bash
# Where a stack keeps its things: outside the checkout, so that service users can enter and socket paths stay short.
# Sourced, never run. Call `use_stack [SUFFIX]` first: it sets STACK_ID, STATE_DIR, RUN_DIR and CACHE_DIR.

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

# Prints the root of the runtime directories of this user; a user without a login session has no XDG_RUNTIME_DIR.
run_root() {
    if [[ -n ${SLIPWAY_RUN_ROOT-} ]]; then
        printf '%s\n' "$SLIPWAY_RUN_ROOT"
    elif ((EUID == 0)); then
        printf '/run/slipway\n'
    elif [[ -n ${XDG_RUNTIME_DIR-} && -w ${XDG_RUNTIME_DIR-} ]]; then
        printf '%s/slipway\n' "$XDG_RUNTIME_DIR"
    else
        printf '/tmp/slipway-%s\n' "$EUID"
    fi
}

# Points Podman to this stack. A rootless Podman takes its run root from XDG_RUNTIME_DIR whatever storage.conf says, so
# that is set as well, and the roots it gave until now are kept.
use_podman() {
    export CONTAINERS_CONF=$STATE_DIR/containers.conf CONTAINERS_STORAGE_CONF=$STATE_DIR/storage.conf
    if ((EUID != 0)) && [[ -z ${SLIPWAY_RUN_ROOT-} ]]; then
        SLIPWAY_RUN_ROOT=$(run_root)
        if [[ -S ${XDG_RUNTIME_DIR-}/bus ]]; then
            export DBUS_SESSION_BUS_ADDRESS=${DBUS_SESSION_BUS_ADDRESS:-unix:path=$XDG_RUNTIME_DIR/bus}
        fi
    fi
    if ((EUID != 0)); then
        export SLIPWAY_RUN_ROOT XDG_RUNTIME_DIR=$RUN_DIR
    fi
}

# Prints the variables that point Podman to this stack, for `eval`.
podman_environment() {
    printf 'export %s=%q\n' CONTAINERS_CONF "$CONTAINERS_CONF" CONTAINERS_STORAGE_CONF "$CONTAINERS_STORAGE_CONF"
    if ((EUID != 0)); then
        printf 'export %s=%q\n' XDG_RUNTIME_DIR "$XDG_RUNTIME_DIR" SLIPWAY_RUN_ROOT "$SLIPWAY_RUN_ROOT"
        [[ -z ${DBUS_SESSION_BUS_ADDRESS-} ]] ||
            printf 'export DBUS_SESSION_BUS_ADDRESS=%q\n' "$DBUS_SESSION_BUS_ADDRESS"
    fi
}

# One stack a checkout, named by the first 8 hex digits of the SHA-256 of its path; a suffix names further ones.
use_stack() {
    local state_root
    STACK_ID=$(printf '%s' "$CHECKOUT" | sha256sum | cut -c 1-8)${1:+-$1}
    if ((EUID == 0)); then
        state_root=/var/lib/slipway
        CACHE_DIR=/var/lib/slipway/cache
    else
        state_root=${XDG_STATE_HOME:-$HOME/.local/state}/slipway
        CACHE_DIR=${XDG_CACHE_HOME:-$HOME/.cache}/slipway
    fi
    STATE_DIR=$state_root/$STACK_ID
    RUN_DIR=$(run_root)/$STACK_ID
    use_podman
}

# Makes the directories. Others may pass through them (the postgres user must), but list or read nothing.
make_directories() {
    local directory
    for directory in "$(dirname "$RUN_DIR")" "$RUN_DIR" "$STATE_DIR" "$CACHE_DIR"; do
        mkdir -p "$directory"
        [[ -O $directory && ! -L $directory ]] || fail "$directory belongs to somebody else; remove it"
        chmod 711 "$directory"
    done
}

# Runs a command while holding a lock of this stack (file descriptor 9, which daemons must not inherit), so that two
# callers do not start it twice.
with_stack_lock() {
    make_directories
    exec 9>"$RUN_DIR/lock"
    flock --wait 600 9 || fail "another command has held $RUN_DIR/lock for 10 minutes"
    "$@"
    exec 9>&-
}
