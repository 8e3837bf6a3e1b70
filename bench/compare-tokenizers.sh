#!/usr/bin/env bash
# Our tokenizer beside the npm binding of Hugging Face's tokenizers, wasm tiktoken and Microsoft.ML.Tokenizers: same machine, same texts, in turns,
# one thread, rates per second of CPU time. Prints JSON lines; the last ones are the ratios and their bars. Exit 1 below a bar, 2 when it cannot run.
# Usage: bench/compare-tokenizers.sh [REPS]   GLIMMER_PEERS: folder of the peers (default ../shared/peers)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
reps="${1:-5}"
peer="${GLIMMER_PEERS:-../shared/peers}/tokenizers/run.sh"
[ -e "$peer" ] || { echo "no peer at $peer: set GLIMMER_PEERS" >&2; exit 2; }
dotnet build -c Release -v quiet --nologo bench/Glimmer.Benchmarks >&2
lines="$(mktemp)"
trap 'rm -f "$lines"' EXIT
ours=(dotnet bench/Glimmer.Benchmarks/bin/Release/net10.0/Glimmer.Benchmarks.dll tokenizer --shared "$(dirname "$peer")/../..")
# In turns: a busy neighbour then slows both. The best of all medians counts on each side.
for turn in 1 2; do
  "${ours[@]}" --reps "$reps" | tee -a "$lines"
  "$peer" --peers tokenizers,tiktoken --reps "$reps" | tee -a "$lines"
done
node - "$lines" <<'JS'
const rows = require("fs").readFileSync(process.argv[2], "utf8").split("\n").filter(Boolean).map((l) => JSON.parse(l));
const rate = (peer, op, text) => Math.max(...rows.filter((r) => r.peer === peer && r.op === op && r.text === text).map((r) => r.mb_per_cpu_s));
const bars = [
  ["tokenizers", "encode", { text_en: 6, code: 6, text_zh: 4 }],
  ["tiktoken", "encode", { text_en: 2, code: 2, text_zh: 2 }],
  ["microsoft.ml", "encode", { text_en: 2, code: 2, text_zh: 2 }],
  ["tokenizers", "decode", { text_en: 8, code: 8, text_zh: 8 }],
  ["tiktoken", "decode", { text_en: 1, code: 1, text_zh: 1 }],
];
let failed = rows.some((r) => r.op === "check" && r.ids_differ > 0);
for (const [peer, op, texts] of bars)
  for (const [text, bar] of Object.entries(texts)) {
    const ratio = rate("glimmer", op, text) / rate(peer, op, text);
    const ok = ratio >= bar;
    failed ||= !ok;
    console.log(JSON.stringify({ op: "ratio", of: op, text, to: peer, glimmer_mb_per_cpu_s: rate("glimmer", op, text), peer_mb_per_cpu_s: rate(peer, op, text), ratio: Number(ratio.toPrecision(3)), bar, ok }));
  }
process.exit(failed ? 1 : 0);
JS
