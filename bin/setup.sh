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
    # Who names a folder is told by the program itself what it lacks.
    [ -z "${FOREBAY_PG_BIN:-}" ] || return 0
    for folder in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* /usr/lib/postgresql/bin \
        /usr/local/pgsql/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
        /home/linuxbrew/.linuxbrew/opt/postgresql*/bin /Library/PostgreSQL/*/bin; do
        [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && return 0
    done
    have initdb && have postgres
}

# The bouncers that tests run lie where an ordinary user's shell may not look.
have_daemon() { have "$1" || [ -x "/usr/sbin/$1" ] || [ -x "/usr/local/sbin/$1" ]; }

# The names that this system's packages have for: postgres, cc, curl, pip, chromium, pgbouncer, pgpool, node, tsc, prometheus, alertmanager.
package_for() {
    case "$manager:$1" in
        dnf:postgres) echo postgresql-server ;;
        brew:postgres) echo postgresql@17 ;;
        *:postgres) echo postgresql ;;
        apt-get:pip | dnf:pip) echo python3-pip ;;
        apk:pip) echo py3-pip ;;
        pacman:pip) echo python-pip ;;
        brew:pip) echo python ;;
        apt-get:cc) echo gcc libc6-dev ;;
        apk:cc) echo gcc musl-dev ;;
        apt-get:pgpool) echo pgpool2 ;;
        dnf:pgpool) echo postgresql-pgpool-II ;;
        brew:pgpool) echo pgpool-ii ;;
        apt-get:node | dnf:node | apk:node | pacman:node) echo nodejs ;;
        apt-get:tsc) echo node-typescript ;;
        *:tsc) echo typescript ;;
        apt-get:alertmanager) echo prometheus-alertmanager ;;
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
        apt-get) echo "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $*" ;;
        dnf) echo "dnf install -y $*" ;;
        apk) echo "apk add $*" ;;
        pacman) echo "pacman -Sy --noconfirm $*" ;;
        brew) echo "brew install $*" ;;
    esac
}

# Debian's package makes and starts a server for the whole machine; ours needs only the programs. This file keeps it
# from doing so; where there is one already, whoever wrote it has decided.
createcluster=postgresql-common/createcluster.conf

makes_a_server() {
    [ "$manager" = apt-get ] && [ ! -e "/etc/$createcluster" ] || return 1
    case " $packages " in *" postgresql "*) ;; *) return 1 ;; esac
}

no_server_line() { echo "mkdir -p /etc/postgresql-common && echo create_main_cluster=false >/etc/$createcluster"; }

# Debian's packages of bouncers and of Prometheus start a service each, which nobody here wants (Prometheus takes port 9090, the admin
# listener's): these are ended, and not started again.
services_off() {
    [ "$manager" = apt-get ] || return 0
    services=
    for service in pgbouncer pgpool2 prometheus prometheus-alertmanager; do
        case " $packages " in *" $service "*) services="$services $service" ;; esac
    done
    [ -z "$services" ] || echo "systemctl disable --now$services >/dev/null 2>&1 || :"
}

# What root's shell runs: the line, and around it that file. Afterwards, also when interrupted, it goes back to what
# the package ships, so that later installs behave as their users expect.
whole_script() {
    if makes_a_server; then
        cat <<EOF
restore() {
    if [ -e /usr/share/$createcluster ]; then cp /usr/share/$createcluster /etc/$createcluster; else rm -f /etc/$createcluster; fi
}
trap restore EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
$(no_server_line)
EOF
    fi
    printf '%s\nstatus=$?\n%s\nexit $status\n' "$line" "$(services_off)"
}

# What a person types.
say_line() {
    off=$(services_off)
    [ -z "$off" ] || line="$line; $off"
    guarded=
    if makes_a_server; then
        guarded=1
        line="$(no_server_line); $line"
    fi
    who="As root, type"
    if have sudo; then
        who=Type
        line="sudo sh -c '$line'"
    fi
    say "Missing: $1. Installing takes root's rights. $who this line, then run this again:"
    say ""
    say "    $line"
    say ""
    [ -z "$guarded" ] || say "Its first part keeps Debian from starting a server of its own on port 5432, now and later. To undo" \
        "that part afterwards: cp /usr/share/$createcluster /etc/$createcluster"
}

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
        set -- sh -c "$(whole_script)"
    elif have sudo && sudo -n true 2>/dev/null; then
        say "Missing: $*. Installing with sudo: $line"
        set -- sudo sh -c "$(whole_script)"
    else
        say_line "$*"
        exit 3
    fi
    "$@" >&2 || {
        say "The installation failed; the line was: $line"
        exit 3
    }
}

# set_up NEED...: cargo, a linker, and those of `postgres`, `curl`, `pip`, `chromium`, `pgbouncer`, `pgpool`, `node`, `tsc`, `prometheus`
# and `alertmanager` that are named.
set_up() {
    find_cargo
    missing=
    have cc || have gcc || have clang || missing="$missing cc"
    for need in "$@"; do
        case "$need" in
            postgres) have_postgres || missing="$missing postgres" ;;
            pip) python3 -m pip --version >/dev/null 2>&1 || missing="$missing pip" ;;
            chromium) have chromium || have chromium-browser || missing="$missing chromium" ;;
            # Their tools: promtool comes with the one, amtool with the other.
            prometheus) have promtool || missing="$missing prometheus" ;;
            alertmanager) have amtool || missing="$missing alertmanager" ;;
            pgbouncer | pgpool) have_daemon "$need" || missing="$missing $need" ;;
            *) have "$need" || missing="$missing $need" ;;
        esac
    done
    # shellcheck disable=SC2086
    [ -z "$missing" ] || install $missing
}

# shop_of REVISION: builds the shop of a git revision once, and prints the program's path.
shop_of() {
    revision=$(git rev-parse --verify --short=8 "$1^{commit}") || exit 3
    program=$PWD/target/revisions/$revision/shop
    if [ ! -x "$program" ]; then
        say "Forebay: building the shop of $revision"
        sources=$(mktemp -d)
        trap 'git worktree remove --force "$sources"' EXIT
        git worktree add --quiet --detach "$sources" "$revision"
        (cd "$sources" && CARGO_TARGET_DIR="$OLDPWD/target/revisions/target" cargo build --release --package forebay-shop >&2)
        mkdir -p "$(dirname "$program")"
        cp target/revisions/target/release/shop "$program"
    fi
    echo "$program"
}
