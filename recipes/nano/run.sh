#!/bin/sh
# Makes a GLM of the embedded model in a plan of 100 minutes on 2 cores: data, the trunk's own answers, training, report card.
# The same command goes on after an interruption. Options are passed on: --minutes 10, --compare, --seed 2 ...
#   recipes/nano/run.sh FOLDER [options]
set -eu
if [ $# -lt 1 ]; then
    echo "usage: recipes/nano/run.sh FOLDER [options of 'glimmer nano']" >&2
    exit 2
fi
folder=$1
shift
cd "$(dirname "$0")/../.."
case "$(mkdir -p "$folder" && cd "$folder" && pwd)/" in
    "$PWD"/*) echo "$folder lies in the work tree; choose a folder outside it." >&2; exit 2 ;;
esac
program=src/Glimmer.Cli/bin/Release/net10.0/glimmer
[ -x "$program" ] || dotnet build src/Glimmer.Cli -c Release
exec "$program" nano --out "$folder" "$@"
