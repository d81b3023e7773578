# shellcheck shell=bash
# Where packages come from: what this host's own apt, pip and npm are configured to use.
# Sourced, never run.

# Prints a sources.list for a Debian suite from the Debian mirrors in apt's configuration; the public ones otherwise.
debian_sources() {
    local suite=$1 label address archive security
    while IFS='|' read -r label address; do
        case $label in
            Debian) archive=${archive:-$address} ;;
            Debian-Security) security=${security:-$address} ;;
        esac
    done < <(apt-get indextargets --format "\$(LABEL)|\$(REPO_URI)" 'Created-By: Packages' 'Origin: Debian' 2>/dev/null || true)
    cat <<SOURCES
deb ${archive:-http://deb.debian.org/debian} $suite main
deb ${archive:-http://deb.debian.org/debian} $suite-updates main
deb ${security:-http://deb.debian.org/debian-security} $suite-security main
SOURCES
}

# Prints apt's proxy, certificate and time-out settings, which mmdebstrap would not read.
apt_transport() {
    apt-config dump --no-empty Acquire::http Acquire::https 2>/dev/null || true
}

# Prints the value of a key in the first of npm's configuration files that has it.
npm_setting() {
    sed -n "s/^$1 *= *//p" ~/.npmrc /etc/npmrc /usr/etc/npmrc /usr/local/etc/npmrc 2>/dev/null | head -n 1
}

npm_registry() {
    local registry
    registry=${NPM_CONFIG_REGISTRY:-$(npm_setting registry)}
    printf '%s\n' "${registry:-https://registry.npmjs.org/}"
}

# Prints a setting of pip, such as `index-url`, from its environment variable or the first file that has it.
pip_setting() {
    local variable=PIP_${1//-/_}
    variable=${variable^^}
    if [[ -n ${!variable-} ]]; then
        printf '%s\n' "${!variable}"
    else
        sed -n "s/^$1 *= *//p" ~/.config/pip/pip.conf ~/.pip/pip.conf /etc/pip.conf 2>/dev/null | head -n 1
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
    index=$(without_credentials "$(pip_setting index-url)" "pip index")
    printf '[global]\n'
    [[ -z $index ]] || printf 'index-url = %s\n' "$index"
}

# Prints the npmrc of build images.
build_npmrc() {
    local registry
    registry=$(without_credentials "$(npm_registry)" "npm registry")
    [[ -z $registry ]] || printf 'registry=%s\n' "$registry"
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
