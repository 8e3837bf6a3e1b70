#!/usr/bin/env bash
# fp32 matrix products against OpenBLAS in one run; exit code 1 below 0.95 of its speed. Arguments are passed on (--sizes, --rounds, --bar).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -z "${OPENBLAS_LIBRARY:-}" ] && ! ldconfig -p | grep -q libopenblas && [ ! -e /usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0 ]; then
  echo "installing libopenblas0-pthread" >&2
  apt-get update -qq >&2
  apt-get install -y -qq libopenblas0-pthread >&2
fi
# OpenBLAS does not know every processor: ask for its AVX-512 kernels where there are such instructions, and let its threads sleep soon.
if [ -z "${OPENBLAS_CORETYPE:-}" ] && grep -q avx512f /proc/cpuinfo; then export OPENBLAS_CORETYPE=SKYLAKEX; fi
export OPENBLAS_THREAD_TIMEOUT="${OPENBLAS_THREAD_TIMEOUT:-18}"
dotnet build -c Release bench/Glimmer.Benchmarks -v q --nologo >&2
exec bench/Glimmer.Benchmarks/bin/Release/net10.0/Glimmer.Benchmarks gemm --bar 0.95 "$@"
