# Which package indexes this build uses, in the order pip asks them. Sourced by
# the hooks and by environment.d, so that both always agree.
#
# Values may hold a password: callers switch xtrace off before they use these,
# and show a URL only through dib_pypi_redacted.

# Folder that the tests put before every absolute path; empty in a real build.
DIB_PYPI_ROOT=${DIB_PYPI_TEST_ROOT:-}

DIB_PYPI_DEFAULT_MIRROR=file:///tmp/pypi

# dib_pypi_mirror_names PREFIX: names of the set variables that begin with
# PREFIX, one a line, sorted as plain strings (so _1, _10, _2).
dib_pypi_mirror_names() {
    local LC_ALL=C name names=() position
    while IFS= read -r name; do
        [[ $name == "$1"* ]] || continue
        position=${#names[@]}
        while ((position > 0)) && [[ ${names[position - 1]} > $name ]]; do
            names[position]=${names[position - 1]}
            position=$((position - 1))
        done
        names[position]=$name
    done <<< "$(compgen -v)"
    ((${#names[@]} == 0)) || printf '%s\n' "${names[@]}"
}

# dib_pypi_urls_of PREFIX: the non-empty values of those variables, in order.
dib_pypi_urls_of() {
    local name url
    while IFS= read -r name; do
        [ -n "$name" ] || continue
        url=${!name:-}
        url=${url#"${url%%[![:space:]]*}"}
        url=${url%"${url##*[![:space:]]}"}
        [ -z "$url" ] || printf '%s\n' "$url"
    done <<< "$(dib_pypi_mirror_names "$1")"
}

# Only what the caller asked for; prints nothing when no variable has a value.
# DIB_ sorts before PYPI_, so two sorted lists are one sorted list.
dib_pypi_configured_mirrors() {
    dib_pypi_urls_of DIB_PYPI_MIRROR_URL
    dib_pypi_urls_of PYPI_MIRROR_URL
}

# The mirrors, or else the bind-mounted one.
dib_pypi_mirrors() {
    local mirrors
    mirrors=$(dib_pypi_configured_mirrors)
    printf '%s\n' "${mirrors:-$DIB_PYPI_DEFAULT_MIRROR}"
}

# Any value switches the official index off, "0" too.
dib_pypi_official_is_off() {
    [ -n "${DIB_OFFLINE:-}" ] || [ -n "${DIB_NO_PYPI_PIP:-}" ]
}

# Every index, each once, the official one last unless it is off.
dib_pypi_indexes() {
    local url seen=$'\n'
    while IFS= read -r url; do
        [[ $seen != *$'\n'"$url"$'\n'* ]] || continue
        seen+=$url$'\n'
        printf '%s\n' "$url"
    done <<< "$(
        dib_pypi_mirrors
        dib_pypi_official_is_off ||
            printf '%s\n' "${DIB_PYPI_OFFICIAL_URL:-https://pypi.org/simple}"
    )"
}

# Does this index live in the folder that is mounted only while hooks install?
dib_pypi_is_mounted_index() {
    [[ $1 == "$DIB_PYPI_DEFAULT_MIRROR" || $1 == "$DIB_PYPI_DEFAULT_MIRROR"/* ]]
}

# Scheme in lower case, without "://".
dib_pypi_scheme() {
    local scheme=${1%%:*}
    printf '%s\n' "${scheme,,}"
}

# user:password@host:port, as written.
dib_pypi_authority() {
    local rest=${1#*://}
    printf '%s\n' "${rest%%[/?#]*}"
}

# host or host:port, without user and password.
dib_pypi_netloc() {
    local authority
    authority=$(dib_pypi_authority "$1")
    printf '%s\n' "${authority##*@}"
}

# host alone, an IPv6 address without its brackets.
dib_pypi_host() {
    local netloc
    netloc=$(dib_pypi_netloc "$1")
    if [[ $netloc == \[*\]* ]]; then
        netloc=${netloc#[}
        printf '%s\n' "${netloc%%]*}"
    else
        printf '%s\n' "${netloc%%:*}"
    fi
}

# Path with what follows it; empty for http://host.
dib_pypi_tail() {
    local rest=${1#*://} authority
    authority=$(dib_pypi_authority "$1")
    printf '%s\n' "${rest#"$authority"}"
}

# dib_pypi_with_user USER URL: the URL with its user part replaced by USER.
dib_pypi_with_user() {
    if [[ $2 == *://* && $(dib_pypi_authority "$2") == *@* ]]; then
        printf '%s://%s%s%s\n' "${2%%://*}" "$1" "$(dib_pypi_netloc "$2")" "$(dib_pypi_tail "$2")"
    else
        printf '%s\n' "$2"
    fi
}

# The URL as a log may show it.
dib_pypi_redacted() {
    dib_pypi_with_user '***@' "$1"
}

# Hosts that pip must be told to trust: those spoken to over plain http. Never
# one of https, since trusting switches certificate checks off. Loopback hosts
# are in, because pip keeps nothing it fetched over http in its own cache unless
# the host is trusted.
dib_pypi_trusted_hosts() {
    local url host seen=$'\n'
    while IFS= read -r url; do
        [ "$(dib_pypi_scheme "$url")" = http ] || continue
        host=$(dib_pypi_netloc "$url")
        [[ $seen != *$'\n'"$host"$'\n'* ]] || continue
        seen+=$host$'\n'
        printf '%s\n' "$host"
    done <<< "$(dib_pypi_indexes)"
}

# DIB_PIP_RETRIES when it is a whole number, else nothing: pip and uv stop with
# an error at anything else.
dib_pypi_retries() {
    [[ ! ${DIB_PIP_RETRIES:-} =~ ^[0-9]+$ ]] || printf '%s\n' "$DIB_PIP_RETRIES"
}
