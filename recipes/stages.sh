# Read by recipes that run in stages; $run is the folder of the run.
say() { printf '%s  %s\n' "$(date +%T)" "$*" | tee -a "$run/run.log" >&2; }
# once NAME COMMAND...: runs the command unless it was done before. (In '||' or '&&' a function would go on after a failed line.)
once() {
  local mark=$run/$1.done
  shift
  if [ ! -e "$mark" ]; then
    "$@"
    touch "$mark"
  fi
}
