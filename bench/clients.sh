#!/usr/bin/env bash
# Runs real coding agents and the vendors' SDKs against the server with a scripted model, one JSON line a client; exit 1 when one fails.
# Needs the client scripts (CLIENTS, default ../shared/clients), and a GLM vocabulary and template (golden data). Clients are installed through npm into CLIENT_CACHE.
# follow_ups: turns that continue an earlier one; prefix_lost: most tokens of a turn and its answer that the next prompt did not begin with (a cache keeps whole blocks of 64).
#   bench/clients.sh [--record DIR] [client ...]     clients: sdk-js codex claude-code gemini-cli opencode opencode-anthropic cline
set -euo pipefail
cd "$(dirname "$0")/.."
clients=${CLIENTS:-../shared/clients}
golden=${GLIMMER_FIXTURES:-../shared/fixtures}
export CLIENT_CACHE=${CLIENT_CACHE:-${TMPDIR:-/tmp}/glimmer-clients}
record=
if [ "${1:-}" = --record ]; then record=$2; shift 2; mkdir -p "$record"; record=$(cd "$record" && pwd); fi
[ -d "$clients" ] && [ -d "$golden" ] || { echo "clients.sh: needs the client scripts ($clients) and the golden data ($golden)" >&2; exit 2; }
all=(sdk-js codex claude-code gemini-cli opencode opencode-anthropic cline)
[ $# -gt 0 ] || set -- "${all[@]}"
[ -n "${NO_BUILD:-}" ] || dotnet build -c Release --nologo -v q bench/Glimmer.Benchmarks >&2
failed=0
for client in "$@"; do
  folder=${client%-anthropic}
  script=$clients/$folder/run-$folder.sh
  version=$(grep -o 'CLIENT_VERSION:-[0-9.]*' "$script" | head -1 | cut -d- -f2 || true)
  case $client in sdk-js) dialect=all; version=$(grep -o 'openai@[0-9.]*' "$script" | cut -d@ -f2) ;; codex) dialect=responses ;; claude-code|opencode-anthropic) dialect=anthropic ;; gemini-cli) dialect=gemini ;; *) dialect=chat ;; esac
  work=$(mktemp -d)
  coproc SERVER { dotnet bench/Glimmer.Benchmarks/bin/Release/net10.0/Glimmer.Benchmarks.dll agent-server --tokenizer "$golden/tokenizer/glm-32k" \
    --template "$golden/chat/templates/glm-4.7.jinja" ${record:+--record "$record/$client.jsonl"} 2>"$work.server"; }
  read -r _ url <&"${SERVER[0]}"
  exit=0
  OPENCODE_API=$([ "$client" = opencode-anthropic ] && echo anthropic || echo openai) MODEL=glm-4.7 EXPECT_FILE=hello.txt RUN_TIMEOUT=${RUN_TIMEOUT:-180} \
    "$script" "$url" "Create the file hello.txt containing hi" "$work" >"$work.log" 2>&1 || exit=$?
  echo >&"${SERVER[1]}"; read -r requests errors follow_ups lost <&"${SERVER[0]}"
  eval "exec ${SERVER[1]}>&-"; wait "$SERVER_PID" 2>/dev/null || true
  file=false; [ "$(cat "$work/hello.txt" 2>/dev/null)" = hi ] && file=true
  printf '{"client":"%s","version":"%s","dialect":"%s","exit":%d,"file":%s,"requests":%d,"errors":%d,"follow_ups":%d,"prefix_lost":%d}\n' "$client" "$version" "$dialect" "$exit" "$file" "$requests" "$errors" "$follow_ups" "$lost"
  if [ "$exit" -ne 0 ] || [ "$file" != true ]; then failed=1; tail -n 15 "$work.log" "$work.server" >&2; fi
  rm -rf "$work" "$work.log" "$work.server"
done
exit $failed
