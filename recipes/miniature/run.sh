#!/usr/bin/env bash
# The miniature: a GLM from nothing on two cores: corpus, tokenizer, pre-training, mid-training, fine-tuning, report card.
#   recipes/miniature/run.sh [minutes]      default 80, for training and the evaluations of a model that has learned to
#   stop; budgets shrink when the machine is slower than planned, or the time shorter. A model trained for a few minutes rambles, and its evaluations take some minutes more.
#   The first call decides: delete runs/miniature to choose other minutes.
# Run it again after an interruption: what is done is kept, and training goes on from its last checkpoint. Everything lies in runs/miniature.
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=${1:-80} run=runs/miniature recipes=recipes/miniature start=$SECONDS
mkdir -p $run/results
dotnet build src/Glimmer.Cli -c Release --nologo -v quiet
glimmer() { src/Glimmer.Cli/bin/Release/net10.0/glimmer "$@"; }
. recipes/stages.sh

# Stage 0: corpus and tokenizer. The template is the one that upcycled models carry.
data() {
  rm -rf $run/data $run/tokenizer $run/shards
  glimmer data miniature --out $run/data --size 24M --count 15000 --vocab-size 4096
  mkdir -p $run/tokenizer
  mv $run/data/tokenizer*.json $run/tokenizer/
  cp src/Glimmer.Training/Upcycling/chat_template.jinja $run/tokenizer/
  for part in general reasoning middle validation; do
    glimmer tokenize-corpus $run/data/$part.jsonl --control-tokens --tokenizer $run/tokenizer --out $run/shards/$part
  done
}
say "stage 0: corpus and tokenizer"
once data data

# The speed of this machine decides the budgets: 18 M tokens of pre-training and 2.5 M of fine-tuning at 6,000 tokens a second are the plan.
probe() {
  rm -rf $run/probe
  glimmer pretrain $recipes/1-general.yaml --output $run/probe --tokens 250_000 --held_out.rows 1 --save.every 0
  awk -F'"tokens_per_second":' 'NF > 1 { split($2, a, /[,}]/); if (a[1] > 0) { n++; s[n] = a[1] } } END { if (!n) exit 1; print int(s[int(n / 2) + 1]) }' $run/probe/log.jsonl > $run/speed
  rm -rf $run/probe
  awk -v v="$(cat $run/speed)" -v m="$minutes" 'BEGIN { k = (m - 12) * 60 * v / 21.5e6; if (m < 30) k = m * 0.6 * 60 * v / 21.5e6; print (k > 1 ? 1 : k) }' > $run/scale
}
once probe probe
scale=$(cat $run/scale)
scaled() { awk -v n="$1" -v k="$scale" 'BEGIN { print int(n * k) }'; }
say "speed $(cat $run/speed) tokens/s, budgets times $scale, planned for $minutes minutes"

evaluate() { # NAME CHECKPOINT-FOLDER MODE...
  local name=$1 model; shift
  model=$(ls -d $run/$1/checkpoint-* | sort -t- -k3 -n | tail -1); shift
  once results-$name-bits sh -c "src/Glimmer.Cli/bin/Release/net10.0/glimmer eval bits --model $model --data $run/data/validation.jsonl --limit 800 --json > $run/results/$name.bits.json"
  for mode in "$@"; do
    case $mode in
      text) once results-$name-text sh -c "src/Glimmer.Cli/bin/Release/net10.0/glimmer eval questions-as-text --model $model --data $run/data/questions.jsonl --concurrency 64 --json > $run/results/$name.text.json" ;;
      *) once results-$name-$mode sh -c "src/Glimmer.Cli/bin/Release/net10.0/glimmer eval questions --model $model --data $run/data/questions.jsonl --concurrency 64 --thinking $mode --max-tokens $([ $mode = on ] && echo 256 || echo 64) --json > $run/results/$name.$mode.json" ;;
    esac
  done
}

end=$(scaled 18000000) ramp=$(scaled 1000000) warm=$(scaled 300000)
schedule="--learning_rate.end_tokens $end --learning_rate.warmup_tokens $warm"
say "stage 1: pre-training, $(scaled 9000000) tokens"
glimmer pretrain $recipes/1-general.yaml --tokens "$(scaled 9000000)" --batch.ramp_tokens "$ramp" $schedule
say "stage 2: more reasoning, to $(scaled 14000000) tokens"
glimmer pretrain $recipes/2-reasoning.yaml --tokens "$(scaled 14000000)" $schedule
evaluate base 2-reasoning text
say "stage 3: mid-training, to $end tokens"
glimmer midtrain $recipes/3-middle.yaml --tokens "$end" --mtp.final_from_tokens "$(scaled 16000000)" $schedule
evaluate middle 3-middle text off on
say "stage 4: fine-tuning"
middle=$(ls -d $run/3-middle/checkpoint-* | sort -t- -k3 -n | tail -1)
records=$(scaled 15000) resume=()
if compgen -G "$run/4-sft/checkpoint-*" > /dev/null; then resume=(--resume_from_checkpoint $run/4-sft); fi
once sft glimmer sft $recipes/4-sft.yaml --model "$middle" --dataset "$run/data/sft.jsonl#$records" "${resume[@]}"
evaluate sft 4-sft off on

say "report card"
cd $run/results
columns=()
for stage in base middle sft; do
  for kind in bits text off on; do
    case $kind in bits) suffix= ;; text) suffix=/text ;; off) suffix=/direct ;; on) suffix=/thinking ;; esac
    [ -e $stage.$kind.json ] && columns+=("$stage$suffix=$stage.$kind.json")
  done
done
cd ../../..
{
  echo "# Report card of the miniature"
  echo
  echo "$(date +%F), $(nproc) processors ($(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo)), $(cat $run/speed) tokens/s in the probe, budgets times $scale, this run $(((SECONDS - start) / 60)) minutes. Greedy; shares with 95 % Wilson intervals."
  echo
  (cd $run/results && ../../../src/Glimmer.Cli/bin/Release/net10.0/glimmer eval card "${columns[@]}" --json-out ../report.json)
} > $run/report.md
glimmer report $run/1-general $run/2-reasoning $run/3-middle $run/4-sft --out $run/report.html
say "done in $(((SECONDS - start) / 60)) minutes: $run/report.md, $run/report.html"
