# shellcheck shell=bash
# Where packages come from: what this host's own apt, pip, npm and pub are configured to use.
# Sourced, never run.

# Prints the lines of a sources.list for a Debian suite, from the Debian mirrors in apt's configuration. Nothing where
# apt has none: mmdebstrap then uses the public ones.
debian_mirrors() {
    local suite=$1 label address archive security
    while IFS='|' read -r label address; do
        case $label in
            Debian) archive=${archive:-$address} ;;
            Debian-Security) security=${security:-$address} ;;
        esac
    done < <(apt-get indextargets --format "\$(LABEL)|\$(REPO_URI)" 'Created-By: Packages' 'Origin: Debian' 2>/dev/null)
    if [[ -n ${archive-} && $suite == sid ]]; then
        printf 'deb %s sid main\n' "$archive"
    elif [[ -n ${archive-} && -n ${security-} ]]; then
        printf 'deb %s main\n' "$archive $suite" "$archive $suite-updates" "$security $suite-security"
    fi
}

# Prints apt's proxy, certificate and time-out settings, which mmdebstrap would not read. A mirror that stands still is
# as good as any other for a suite's lists, of which those of sid are out of date within days.
apt_settings() {
    local suite=$1
    [[ $suite != sid ]] || printf 'Acquire::Check-Valid-Until "false";\n'
    apt-config dump --no-empty Acquire::http Acquire::https 2>/dev/null || true
}

# setting NAME VARIABLE FILE...: prints a setting from the environment, else from the first file that has it.
setting() {
    local name=$1 variable=$2
    shift 2
    if [[ -n ${!variable-} ]]; then
        printf '%s\n' "${!variable}"
    else
        sed -s -n "/^$name *=/ { s/^$name *= *//p; q }" "$@" 2>/dev/null || true
    fi
}

# Builds run other people's code, so an address that carries a password is not handed to them.
without_credentials() {
    if [[ $1 == *://*@* ]]; then
        say "The $2 of this host carries a password: function builds do not get it and use the public one"
    else
        printf '%s\n' "$1"
    fi
}

# Prints the pip.conf of build images.
build_pip_conf() {
    local index
    index=$(setting index-url PIP_INDEX_URL ~/.config/pip/pip.conf ~/.pip/pip.conf /etc/pip.conf)
    index=$(without_credentials "$index" "pip index")
    printf '[global]\n'
    [[ -z $index ]] || printf 'index-url = %s\n' "$index"
}

# Prints the npmrc of build images.
build_npmrc() {
    local registry
    registry=$(setting registry NPM_CONFIG_REGISTRY ~/.npmrc /etc/npmrc /usr/etc/npmrc /usr/local/etc/npmrc)
    registry=$(without_credentials "$registry" "npm registry")
    [[ -z $registry ]] || printf 'registry=%s\n' "$registry"
}

# Prints the address that pub is configured to use, if any.
pub_registry() {
    without_credentials "${PUB_HOSTED_URL-}" "pub registry"
}

# Prints the environment of pub in build images, for a shell to read.
build_pub_env() {
    local registry
    registry=$(pub_registry)
    [[ -z $registry ]] || printf 'export PUB_HOSTED_URL=%q\n' "$registry"
}

# registry_addresses RUNTIME IMAGE: prints where the installer in a runtime's build image finds packages, an address a
# line.
registry_addresses() {
    case $1 in
        python) podman run --rm --network=none --entrypoint python3 "$2" -c "$pip_addresses" ;;
        node) podman run --rm --network=none --entrypoint npm "$2" config get registry ;;
        dart) pub_addresses "$2" ;;
    esac
}

# pub has no command for the address that it uses where none is configured: it stands in its program, more often than
# that of the years before.
pub_addresses() {
    local image=$1 registry
    registry=$(pub_registry)
    if [[ -z $registry ]]; then
        registry=$(podman run --rm --network=none --entrypoint cat "$image" \
            /usr/lib/dart/bin/snapshots/dartdev_aot.dart.snapshot |
            grep -aoE 'https://pub\.[a-z]+' | sort | uniq -c | sort -rn | sed -nE '1s/^ *[0-9]+ //p')
    fi
    printf '%s\n' "$registry"
}

# pip has no command for the addresses that it uses where none is configured.
pip_addresses='
import subprocess, sys
from pip._internal.models.index import PyPI
found = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True)
print(found.stdout.strip() or f"{PyPI.url}\nhttps://{PyPI.file_storage_domain}")'

# Prints the host and port of each address as BUILD_REGISTRIES has them, a line each.
registry_hosts() {
    sed -nE -e 's|/*$|/|' -e 's!^http://(\[[^]/]*\]|[^/:@]+)/.*!\1:80!p' -e 's!^https?://([^/@]+)/.*!\1!p'
}

# Prints the registries that builds may reach, separated by commas: those of the operator's BUILD_REGISTRIES where it
# names some, else what scripts/build-runtimes found.
build_registries() {
    if [[ -n ${BUILD_REGISTRIES-} ]]; then
        printf '%s\n' "$BUILD_REGISTRIES"
    else
        { sed -s 1d "$STATE_DIR"/registries-* 2>/dev/null || true; } | LC_ALL=C sort -u | paste -sd , -
    fi
}

# Prints the path of the bundle of certificate authorities that this host trusts.
ca_bundle() {
    local bundle
    for bundle in "${SSL_CERT_FILE-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
        if [[ -s $bundle ]]; then
            printf '%s\n' "$bundle"
            return
        fi
    done
    fail -69 "no bundle of certificate authorities: install ca-certificates"
}
