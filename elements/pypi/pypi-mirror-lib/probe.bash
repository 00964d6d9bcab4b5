# Asking each index once whether it answers, so that a dead mirror is one line
# in the log instead of a time-out per package. Nothing here fails a build.

DIB_PYPI_PROBE_SECONDS=5

dib_pypi_now_ms() {
    local now
    now=$(date +%s%3N)
    # Some small date commands do not know %N.
    [[ $now =~ ^[0-9]+$ ]] || now=$(date +%s)000
    printf '%s\n' "$now"
}

dib_pypi_uses_proxy() {
    [ -n "${http_proxy:-}${https_proxy:-}${HTTPS_PROXY:-}${all_proxy:-}${ALL_PROXY:-}" ]
}

# The page of one project: the root page of a big index is tens of megabytes.
# No password goes along, since certificates are not checked here: the image may
# have none yet. "Please log in" is an answer too.
dib_pypi_probe_url() {
    local url
    url=$(dib_pypi_with_user '' "$1")
    printf '%s/pip/\n' "${url%/}"
}

# Status by curl, which knows TLS and proxies; 000 when there was no answer.
dib_pypi_status_by_curl() {
    curl -q -s -k -I -o /dev/null -w '%{http_code}' --max-time "$DIB_PYPI_PROBE_SECONDS" \
        "$(dib_pypi_probe_url "$1")" 2> /dev/null || true
}

# Status by bash alone. A host that accepts a TLS connection counts as "open".
dib_pypi_status_by_bash() {
    local scheme netloc host port path
    scheme=$(dib_pypi_scheme "$1")
    netloc=$(dib_pypi_netloc "$1")
    path=$(dib_pypi_tail "$(dib_pypi_probe_url "$1")")
    port=80
    [ "$scheme" = http ] || port=443
    host=$netloc
    if [[ $netloc =~ ^(.*):([0-9]+)$ ]]; then
        host=${BASH_REMATCH[1]}
        port=${BASH_REMATCH[2]}
    fi
    host=${host#[}
    host=${host%]}
    timeout "$DIB_PYPI_PROBE_SECONDS" bash -c '
        exec 3<> "/dev/tcp/$2/$3" || exit 1
        if [ "$1" = https ]; then
            echo open
            exit 0
        fi
        printf "HEAD %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n" "$5" "$4" >&3
        IFS=" " read -r protocol status reason <&3
        [[ $protocol == HTTP/* ]] && echo "$status"
    ' probe "$scheme" "$host" "$port" "$netloc" "$path" 2> /dev/null || true
}

# dib_pypi_status URL: an HTTP status, "open", "folder", "000" or "unknown".
dib_pypi_status() {
    local path status
    case $(dib_pypi_scheme "$1") in
        file)
            path=$(dib_pypi_tail "$1")
            path=$(printf '%b' "${path//%/\\x}")
            if [ -d "$DIB_PYPI_ROOT$path" ]; then echo folder; else echo 000; fi
            ;;
        http | https)
            if command -v curl > /dev/null; then
                status=$(dib_pypi_status_by_curl "$1")
            elif dib_pypi_uses_proxy || ! command -v timeout > /dev/null; then
                status=unknown
            else
                status=$(dib_pypi_status_by_bash "$1")
            fi
            echo "${status:-000}"
            ;;
        *)
            echo unknown
            ;;
    esac
}

# A name that is known on the build host only (its own host name, for example)
# is a common reason for a mirror that answers everywhere but in the image.
dib_pypi_resolves() {
    local host
    host=$(dib_pypi_netloc "$1")
    [[ $host != \[* ]] || return 0
    host=${host%:*}
    [ "$(dib_pypi_scheme "$1")" != file ] || return 0
    ! dib_pypi_uses_proxy || return 0
    command -v getent > /dev/null && command -v timeout > /dev/null || return 0
    timeout "$DIB_PYPI_PROBE_SECONDS" getent ahosts "$host" > /dev/null
}

# Print one line about every index; return 1 if it is certain that none answers.
dib_pypi_probe() {
    local url shown status start took line='pypi:' some_may_answer=1
    while IFS= read -r url; do
        shown=$(dib_pypi_redacted "$url")
        start=$(dib_pypi_now_ms)
        status=$(dib_pypi_status "$url")
        took=$(($(dib_pypi_now_ms) - start))
        case $status in
            unknown)
                line+=" $shown not probed;"
                some_may_answer=0
                ;;
            000)
                line+=" $shown does not answer ($took ms);"
                if ! dib_pypi_resolves "$url"; then
                    echo "WARNING: pypi: the host of $shown has no address inside the image;" \
                        'a mirror on this machine is best given as http://127.0.0.1:PORT/'
                fi
                ;;
            5*)
                line+=" $shown fails ($status, $took ms);"
                ;;
            *)
                line+=" $shown answers ($status, $took ms);"
                some_may_answer=0
                ;;
        esac
    done <<< "$(dib_pypi_indexes)"
    if [ -n "${DIB_OFFLINE:-}" ]; then
        line+=' offline: official index off'
    elif [ -n "${DIB_NO_PYPI_PIP:-}" ]; then
        line+=' DIB_NO_PYPI_PIP: official index off'
    fi
    echo "${line%;}"
    return "$some_may_answer"
}
