#!/usr/bin/env bash
# exp, softmax and RMSNorm against the kernel prototypes' 'misc' in one run; exit code 1 when one is slower (3 % are allowed for noise).
# The prototypes are found in GLIMMER_PROTOTYPES, by default ../shared/prototypes beside the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
prototypes="${GLIMMER_PROTOTYPES:-../shared/prototypes}"
if [ ! -f "$prototypes/kernels/Perf.csproj" ]; then
  echo "no kernel prototypes in $prototypes: set GLIMMER_PROTOTYPES" >&2
  exit 2
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp "$prototypes"/kernels/*.cs "$prototypes"/kernels/*.csproj "$work/"
chmod -R u+w "$work"
dotnet build -c Release "$work/Perf.csproj" -o "$work/out" -v q --nologo >&2
dotnet build -c Release bench/Glimmer.Benchmarks -v q --nologo >&2
bench/Glimmer.Benchmarks/bin/Release/net10.0/Glimmer.Benchmarks vector --bar 0.97 --prototype "$work/out/Perf" "$@"
