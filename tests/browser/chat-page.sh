#!/usr/bin/env bash
# Tests the chat page with the embedded model in Chromium (Debian: chromium; node 20). Skipped, with a word, where either is missing.
#   tests/browser/chat-page.sh [FOLDER_FOR_PICTURES]
set -euo pipefail
cd "$(dirname "$0")/../.."
chromium=${CHROMIUM:-$(command -v chromium || true)}
if [ -z "$chromium" ] || ! command -v node >/dev/null; then echo "chat page: skipped, needs chromium and node"; exit 0; fi
tools=${TMPDIR:-/tmp}/glimmer-browser
[ -d "$tools/node_modules/playwright-core" ] || { mkdir -p "$tools"; (cd "$tools" && npm init -y >/dev/null && npm install --no-audit --no-fund --loglevel=error playwright-core@1.65.1 >&2); }
dotnet build -c Release --nologo -v q src/Glimmer.Cli >&2
coproc SERVER { exec src/Glimmer.Cli/bin/Release/net10.0/glimmer serve --port 0; }
trap 'kill -TERM "$SERVER_PID" 2>/dev/null || true' EXIT
read -r _ url _ <&"${SERVER[0]}"
cp tests/browser/chat-page.mjs "$tools/chat-page.mjs"
CHROMIUM=$chromium node "$tools/chat-page.mjs" "$url" ${1:+"$(cd "$1" && pwd)"}
