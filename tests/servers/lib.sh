# shellcheck shell=bash
# What the server scripts beside this file share: a cache of what was fetched, free ports, and a promise.
#
# The promise: a server never outlives its script. It dies with it on Ctrl-C and SIGTERM (trap), on SIGKILL (the
# kernel's parent-death signal), and, with --while-stdin, when whoever holds the other end of standard input is gone.
# What it wrote goes with it; what a killed script could not remove is swept by the next one to start.
#
# With --fetch a script only makes sure that what it needs is here. Otherwise it prints one line when its server
# answers: `ready NAME address=HOST:PORT pid=PID data=DIR log=FILE`.

set -Eeuo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/casewatch
server=$(basename "$0")
port='' data='' while_stdin=no fetch_only=no
server_pid='' scratch=''

say() { printf '%s: %s\n' "$server" "$*" >&2; }
die() { say "$@"; exit 1; }

# Reads the options every server has; what it does not know it leaves in `rest`.
rest=()
common_options() {
  while (($#)); do
    case $1 in
      --while-stdin) while_stdin=yes; shift ;;
      --fetch) fetch_only=yes; shift ;;
      --port) port=$2; shift 2 ;;
      --data) data=$2; shift 2 ;;
      *) rest+=("$1"); shift ;;
    esac
  done
}

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port below the range the kernel hands out by itself (32768 and up), so that no outgoing connection takes it.
free_port() {
  local candidate
  for _ in {1..200}; do
    candidate=$((10240 + (RANDOM * 32768 + RANDOM) % 22000))
    port_answers "$candidate" || { echo "$candidate"; return; }
  done
  die "found no free port between 10240 and 32240"
}

sweep_leftovers() {
  local folder owner
  for folder in "${TMPDIR:-/tmp}"/casewatch-server-*; do
    [[ -f $folder/owner ]] || continue
    owner=$(<"$folder/owner")
    [[ -d /proc/$owner ]] || rm -rf "$folder"
  done
}

# Sets `scratch` (removed at exit) and, unless the caller chose one that is to stay, `data` inside it.
make_room() {
  [[ $fetch_only == no ]] || exit 0
  sweep_leftovers
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/casewatch-server-$server.XXXXXX") || die "cannot write to ${TMPDIR:-/tmp}: disk full?"
  echo $$ >"$scratch/owner"
  log=$scratch/log
  : "${data:=$scratch/data}"
  mkdir -p "$data"
  : "${port:=$(free_port)}"
}

clean_up() {
  trap - EXIT
  if [[ -n $server_pid ]]; then
    kill -CONT "$server_pid" 2>/dev/null || true
    kill -"${stop_signal:-TERM}" "$server_pid" 2>/dev/null || true
    for _ in {1..50}; do kill -0 "$server_pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$server_pid" 2>/dev/null || true
  fi
  [[ -z ${watcher_pid:-} ]] || kill "$watcher_pid" 2>/dev/null || true
  [[ -z $scratch ]] || rm -rf "$scratch"
}

# Starts the server in the background, to die with this script.
launch() {
  trap clean_up EXIT
  trap 'exit 143' TERM INT HUP
  setpriv "${as_user[@]}" --pdeathsig "${death_signal:-KILL}" -- "$@" >"$log" 2>&1 </dev/null &
  server_pid=$!
}

# Waits until the command given succeeds, the server dies, or the seconds run out.
wait_until_ready() {
  local seconds=$1 tenths; shift
  for ((tenths = 0; tenths < seconds * 10; tenths++)); do
    if "$@" >/dev/null 2>&1; then return; fi
    kill -0 "$server_pid" 2>/dev/null || { tail -n 30 "$log" >&2; die "stopped while starting; the end of its log stands above"; }
    sleep 0.1
  done
  tail -n 30 "$log" >&2
  die "did not answer within $seconds seconds; the end of its log stands above"
}

# Says where the server is, then stays until it ends or is told to.
serve() {
  echo "ready $server address=$1 pid=$server_pid data=$data log=$log"
  if [[ $while_stdin == yes ]]; then
    { while read -r _; do :; done; kill -TERM $$ 2>/dev/null; } <&0 &
    watcher_pid=$!
  fi
  local code=0
  wait "$server_pid" || code=$?
  say "its server ended with code $code"
  exit "$code"
}

# Sets `jars` to a folder with what maven/NAME.xml asks for, fetched once and kept.
fetch_java() {
  local name=$1 goal=$2 what=$3 pom=$here/maven/$1.xml fingerprint
  fingerprint=$(sha256sum "$pom" | cut -c1-16)
  jars=$cache/java/$name-$fingerprint
  [[ ! -d $jars ]] || return 0
  "$here/../install" java >&2
  mkdir -p "$cache/java"
  exec 9>"$cache/java/$name.lock"
  flock 9
  [[ ! -d $jars ]] || return 0
  say "fetching $what from Maven Central into $cache/java (once)"
  rm -rf "$jars.part"
  mvn --batch-mode --quiet --file "$pom" \
    "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:$goal" \
    -DincludeScope=runtime -DoutputDirectory="$jars.part" -DmarkersDirectory="$jars.part/.markers" >"$cache/java/$name.log" 2>&1 </dev/null || {
    grep -m 3 ERROR "$cache/java/$name.log" >&2 || true
    die "could not fetch $what: is Maven Central reachable, and is there room in $cache? The log: $cache/java/$name.log"
  }
  mv "$jars.part" "$jars"
  flock -u 9
}

# Read by the scripts that source this: quick to start, and within memory.
# shellcheck disable=SC2034
java_options=(-Xshare:auto -XX:+UseSerialGC -Xms128m -Djava.net.preferIPv4Stack=true
  -Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.defaultLogLevel=warn)
as_user=()

# Packages of PyPI as a file of requirements pins them, in a folder of the cache, which is printed: for PYTHONPATH.
python_packages() { # NAME REQUIREMENTS
  local name=$1 requirements=$2 version packages
  "$here/../install" python >&2
  version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  packages=$cache/python/$name-$version-$(sha256sum "$requirements" | cut -c1-16)
  if [[ ! -d $packages ]]; then
    mkdir -p "$cache/python"
    exec 9>"$cache/python/$name.lock"
    flock 9
    if [[ ! -d $packages ]]; then
      say "fetching $name from PyPI into $cache/python (once)"
      rm -rf "$packages.part"
      python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --target "$packages.part" --requirement "$requirements" >"$cache/python/$name.log" 2>&1 </dev/null || {
        tail -n 5 "$cache/python/$name.log" >&2
        die "could not fetch $name: is PyPI reachable, and is there room in $cache?"
      }
      mv "$packages.part" "$packages"
    fi
    flock -u 9
  fi
  echo "$packages"
}
