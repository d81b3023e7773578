# shellcheck shell=bash
# Where a stack keeps its things: outside the checkout, so that service users can enter and socket paths stay short.
# Sourced, never run. Call `use_stack [SUFFIX]` first: it sets STACK_ID, STATE_DIR, RUN_DIR and CACHE_DIR.

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

# Prints the root of the runtime directories of this user; a user without a login session has no XDG_RUNTIME_DIR.
run_root() {
    if ((EUID == 0)); then
        printf '/run/slipway\n'
    elif [[ -n ${XDG_RUNTIME_DIR-} && -w ${XDG_RUNTIME_DIR-} ]]; then
        printf '%s/slipway\n' "$XDG_RUNTIME_DIR"
    else
        printf '/tmp/slipway-%s\n' "$EUID"
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
    export CONTAINERS_CONF=$STATE_DIR/containers.conf
    export CONTAINERS_STORAGE_CONF=$STATE_DIR/storage.conf
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
