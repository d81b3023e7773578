# shellcheck shell=bash
# Programs that a stack keeps running in the background, each known by a file RUN_DIR/NAME.pid.
# Sourced, never run; needs state.sh. The file holds process id and start time: an id alone may be another's by now.

# Prints the start time of a living process in clock ticks since boot (field 22 of proc(5) stat): no later process with
# the same id has the same one. Fails for a zombie: it is dead, and some machines reap late.
process_start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The second field is the command's name in parentheses and may hold spaces; the third is the state.
    stat=${stat##*) }
    [[ $stat != Z* ]] || return 1
    cut -d ' ' -f 20 <<<"$stat"
}

# process_is PID START_TIME: whether that very process lives.
process_is() {
    [[ -n ${2-} && $(process_start_time "$1") == "$2" ]]
}

daemon_pid() {
    local pid started
    read -r pid started 2>/dev/null <"$RUN_DIR/$1.pid" || return 1
    process_is "$pid" "$started" || return 1
    printf '%s\n' "$pid"
}

# start_daemon NAME LOG COMMAND...: in a session of its own, and in the run directory, where conmon leaves a file `oom`
# for a container that ran out of memory. Does nothing when it runs already.
start_daemon() {
    local name=$1 log=$2 pid
    shift 2
    daemon_pid "$name" >/dev/null && return 0
    [[ -e $log ]] || (umask 077 && : >"$log")
    (cd "$RUN_DIR" && exec setsid "$@") >>"$log" 2>&1 </dev/null 9>&- &
    pid=$!
    printf '%s %s\n' "$pid" "$(process_start_time "$pid")" >"$RUN_DIR/$name.pid"
}

# stop_daemon NAME [SECONDS]: asks it to end, and kills it when it has not after the time given (30 s).
stop_daemon() {
    local name=$1 patience=${2:-30} pid tick
    if pid=$(daemon_pid "$name"); then
        kill "$pid" 2>/dev/null || true
        for ((tick = 0; tick < patience * 10; tick++)); do
            daemon_pid "$name" >/dev/null || break
            sleep 0.1
        done
        if daemon_pid "$name" >/dev/null; then
            say "$name (pid $pid) did not stop in $patience s: killing it"
        fi
        # Its session ends with it, what it has left running included.
        kill -9 -- "-$pid" 2>/dev/null || true
    fi
    rm -f "$RUN_DIR/$name.pid"
}

# wait_until SECONDS COMMAND...: polls until the command succeeds.
wait_until() {
    local tick limit=$(($1 * 10))
    shift
    for ((tick = 0; tick < limit; tick++)); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    return 1
}
