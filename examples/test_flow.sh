#!/bin/sh
# A walk through queuectl on Linux and macOS, in a temporary spool; every step is checked.
#
#   sh examples/test_flow.sh                    the queuectl on PATH
#   PYTHON=.venv/bin/python sh examples/test_flow.sh
#
# The same walk for Windows is test_flow.ps1. It ends with 0 when every step came out as documented.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
json_python=${PYTHON:-python3}
on_path=$(command -v queuectl || :)

queuectl() {
  if [ -n "${PYTHON:-}" ]; then
    "$PYTHON" -m queuectl "$@"
  elif [ -n "$on_path" ]; then
    command queuectl "$@"
  else
    python3 -m queuectl "$@"
  fi
}

temporary=$(mktemp -d "${TMPDIR:-/tmp}/queuectl-demo.XXXXXX")
QUEUECTL_SPOOL=$temporary/spool
export QUEUECTL_SPOOL
worker=

clean_up() {
  code=$?
  trap - EXIT
  if [ -n "$worker" ]; then
    queuectl worker stop --now >&2 || :
    wait "$worker" 2>/dev/null || :
  fi
  rm -rf "$temporary"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

step() { printf '\n== %s\n' "$1"; }

fail() {
  printf 'MISMATCH: %s\n' "$1" >&2
  queuectl status >&2 || :
  queuectl list >&2 || :
  exit 1
}

# is TEXT EXPECTED ACTUAL
is() {
  [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
  printf '   ok: %s: %s\n' "$1" "$3"
}

# ask EXPRESSION COMMAND...: the value of a Python expression over `data`, the command's JSON
ask() {
  expression=$1
  shift
  queuectl "$@" --json >"$temporary/answer.json" || fail "queuectl $* --json failed"
  "$json_python" -c 'import json, sys
with open(sys.argv[2], encoding="utf-8") as file:
    data = json.load(file)
print(eval(sys.argv[1]))' "$expression" "$temporary/answer.json" || fail "queuectl $* --json: no $expression"
}

count() { ask "data['counts']['$1']" status; }
field() { ask "data['$2']" show "$1"; }
ids() { ask "' '.join(sorted(job['id'] for job in data))" "$@"; }

# until_is SECONDS TEXT EXPECTED COMMAND...: asks again until the command prints what is expected
until_is() {
  deadline=$(($(date +%s) + $1))
  text=$2
  expected=$3
  shift 3
  while :; do
    actual=$("$@" 2>"$temporary/error") || : # not known yet is an answer too
    if [ "$actual" = "$expected" ] || [ "$(date +%s)" -ge "$deadline" ]; then break; fi
    sleep 0.2
  done
  is "$text" "$expected" "$actual"
}

start_worker() {
  queuectl worker start --count 2 &
  worker=$!
  until_is 20 "workers" 2 ask "len(data['workers'])" status
}

stop_worker() {
  queuectl worker stop
  code=0
  wait "$worker" || code=$?
  worker=
  is "the worker's exit code" 0 "$code"
  is "workers" 0 "$(ask "len(data['workers'])" status)"
}

step "A new spool"
queuectl --version
queuectl init
for folder in pending processing done failed dead logs tmp locks; do
  [ -d "$QUEUECTL_SPOOL/$folder" ] || fail "there is no folder $folder"
done
is "jobs waiting" 0 "$(count pending)"

step "Config: two runs in all, three seconds between them"
queuectl config set max_retries 1
queuectl config set backoff_base 3
is "config get max_retries" 1 "$(queuectl config get max_retries)"
is "config get --json" "1 3" "$(ask "'%g %g' % (data['max_retries'], data['backoff_base'])" config get)"
if queuectl config set max_retries many 2>"$temporary/error"; then fail "a bad value was taken"; else code=$?; fi
is "exit code of a bad value" 2 "$code"
is "max_retries after it" 1 "$(queuectl config get max_retries)"

step "Enqueue"
is "enqueue prints the id" job_success "$(queuectl enqueue --file "$here/job_success.json")"
is "enqueue prints the id" job_fail "$(queuectl enqueue --file "$here/job_fail.json")"
[ -f "$QUEUECTL_SPOOL/pending/job_success.json" ] || fail "the job is not in pending/"
if queuectl enqueue --file "$here/job_success.json" 2>"$temporary/error"; then fail "an id was taken twice"; else code=$?; fi
is "exit code of an id that is taken" 4 "$code"
is "list --state pending" "job_fail job_success" "$(ids list --state pending)"

step "Two workers, until nothing is left to do now"
first_run=$(date +%s)
queuectl worker start --count 2 --drain
queuectl status
is "list --state completed" job_success "$(ids list --state completed)"
is "exit code of job_success" 0 "$(field job_success exit_code)"
case $(queuectl logs job_success) in
  *"Hello from queuectl"*) printf '   ok: logs job_success\n' ;;
  *) fail "logs job_success does not show what it printed" ;;
