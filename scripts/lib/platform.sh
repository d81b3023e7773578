# shellcheck shell=bash
# What this machine is like: where PostgreSQL's programs lie, which OCI runtime works.
# Sourced, never run.

# Where iptables and ip lie; a user's PATH need not have it.
PATH=$PATH:/usr/sbin:/sbin

# Prints the path of a PostgreSQL server program (initdb, pg_ctl, ...), or its bare name where there is none.
# Debian keeps them outside PATH, one folder a version; the newest wins.
postgres_program() {
    local found
    found=$(printf '%s\n' /usr/lib/postgresql/*/bin/"$1" | sort -V | tail -n 1)
    if [[ -x $found ]]; then
        printf '%s\n' "$found"
    else
        type -P "$1" || printf '%s\n' "$1"
    fi
}

# Prints the OCI runtime that works here: crun where all controllers are on cgroup v2, runc on v1 and hybrid hosts,
# which crun refuses.
oci_runtime() {
    if [[ $(stat -f -c %T /sys/fs/cgroup 2>/dev/null) == cgroup2fs ]]; then
        printf 'crun\n'
    else
        printf 'runc\n'
    fi
}
