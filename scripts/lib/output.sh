# shellcheck shell=bash
# Messages of the scripts: `say` for progress, `fail` to stop and name what to do.
# Sourced, never run. Everything goes to stderr, so that stdout stays for results.

say() {
    printf '%s\n' "$*" >&2
}

# fail [-STATUS] MESSAGE...: exit statuses follow sysexits.h (64 usage, 69 unavailable, 70 internal).
fail() {
    local status=1
    if [[ ${1-} =~ ^-([0-9]+)$ ]]; then
        status=${BASH_REMATCH[1]}
        shift
    fi
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit "$status"
}

# A failure inside $(...) counts as well.
shopt -s inherit_errexit

# What fails unforeseen says where, instead of ending in silence; a script of ours has said it already.
set -o errtrace
trap '[[ $BASH_COMMAND == scripts/* ]] ||
    printf "%s: stopped in %s, line %s: %s\n" "${0##*/}" "${BASH_SOURCE[0]}" "$LINENO" "$BASH_COMMAND" >&2' ERR

# step TITLE COMMAND...: runs a command that takes more than a few seconds. It prints a line at the start, one
# every ten seconds and one at the end; the command's own output is shown only when it fails.
step() {
    local title=$1 started=$SECONDS log status=0 command_pid
    shift
    log=$(mktemp)
    say "$title ..."
    "$@" >"$log" 2>&1 &
    command_pid=$!
    while kill -0 "$command_pid" 2>/dev/null; do
        sleep 0.2
        if (((SECONDS - started) % 10 == 0 && SECONDS - started != ${last_shown:-0})); then
            local last_shown=$((SECONDS - started))
            say "  ... ${last_shown} s: $(tail -n 1 "$log" | tr -d '\r' | cut -c 1-100)"
        fi
    done
    wait "$command_pid" || status=$?
    if ((status != 0)); then
        cat "$log" >&2
        rm -f "$log"
        say "$title: failed with status $status after $((SECONDS - started)) s"
        return "$status"
    fi
    rm -f "$log"
    say "$title: done in $((SECONDS - started)) s"
}
