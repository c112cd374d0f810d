#!/usr/bin/env bash
# Builds the site of the documents and the API into artifacts/site; a link that leads nowhere is an error. Needs the .NET SDK alone.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1

dotnet tool restore
# The output of these tests has every library, its XML docs and what it depends on.
dotnet build tests/StorySync.Repository.Tests -c Release
rm -rf artifacts/api artifacts/site
dotnet docfx docfx.json --warningsAsErrors
pages=$(find artifacts/site -name '*.html' | wc -l)
# Whoever opens the site's root gets its first page.
printf '<meta http-equiv="refresh" content="0; url=docs/index.html">\n' >artifacts/site/index.html
echo "$pages pages in artifacts/site"