esac
is "list --state failed" job_fail "$(ids list --state failed)"
is "attempts of job_fail" 1 "$(field job_fail attempts)"
[ -f "$QUEUECTL_SPOOL/failed/job_fail.json" ] || fail "the job is not in failed/"

step "The retry, three seconds later; then the dead letter queue"
deadline=$(($(date +%s) + 30))
while [ "$(field job_fail state)" != dead ] && [ "$(date +%s)" -lt "$deadline" ]; do
  sleep 0.5
  queuectl worker start --count 2 --drain --quiet
done
is "state of job_fail" dead "$(field job_fail state)"
is "attempts of job_fail" 2 "$(field job_fail attempts)"
waited=$(($(date +%s) - first_run))
[ "$waited" -ge 3 ] || fail "the retry came after $waited s already"
is "dlq list" job_fail "$(ids dlq list)"
queuectl dlq list
queuectl dlq show job_fail

step "Out of the dead letter queue, with a fresh start"
queuectl dlq retry job_fail
is "state of job_fail" pending "$(field job_fail state)"
is "attempts of job_fail" 0 "$(field job_fail attempts)"
is "dlq list" "" "$(ids dlq list)"
queuectl config set max_retries 0
queuectl worker start --drain --quiet
is "state of job_fail, with max_retries 0" dead "$(field job_fail state)"
is "attempts of job_fail" 1 "$(field job_fail attempts)"
if queuectl dlq retry no_such_job 2>"$temporary/error"; then fail "retried a job that is not there"; else code=$?; fi
is "exit code of a job that is not there" 3 "$code"

step "The drop folder, and workers that stop and start again"
start_worker
cp "$here/job_sleep.json" "$temporary/dropped.tmp"
mv "$temporary/dropped.tmp" "$QUEUECTL_SPOOL/pending/job_sleep.json"
until_is 20 "state of job_sleep" processing field job_sleep state
printf '   stopping while it runs: the workers finish it first\n'
stop_worker
is "state of job_sleep" completed "$(field job_sleep state)"
printf '{"id": "survivor", "command": "echo Still here"}' | queuectl enqueue -
sleep 1
is "state of survivor, with no worker" pending "$(field survivor state)"
start_worker
until_is 20 "state of survivor, with workers again" completed field survivor state
stop_worker

step "The index is deleted; the files are the truth"
before=$(ask "sorted((job['id'], job['state'], job['attempts']) for job in data)" list)
counts=$(ask "sorted(data['counts'].items())" status)
rm -f "$QUEUECTL_SPOOL"/index.sqlite3*
is "status" "$counts" "$(ask "sorted(data['counts'].items())" status)"
is "list" "$before" "$(ask "sorted((job['id'], job['state'], job['attempts']) for job in data)" list)"
queuectl status

printf '\nEvery step came out as documented.\n'
