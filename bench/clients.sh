#!/usr/bin/env bash
# Runs real coding agents and the vendors' SDKs against the server, one JSON line a client and mode; exit 1 when one fails.
#   bench/clients.sh [--mode scripted|embedded|random|overflow|all] [--record DIR] [client ...]     clients: sdk-js codex claude-code gemini-cli opencode opencode-anthropic cline
# scripted (default): a script reads the offered tools and answers with token ids. The client has to end with exit 0 and the expected file.
# embedded: the model that the program carries, 8,192 tokens. A client whose first prompt fits ends with exit 0; every other gets its API's exact error and stops by itself.
# overflow: a random GLM with 4,096 tokens, less than the prompt of any coding agent: each gets its API's exact error and stops by itself; opencode
# compacts and asks again until it is stopped.
# random: a tiny random GLM with 131,072 tokens. Every client ends a full turn with exit 0 and without an error.
# prompt_tokens: the largest prompt, also of those that did not fit. follow_ups: turns that continue an earlier one; prefix_lost: most tokens of a turn and its answer that the next prompt did not
# begin with (a cache keeps whole blocks of 64). --record writes what clients send, cleaned, with the script's answers.
# Needs the client scripts (CLIENTS, default ../shared/clients), and a GLM vocabulary and template (golden data). Clients are installed through npm into CLIENT_CACHE.
set -euo pipefail
cd "$(dirname "$0")/.."
clients=${CLIENTS:-../shared/clients}
golden=${GLIMMER_FIXTURES:-../shared/fixtures}
export CLIENT_CACHE=${CLIENT_CACHE:-${TMPDIR:-/tmp}/glimmer-clients}
record= modes=scripted
while [ $# -gt 0 ]; do
  case $1 in
    --record) record=$2; shift 2; mkdir -p "$record"; record=$(cd "$record" && pwd) ;;
    --mode) modes=$2; shift 2; [ "$modes" != all ] || modes="scripted embedded overflow random" ;;
    *) break ;;
  esac
done
[ -d "$clients" ] && [ -d "$golden" ] || { echo "clients.sh: needs the client scripts ($clients) and the golden data ($golden)" >&2; exit 2; }
[ $# -gt 0 ] || set -- sdk-js codex claude-code gemini-cli opencode opencode-anthropic cline
[ -n "${NO_BUILD:-}" ] || dotnet build -c Release --nologo -v q bench/Glimmer.Benchmarks >&2

# run MODE CLIENT: one line, and whether the client did what the mode asks for
run() {
  local mode=$1 client=$2 folder=${2%-anthropic} version dialect work url exit=0 file=false counts from seconds good=false expect=
  local script=$clients/$folder/run-$folder.sh
  version=$(grep -o 'CLIENT_VERSION:-[0-9.]*' "$script" | head -1 | cut -d- -f2 || true)
  case $client in sdk-js) dialect=all; version=$(grep -o 'openai@[0-9.]*' "$script" | cut -d@ -f2) ;; codex) dialect=responses ;; claude-code|opencode-anthropic) dialect=anthropic ;; gemini-cli) dialect=gemini ;; *) dialect=chat ;; esac
  work=$(mktemp -d)
  coproc SERVER { exec dotnet bench/Glimmer.Benchmarks/bin/Release/net10.0/Glimmer.Benchmarks.dll agent-server --mode "${mode/overflow/random}" $([ "$mode" != overflow ] || echo --context 4096) --tokenizer "$golden/tokenizer/glm-32k" \
    --template "$golden/chat/templates/glm-4.7.jinja" ${record:+--record "$record/$client.jsonl"} 2>"$work.server"; }
  local server=$SERVER_PID to=${SERVER[1]}
  read -r _ url <&"${SERVER[0]}"
  [ "$mode" != scripted ] || expect=hello.txt
  from=$(date +%s)
  [ "$mode" = scripted ] || export OUTPUT_TOKENS=${OUTPUT_TOKENS:-256} # opencode's most; the others say none, and a small model may not end
  OPENCODE_API=$([ "$client" = opencode-anthropic ] && echo anthropic || echo openai) MODEL=glm-4.7 EXPECT_FILE=$expect RUN_TIMEOUT=${RUN_TIMEOUT:-300} \
    "$script" "$url" "Create the file hello.txt containing hi" "$work" >"$work.log" 2>&1 || exit=$?
  seconds=$(($(date +%s) - from))
  echo >&"$to"; read -r counts <&"${SERVER[0]}"
  eval "exec $to>&-"; wait "$server" 2>/dev/null || true
  [ "$(cat "$work/hello.txt" 2>/dev/null)" = hi ] && file=true
  printf '{"mode":"%s","client":"%s","version":"%s","dialect":"%s","exit":%d,"file":%s,"seconds":%d,%s}\n' "$mode" "$client" "$version" "$dialect" "$exit" "$file" "$seconds" "$counts"
  count() { grep -o "\"$1\":[0-9]*" <<<"$counts" | cut -d: -f2; }
  case $mode in
    scripted) [ "$exit" -eq 0 ] && [ $file = true ] && good=true ;;
    embedded|overflow) if [ "$(count overflows)" -gt 0 ]; then { [ "$exit" -ne 124 ] || [ "$folder" = opencode ]; } && [ "$(count errors)" = "$(count overflows)" ] && good=true; else [ "$exit" -eq 0 ] && good=true; fi ;;
    random) [ "$exit" -eq 0 ] && [ "$(count errors)" = 0 ] && [ "$(count output_tokens)" -gt 0 ] && good=true ;;
  esac
  if [ -n "${KEEP_LOGS:-}" ]; then mkdir -p "$KEEP_LOGS"; cp "$work.log" "$KEEP_LOGS/$mode-$client.log"; cp "$work.server" "$KEEP_LOGS/$mode-$client.server"; fi
  $good || tail -n 15 "$work.log" "$work.server" >&2
  rm -rf "$work" "$work.log" "$work.server"
  $good
}

failed=0
for mode in $modes; do
  for client in "$@"; do run "$mode" "$client" || failed=1; done
done
exit $failed
