# The variables that environment.d/99-pypi-mirror exports inside the image.

source "${BASH_SOURCE[0]%/*}/indexes.bash"

# dib_pypi_any_set NAME…: has one of them a value already? Then an element, or
# with DIB_PYPI_KEEP_ENV=1 the caller, has chosen, and mixing would help nobody.
dib_pypi_any_set() {
    local name
    for name in "$@"; do
        [ -z "${!name:-}" ] || return 0
    done
    return 1
}

# The mounted folder is gone in finalise.d.
dib_pypi_indexes_of_phase() {
    local url
    while IFS= read -r url; do
        if [ "$1" = finalise.d ] && dib_pypi_is_mounted_index "$url"; then
            continue
        fi
        printf '%s\n' "$url"
    done <<< "$(dib_pypi_indexes)"
}

# uv asks its default index last, whatever the order of the variables, and stops
# at the first index that knows a name unless told to compare as pip does.
dib_pypi_uv_environment() {
    local indexes=("$@") last=$(($# - 1))
    echo "UV_DEFAULT_INDEX=${indexes[last]}"
    ((last == 0)) || echo "UV_INDEX=${indexes[*]:0:last}"
    echo UV_INDEX_STRATEGY=unsafe-best-match
}

dib_pypi_pip_environment() {
    local indexes=("$@") trusted
    echo "PIP_INDEX_URL=${indexes[0]}"
    (($# == 1)) || echo "PIP_EXTRA_INDEX_URL=${indexes[*]:1}"
    trusted=$(dib_pypi_trusted_hosts)
    [ -z "$trusted" ] || echo "PIP_TRUSTED_HOST=${trusted//$'\n'/ }"
}

# pip and uv send even what is meant for this machine through a proxy, and a proxy
# elsewhere cannot reach it.
dib_pypi_no_proxy_environment() {
    local url host present=${no_proxy:-${NO_PROXY:-}} entries
    dib_pypi_any_set http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY || return 0
    entries=$present
    while IFS= read -r url; do
        host=$(dib_pypi_host "$url")
        case $host in
            localhost | *.localhost | 127.* | ::1) ;;
            *) continue ;;
        esac
        [[ ,${entries// /}, == *,"$host",* ]] || entries+=${entries:+,}$host
    done <<< "$(dib_pypi_mirrors)"
    if [ "$entries" != "$present" ]; then
        echo "no_proxy=$entries"
        echo "NO_PROXY=$entries"
    fi
}

# uv brings certificates of its own and does not ask the image for any. Only for
# mirrors: the official index needs no others, and an image may have none at all.
dib_pypi_certificate_environment() {
    local url
    ! dib_pypi_any_set UV_SYSTEM_CERTS UV_NATIVE_TLS SSL_CERT_FILE SSL_CERT_DIR || return 0
    while IFS= read -r url; do
        if [ "$(dib_pypi_scheme "$url")" = https ]; then
            echo UV_SYSTEM_CERTS=1
            # Its older name.
            echo UV_NATIVE_TLS=1
            return 0
        fi
    done <<< "$(dib_pypi_mirrors)"
}

# dib_pypi_environment HOOKS_FOLDER: NAME=VALUE lines.
dib_pypi_environment() {
    local phase=${1##*/} indexes=() url retries
    while IFS= read -r url; do
        [ -z "$url" ] || indexes+=("$url")
    done <<< "$(dib_pypi_indexes_of_phase "$phase")"
    retries=$(dib_pypi_retries)

    dib_pypi_no_proxy_environment
    dib_pypi_certificate_environment
    if ! dib_pypi_any_set UV_DEFAULT_INDEX UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL; then
        if ((${#indexes[@]} > 0)); then
            dib_pypi_uv_environment "${indexes[@]}"
        else
            # Without one uv goes to the official index, and no variable tells it
            # to use none (0.13.8). It takes a missing folder for an empty index.
            echo UV_DEFAULT_INDEX=file:///nonexistent
        fi
    fi
    if [ -n "$retries" ] && ! dib_pypi_any_set UV_HTTP_RETRIES; then
        echo "UV_HTTP_RETRIES=$retries"
    fi

    # Before these phases pip.conf does it, and can be edited by hooks.
    [ "$phase" = post-install.d ] || [ "$phase" = finalise.d ] || return 0
    if ! dib_pypi_any_set PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_NO_INDEX PIP_CONFIG_FILE; then
        if ((${#indexes[@]} > 0)); then
            dib_pypi_pip_environment "${indexes[@]}"
        else
            echo PIP_NO_INDEX=1
        fi
    fi
    if [ -n "$retries" ] && ! dib_pypi_any_set PIP_RETRIES; then
        echo "PIP_RETRIES=$retries"
    fi
}
