# Sourced by the programs beside it: finds what a build and a start need, installs what is missing where it may, and
# otherwise says the one line to type. POSIX sh; expects the repository's top as working folder.

say() { printf '%s\n' "$*" >&2; }

have() { command -v "$1" >/dev/null 2>&1; }

find_cargo() {
    have cargo && return 0
    for folder in "${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin" /usr/local/cargo/bin /opt/homebrew/bin; do
        if [ -x "$folder/cargo" ]; then
            PATH="$folder:$PATH"
            export PATH
            return 0
        fi
    done
    say "Rust is missing. Get it from https://rustup.rs, open a new shell, and run this again."
    exit 3
}

have_postgres() {
    for folder in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* /usr/lib/postgresql/bin \
        /usr/local/pgsql/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
        /home/linuxbrew/.linuxbrew/opt/postgresql*/bin /Library/PostgreSQL/*/bin; do
        [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && return 0
    done
    have initdb && have postgres
}

# The names that this system's packages have for: postgres, cc, curl.
package_for() {
    case "$manager:$1" in
        dnf:postgres) echo postgresql-server ;;
        brew:postgres) echo postgresql@17 ;;
        *:postgres) echo postgresql ;;
        apt-get:cc) echo gcc libc6-dev ;;
        apk:cc) echo gcc musl-dev ;;
        *:cc) echo gcc ;;
        *) echo "$1" ;;
    esac
}

find_manager() {
    for manager in apt-get dnf apk pacman brew; do
        have "$manager" && return 0
    done
    manager=
    return 1
}

install_line() {
    case "$manager" in
        apt-get) echo "apt-get update && apt-get install -y --no-install-recommends $*" ;;
        dnf) echo "dnf install -y $*" ;;
        apk) echo "apk add $*" ;;
        pacman) echo "pacman -Sy --noconfirm $*" ;;
        brew) echo "brew install $*" ;;
    esac
}

# Debian's package makes and starts a server for the whole machine; ours needs only the programs. The file goes
# back to what the package ships, so that later installs behave as their users expect.
without_system_cluster() {
    settings=/etc/postgresql-common/createcluster.conf
    shipped=/usr/share/postgresql-common/createcluster.conf
    if [ "$manager" != apt-get ] || [ -e "$settings" ]; then
        "$@"
        return
    fi
    mkdir -p "${settings%/*}" && echo 'create_main_cluster = false' >"$settings"
    status=0
    "$@" || status=$?
    if [ -e "$shipped" ]; then cp "$shipped" "$settings"; else rm -f "$settings"; fi
    return "$status"
}

run_line() { DEBIAN_FRONTEND=noninteractive sh -c "$1" >&2; }

# install NEED...: installs, or says the line and exits with 3.
install() {
    find_manager || {
        say "Missing: $*. No package manager that is known here was found: install them by hand, then run this again."
        exit 3
    }
    packages=
    for need in "$@"; do packages="$packages $(package_for "$need")"; done
    # Word splitting drops the leading space.
    # shellcheck disable=SC2086
    line=$(install_line $packages)
    if [ "$(id -u)" = 0 ] || [ "$manager" = brew ]; then
        say "Missing: $*. Installing: $line"
        without_system_cluster run_line "$line" || { say "The installation failed; the line was: $line"; exit 3; }
    elif have sudo && sudo -n true 2>/dev/null; then
        say "Missing: $*. Installing with sudo: $line"
        sudo env DEBIAN_FRONTEND=noninteractive sh -c "$line" >&2 || { say "The installation failed; the line was: $line"; exit 3; }
    else
        say "Missing: $*. Installing takes root's rights. As root, type this line, then run this again:"
        say ""
        say "    $line"
        say ""
        exit 3
    fi
}

# set_up NEED...: cargo, a linker, and those of `postgres` and `curl` that are named.
set_up() {
    find_cargo
    missing=
    have cc || have gcc || have clang || missing="$missing cc"
    for need in "$@"; do
        case "$need" in
            postgres) have_postgres || missing="$missing postgres" ;;
            *) have "$need" || missing="$missing $need" ;;
        esac
    done
    # shellcheck disable=SC2086
    [ -z "$missing" ] || install $missing
}
