# Steps of a run, for `test` and `.ci/run`: each is shown, timed, and leaves no process behind. At the end
# comes a summary with cargo's own result lines. To be sourced by bash with `set -euo pipefail`.

export STANDIN_CACHE=${STANDIN_CACHE:-${HOME:-/tmp}/.cache/standin}
mkdir -p "$STANDIN_CACHE"

# Everything that is said goes also into a log, for the summary. By one reader for the whole run and not by a
# pipe per step: a process that a step leaves behind would keep that pipe open, and the run would wait for it.
steps_log=$(mktemp)
exec 4>&1 5>&2
exec > >(exec tee -i -a "$steps_log") 2>&1
steps_tee=$!
steps_done=()
# A run within a run leaves the summary of cargo's results to the outer one, and ends its steps faster than
# the outer one ends it.
steps_nested=${STANDIN_STEPS:-}
export STANDIN_STEPS=1
# The process group of the step that runs.
steps_group=

# Ends what is left of a step's process group: politely, then for good.
steps_end_group() {
  [ -n "$steps_group" ] || return 0
  if kill -TERM -- "-$steps_group" 2>/dev/null; then
    for _ in $(seq "$([ -n "$steps_nested" ] && echo 10 || echo 30)"); do
      kill -0 -- "-$steps_group" 2>/dev/null || break
      sleep 0.2
    done
    kill -KILL -- "-$steps_group" 2>/dev/null || true
  fi
  steps_group=
}

steps_summary() {
  local status=$?
  trap - EXIT
  steps_end_group
  exec >&4 2>&5
  wait "$steps_tee" || true
  printf '\n== summary of %s\n' "$0"
  # Which test binary, and its result; without the hash in the binary's name.
  if [ -z "$steps_nested" ]; then
    grep -aE '^ +(Running|Doc-tests) |^test result: ' "$steps_log" | sed -E 's/ \(.*\)$//' || true
  fi
  [ ${#steps_done[@]} = 0 ] || printf '%s\n' "${steps_done[@]}"
  rm -f "$steps_log"
  if [ "$status" = 0 ]; then echo "== all passed"; else echo "== FAILED (exit code $status)"; fi
  exit "$status"
}
trap steps_summary EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# step NAME COMMAND...
step() {
  local name=$1 start=$SECONDS status=0
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  # Job control gives the step a process group of its own; without it a server that a failed test left
  # behind could not be told from anyone else's.
  set -m
  "$@" < /dev/null &
  steps_group=$!
  set +m
  wait "$steps_group" || status=$?
  steps_end_group
  if [ "$status" != 0 ]; then
    steps_done+=("-- FAILED after $((SECONDS - start)) s: $name")
    exit "$status"
  fi
  steps_done+=("-- ok in $((SECONDS - start)) s: $name")
}
