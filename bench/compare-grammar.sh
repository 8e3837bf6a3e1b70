#!/usr/bin/env bash
# Our token masks beside web-xgrammar's (through npm): same machine, same 36 schemas and instances, in turns, at 32,804 and 49,152 ids.
# Prints JSON lines; the last ones are the ratios and their bars. Exit 1 below a bar, 2 when it cannot run.
# Usage: bench/compare-grammar.sh [ROUNDS]   GLIMMER_PEERS: folder of the peers (default ../shared/peers)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rounds="${1:-15}"
peers="${GLIMMER_PEERS:-../shared/peers}"
[ -e "$peers/grammar/run.sh" ] || { echo "no peer at $peers/grammar/run.sh: set GLIMMER_PEERS" >&2; exit 2; }
dotnet build -c Release -v quiet --nologo bench/Glimmer.Benchmarks >&2
lines="$(mktemp)"
trap 'rm -f "$lines"' EXIT
for vocab in "$peers/../fixtures/tokenizer/glm-32k/tokenizer.json" models/SmolLM2-135M-Instruct.Q4_1.gguf; do
  dotnet bench/Glimmer.Benchmarks/bin/Release/net10.0/Glimmer.Benchmarks.dll grammar --cases "$peers/grammar/cases.json" --vocab "$vocab" --rounds "$rounds" | tee -a "$lines"
  "$peers/grammar/run.sh" --vocab "$(realpath "$vocab")" --rounds "$rounds" | tee -a "$lines"
done
node - "$lines" <<'JS'
const rows = require("fs").readFileSync(process.argv[2], "utf8").split("\n").filter(Boolean).map((l) => JSON.parse(l)).filter((r) => r.total);
let failed = rows.length !== 4;
for (const ours of rows.filter((r) => r.peer === "glimmer")) {
  const peer = rows.find((r) => r.peer !== "glimmer" && r.vocab === ours.vocab);
  if (!peer || ours.failed) { failed = true; continue; }
  for (const [what, bar] of [["median", 3], ["mean_of_fastest_99_percent", 2], ["p99", 1]]) {
    const ratio = peer.mask_us[what] / ours.mask_us[what];
    failed ||= ratio < bar;
    console.log(JSON.stringify({ op: "ratio", of: what, vocab: ours.vocab, glimmer_us: ours.mask_us[what], peer_us: peer.mask_us[what], ratio: Number(ratio.toPrecision(3)), bar, ok: ratio >= bar }));
  }
  const slowest = Math.max(ours.mask_us.max, ours.first_visit_us.max);
  failed ||= slowest > 2000;
  console.log(JSON.stringify({ op: "slowest step, first visits counted", vocab: ours.vocab, glimmer_us: slowest, peer_us: peer.mask_us.max, bar_us: 2000, ok: slowest <= 2000,
    glimmer_first_visit_us: ours.first_visit_us, peer_first_walk_us: peer.first_walk_us, glimmer_compile_ms: ours.compile_ms, peer_compile_ms: peer.compile_ms }));
}
process.exit(failed ? 1 : 0);
JS
