#!/usr/bin/env bash
# GGUF files that we write, loaded by llama.cpp: logits of every architecture and type, compared with ours. A JSON line a file; exit 1 when one is outside its bounds, 2 when it cannot run.
# Usage: bench/check-gguf.sh [--types f32,q8_0,...]
#   GLIMMER_PEERS     folder of the peers (default ../shared/peers); llamacpp/peer.sh there installs llama.cpp itself
#   GLIMMER_FIXTURES  recorded checkpoints (default ../shared/fixtures)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
peer="${GLIMMER_PEERS:-../shared/peers}/llamacpp/peer.sh"
[ -e "$peer" ] || { echo "no llama.cpp peer at $peer: set GLIMMER_PEERS to a folder that holds llamacpp/peer.sh" >&2; exit 2; }
"$peer" install >&2
dotnet build -c Release -v quiet --nologo bench/Glimmer.Benchmarks >&2
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
dotnet bench/Glimmer.Benchmarks/bin/Release/net10.0/Glimmer.Benchmarks.dll check-gguf --peer "$peer" --fixtures "${GLIMMER_FIXTURES:-../shared/fixtures}" --work "$work" "$@"
