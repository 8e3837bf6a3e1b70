#!/usr/bin/env bash
# Ours and llama.cpp in turns on the same files, then rows without a peer: a JSON line a row; exit 1 when a bar is missed, 2 when nothing could be measured.
# Usage: bench/compare-llamacpp.sh [--quick] [--rounds N] [--minutes N] [--threads N] [--out FILE] [--svg FILE] [work ...]
#   works    embedded, air-slice-q4_0, air-slice-q4_k, air-slice-q8_0, mid-bf16, depth, dsa, mtp, memory, start, budget, prefix, arrival; all by default
#   --quick  3 rounds of pp512 and tg32 on the files that are there, in 5 minutes; else 5 rounds, files are made (about 40 GB), 60 minutes
#   --out     adds the rows to a file of JSON lines; --svg draws them, with those that the file holds already
#   GLIMMER_PEERS  folder of the peers (default ../shared/peers); llamacpp/peer.sh there installs llama.cpp itself
#   PEER_CACHE     where llama.cpp and the model files lie (default ~/.cache/glm-peers/llamacpp)
#   BENCH_BEFORE   a command put before each measured program, for example a lock: "flock /tmp/machine.lock"
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
peer="${GLIMMER_PEERS:-../shared/peers}/llamacpp/peer.sh"
[ -e "$peer" ] || { echo "no llama.cpp peer at $peer: set GLIMMER_PEERS to a folder that holds llamacpp/peer.sh" >&2; exit 2; }
peer="$(cd "$(dirname "$peer")" && pwd)/peer.sh"
export PEER_CACHE="${PEER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/glm-peers/llamacpp}"
"$peer" install >&2
dotnet build -c Release -v quiet --nologo src/Glimmer.Cli >&2
dotnet build -c Release -v quiet --nologo bench/Glimmer.Benchmarks >&2
exec dotnet bench/Glimmer.Benchmarks/bin/Release/net10.0/Glimmer.Benchmarks.dll compare \
  --peer "$peer" --cache "$PEER_CACHE" --glimmer "$PWD/src/Glimmer.Cli/bin/Release/net10.0/glimmer" --before "${BENCH_BEFORE:-}" "$@"
