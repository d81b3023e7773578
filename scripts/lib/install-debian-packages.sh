#!/usr/bin/env bash
# Installs Debian packages (arguments) without letting them make a PostgreSQL cluster or start a daemon.
# Needs root; run by scripts/install-packages.
set -euo pipefail
source "$(dirname "$0")/output.sh"

cluster_setting=/etc/postgresql-common/createcluster.d/slipway-install.conf
start_policy=/usr/sbin/policy-rc.d
kept_policy=

# While packages are being installed: no main cluster, and no service is started.
forbid_daemons() {
    mkdir -p "${cluster_setting%/*}"
    printf 'create_main_cluster = false\n' >"$cluster_setting"
    if [[ -e $start_policy ]]; then
        kept_policy=$(mktemp "$start_policy.kept.XXXXXX")
        cp -a "$start_policy" "$kept_policy"
    fi
    printf '#!/bin/sh\nexit 101\n' >"$start_policy"
    chmod 755 "$start_policy"
}

restore_daemons() {
    rm -f "$cluster_setting"
    if [[ -n $kept_policy ]]; then
        mv -f "$kept_policy" "$start_policy"
    else
        rm -f "$start_policy"
    fi
}

# Debian enables Podman's units for the next boot; Slipway starts a Podman service of its own.
disable_podman_units() {
    local unit
    type -P systemctl >/dev/null || return 0
    for unit in podman.service podman.socket podman-restart.service podman-auto-update.timer; do
        systemctl disable --quiet "$unit" 2>/dev/null || true
    done
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -q -y "$@"
}

main() {
    local had_podman=
    had_podman=$(type -P podman || true)
    trap restore_daemons EXIT
    forbid_daemons
    step "Reading the package lists" apt update
    step "Installing $# packages" apt install --no-install-recommends "$@"
    if [[ -z $had_podman ]]; then
        disable_podman_units
    fi
}

main "$@"
