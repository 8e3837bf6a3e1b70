#!/usr/bin/env bash
# DSA adaptation from nothing: a small GLM-5 with attention over all keys learns texts with hidden pass keys, then to choose an eighth of its keys; both are measured.
#   recipes/dsa/run.sh [minutes] [S1|S2]      default 90 S2. S2: 6 M weights, 64 of 512 keys. S1: 0.8 M weights, 16 of 128 keys, a rehearsal in minutes.
#   Budgets shrink when the machine is slower than planned, or the time shorter. The first call decides: delete runs/dsa-SIZE to choose other minutes.
# Run it again after an interruption: what is done is kept, and training goes on from its last checkpoint. Everything lies in runs/dsa-SIZE. THREADS=1 suits a machine that others use too.
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=${1:-90} size=${2:-S2}
case $size in
  S1) vocabulary=1024 length=128 keys=16 rows=16 tokens=2500000 ;;
  S2) vocabulary=4096 length=512 keys=64 rows=4 tokens=6000000 ;;
  *) echo "'$size' is no size: S1 or S2" >&2; exit 2 ;;
esac
run=runs/dsa-$size recipes=recipes/dsa start=$SECONDS threads=${THREADS:-$(nproc)}
mkdir -p "$run/results"
[ -n "${GLIMMER:-}" ] || dotnet build src/Glimmer.Cli -c Release --nologo -v quiet
glimmer() { "${GLIMMER:-src/Glimmer.Cli/bin/Release/net10.0/glimmer}" "$@"; }
. recipes/stages.sh

data() {
  rm -rf "$run/data" "$run/tokenizer" "$run/shards"
  glimmer data miniature --out "$run/data" --size 1M --count 10 --vocab-size $vocabulary
  mkdir -p "$run/tokenizer" && mv "$run"/data/tokenizer*.json "$run/tokenizer/"
  glimmer data passkeys --tokenizer "$run/tokenizer" --out "$run/data" --tokens $((tokens * 3 / 2)) --length $length --count 200
  for part in train validation; do glimmer tokenize-corpus "$run/data/$part.jsonl" --control-tokens --tokenizer "$run/tokenizer" --out "$run/shards/$part"; done
}
say "corpus and tokenizer"
once data data

common=(--threads "$threads" --tokenizer "$run/tokenizer" --sequence_length $length --micro_batch_rows $rows --data.0.path "$run/shards/train" --held_out.path "$run/shards/validation" --held_out.rows $((32768 / length)))
dense=("$recipes/1-dense.yaml" "${common[@]}")

# The speed of this machine decides the budgets: the time of 1.9 times the tokens of pre-training must fit, evaluations included.
probe() {
  rm -rf "$run/probe"
  glimmer pretrain "${dense[@]}" --model $recipes/$size.json --output "$run/probe" --tokens 60_000 --held_out.rows 1 --save.every 0
  awk -F'"tokens_per_second":' 'NF > 1 { split($2, a, /[,}]/); print a[1] }' "$run/probe/log.jsonl" | sort -n | awk '{ s[NR] = $1 } END { if (!NR) exit 1; print int(s[int(NR / 2) + 1]) }' > "$run/speed"
  rm -rf "$run/probe"
  awk -v v="$(cat "$run/speed")" -v m="$minutes" -v n=$tokens 'BEGIN { k = (m - 4) * 60 * v / (1.9 * n); print (k > 1 ? 1 : k) }' > "$run/scale"
}
once probe probe
scale=$(cat "$run/scale")
scaled() { awk -v n="$1" -v k="$scale" 'BEGIN { print int(n * k) }'; }
say "speed $(cat "$run/speed") tokens/s, budgets times $scale, planned for $minutes minutes"

all=$(scaled $tokens) sparse=$(scaled $((tokens / 4))) warm=$(scaled $((tokens / 10)))
say "dense pre-training, $all tokens"
glimmer pretrain "${dense[@]}" --model $recipes/$size.json --output "$run/1-dense" --tokens "$all"
say "adaptation: warm-up $warm, sparse $sparse tokens"
glimmer adapt-dsa $recipes/2-adapt.yaml "${common[@]}" --model "$run/1-dense" --output "$run/2-adapt" --index_topk $keys --warm_up.tokens "$warm" --sparse.tokens "$sparse"
# What the tokens of the sparse phase teach a model that keeps its dense attention: the same rows and learning rate.
say "control: dense attention on the same $sparse tokens"
glimmer pretrain "${dense[@]}" --model "$run/1-dense" --output "$run/3-control" --seed 78 --tokens "$sparse" --learning_rate.shape constant --learning_rate.peak 3e-4 --learning_rate.warmup_tokens 0 --balance.bias_rate 0

passkeys() { # NAME RUN
  local model; model=$(ls -d "$2"/checkpoint-* | awk -F- '{ print $NF, $0 }' | sort -n | tail -1 | cut -d' ' -f2)
  glimmer eval questions-as-text --model "$model" --data "$run/data/questions.jsonl" --max-tokens 8 --threads "$threads" --json > "$run/results/$1.json"
}
say "200 pass keys"
once passkeys-dense passkeys dense "$run/1-dense"
once passkeys-warm passkeys warm "$run/2-adapt/warm-up"
once passkeys-sparse passkeys sparse "$run/2-adapt/sparse"
once passkeys-control passkeys control "$run/3-control"

figure() { grep '"eval"' "$1/log.jsonl" | tail -1 | grep -o "\"$2\":[0-9.eE+-]*" | cut -d: -f2; }
score() { grep -o '"right": *[0-9][0-9]*' "$run/results/$1.json" | head -1 | grep -o '[0-9]*'; }
{
  echo "# DSA adaptation, $size"
  echo
  echo "$(date +%F), $(nproc) processors ($(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo)), $threads threads, $(cat "$run/speed") tokens/s in the probe, budgets times $scale."
  echo
  echo "| model | attention | loss on held-out rows | pass keys of 200 |"
  echo "|---|---|---|---|"
  echo "| pre-trained | all keys | $(figure "$run/1-dense" valid_loss) | $(score dense) |"
  echo "| after the warm-up | $keys keys | $(figure "$run/2-adapt/warm-up" valid_loss) | $(score warm) |"
  echo "| after the sparse phase | $keys keys | $(figure "$run/2-adapt/sparse" valid_loss) | $(score sparse) |"
  echo "| the same tokens with dense attention | all keys | $(figure "$run/3-control" valid_loss) | $(score control) |"
  echo
  echo "Indexers: recall of dense attention $(figure "$run/2-adapt/warm-up" indexer_recall) after the warm-up, $(figure "$run/2-adapt/sparse" indexer_recall) at the end (best possible $(figure "$run/2-adapt/sparse" indexer_recall_best)); KL over all keys $(figure "$run/2-adapt/sparse" indexer_kl_dense), over the chosen ones $(figure "$run/2-adapt/sparse" indexer_kl_chosen)."
} > "$run/report.md"
glimmer report "$run/1-dense" "$run/2-adapt/warm-up" "$run/2-adapt/sparse" "$run/3-control" --out "$run/report.html"
cat "$run/report.md"
say "done in $(((SECONDS - start) / 60)) minutes: $run/report.md, $run/report.html"
