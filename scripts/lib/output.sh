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

# step TITLE COMMAND...: runs a command that takes more than a few seconds. It prints a line at the start, one every ten
# seconds and one at the end; the command's own output is shown only when it fails. That output is kept in a file without
# a name, and the command runs in the foreground, so that an interrupted step leaves neither behind.
step() {
    local title=$1 started=$SECONDS status=0 file log printer
    shift
    file=$(mktemp)
    exec {log}<>"$file"
    rm "$file"
    file=/proc/$BASHPID/fd/$log
    say "$title ..."
    show_progress "$file" &
    printer=$!
    "$@" >&"$log" 2>&1 || status=$?
    kill "$printer"
    wait "$printer" 2>/dev/null || true
    if ((status != 0)); then
        cat "$file" >&2
        say "$title: failed with status $status after $((SECONDS - started)) s"
    else
        say "$title: done in $((SECONDS - started)) s"
    fi
    exec {log}>&-
    return "$status"
}

# Prints the last line of a growing file every ten seconds, for as long as this script lives.
show_progress() {
    local seconds=0
    while sleep 10 >/dev/null 2>&1 8>&- 9>&- && kill -0 $$; do
        seconds=$((seconds + 10))
        say "  ... $seconds s: $(tail -n 1 "$1" | tr -d '\r' | cut -c 1-100)"
    done
}
