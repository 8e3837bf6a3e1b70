#!/usr/bin/env bash
# Our training step and PyTorch's in turns on the same work: a JSON line a row {work, threads, ours, peer, ratio, bar, spread}; exit 1 when a bar is missed.
# Usage: bench/compare-torch.sh [--works S1,S2,dense,lora] [--threads 1,2] [--rounds N] [--steps N] [--cpu]
#   --cpu           tokens a second of processor time instead of wall time: steadier on a busy machine with one thread, meaningless with two
#   PEERS           torchsharp, torch (Debian's PyTorch 1.13, from GLIMMER_PEERS), or both with a comma; torchsharp by default
#   GLIMMER_PEERS   folder of the peers (default ../shared/peers); torch_train/run.sh there installs PyTorch itself
# TorchSharp and libtorch come from NuGet with the project bench/Glimmer.TorchPeer, which is not in the solution: about 126 MB to fetch, 525 MB built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
peers="${PEERS:-torchsharp}"
args=()
dotnet build -c Release -v quiet --nologo bench/Glimmer.Benchmarks >&2
if [[ ",$peers," == *,torchsharp,* ]]; then
  dotnet build -c Release -v quiet --nologo bench/Glimmer.TorchPeer >&2
  peer="$PWD/bench/Glimmer.TorchPeer/bin/Release/net10.0"
  args+=(--torchsharp "$peer/Glimmer.TorchPeer")
  # TorchSharp's library wants the libstdc++ of GCC 13 for one symbol; Debian 12 has that of GCC 12.
  if ldd "$peer/runtimes/linux-x64/native/libLibTorchSharp.so" 2>&1 | grep -q GLIBCXX_3.4.32; then
    python3 bench/Glimmer.TorchPeer/relax-libstdcxx.py "$peer/runtimes/linux-x64/native/libLibTorchSharp.so"
    echo 'void _ZSt21ios_base_library_initv(void) {}' | cc -shared -fPIC -x c -o "$peer/stub.so" -
  fi
  if [ -e "$peer/stub.so" ]; then args+=(--preload "$peer/stub.so"); fi
fi
if [[ ",$peers," == *,torch,* ]]; then
  run="${GLIMMER_PEERS:-../shared/peers}/torch_train/run.sh"
  [ -e "$run" ] || { echo "no PyTorch peer at $run: set GLIMMER_PEERS to a folder that holds torch_train/run.sh" >&2; exit 2; }
  args+=(--torch "$(cd "$(dirname "$run")" && pwd)/run.sh")
fi
exec bench/Glimmer.Benchmarks/bin/Release/net10.0/Glimmer.Benchmarks compare-torch "${args[@]}" "$@"
