#!/usr/bin/env bash
# Trains on several processes of this machine; the result is that of one process, bit for bit.
#   recipes/cluster/local.sh RANKS pretrain RECIPE [options]
# Ctrl-C stops all ranks after the step they take and saves a checkpoint; the same command goes on from there, also with another number of ranks.
# GLIMMER is the program, by default the glimmer of the PATH.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
ranks=$1; shift
threads=$(( $(nproc) / ranks )); [ "$threads" -ge 1 ] || threads=1
# The only user of a container is often root, which mpirun refuses otherwise.
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# Ctrl-C makes mpirun kill its ranks after a second or two. A background job does not get it; mpirun hands SIGUSR1 on, which asks the ranks to stop.
mpirun --oversubscribe --bind-to none -n "$ranks" ${GLIMMER:-glimmer} "$@" --threads "$threads" &
mpi=$!
trap 'kill -USR1 $mpi 2>/dev/null || true' INT TERM
status=0
while true; do
  wait "$mpi" && status=0 || status=$?
  kill -0 "$mpi" 2>/dev/null || break # a signal ended the wait, not the run
done
exit "$status"
