#!/usr/bin/env bash
# Proves what the packages promise to someone who only adds them: packs them to a folder, makes programs outside the repository
# that add one package each, builds, publishes and runs them. Needs the .NET SDK alone. Prints one line per check.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/storysync-packages.XXXXXX")
web=
trap '[ -z "$web" ] || kill "$web" 2>/dev/null || true; rm -rf "$work"' EXIT
# As a release is built: paths in assemblies are relative to the repository.
export CI=true DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1
# Our packages are unpacked next to the feed, so that nobody's cache keeps a trial version; the others come out of the usual cache.
cache=$(dotnet nuget locals global-packages --list | sed 's/^global-packages: //')
# A version of the packages alone: the assemblies are those of the build, whose environment has this address too (.ci/run).
version=0.0.0-verify.$$
export RepositoryUrl=${RepositoryUrl:-https://example.org/storysync}
address=$RepositoryUrl

fail() { echo "not ok - $1"; [ -z "${2:-}" ] || sed 's/^/    /' "$2"; exit 1; }
ok() { echo "ok - $1"; }
quietly() { "$@" >"$work/log" 2>&1 || fail "$*" "$work/log"; ! grep -n 'warning ' "$work/log" || fail "no warning from: $*"; }
hashes() { find "$cache"/torchsharp "$cache"/libtorch-cpu-* -type f -path '*/native/*' -exec sha256sum {} + | sort; }

# A program that knows nothing of StorySync: TorchSharp is the first thing it uses.
program() {
    mkdir -p "$work/$1"
    cat >"$work/$1/$1.csproj" <<XML
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net10.0</TargetFramework>
    <ImplicitUsings>enable</ImplicitUsings>
    <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
  </PropertyGroup>
  <ItemGroup>
    <PackageReference Include="$2" Version="$version" />
  </ItemGroup>
</Project>
XML
    cat >"$work/$1/Program.cs" <<'CS'
using TorchSharp;

using var product = torch.ones(2, 3).matmul(torch.ones(3, 4));
Console.WriteLine($"sum {product.sum().item<float>()}");
Console.WriteLine($"model {File.Exists(Path.Combine(AppContext.BaseDirectory, "models", "storybook", "model_index.json"))}");
CS
}

expect() {
    local name=$1
    shift
    "$@" >"$work/out" 2>&1 || fail "$name" "$work/out"
    grep -qx 'sum 24' "$work/out" && grep -qx 'model True' "$work/out" || fail "$name" "$work/out"
    ok "$name"
}

cd "$work"
quietly dotnet pack "$root/StorySync.slnx" -c Release -p:PackageVersion="$version" -o feed
# The tool has libtorch inside, so that it is packed for this system alone.
rid=$(dotnet msbuild "$root/tools/StorySync.Tool" -getProperty:NETCoreSdkPortableRuntimeIdentifier)
quietly dotnet pack "$root/tools/StorySync.Tool" -c Release -p:PackTool=true -p:RuntimeIdentifiers="$rid" -p:PackageVersion="$version" -o feed
for package in StorySync StorySync.Kernels StorySync.Attention StorySync.Books StorySync.Diffusion StorySync.Documents StorySync.Pipelines StorySync.Evaluation StorySync.Extensions StorySync.Cluster StorySync.AspNetCore StorySync.Hub \
    StorySync.Models.Storybook StorySync.Models.StorybookFlux StorySync.Models.StorybookKandinsky3 StorySync.Templates StorySync.Tool \
    "StorySync.Tool.$rid"; do
    [ -f "feed/$package.$version.nupkg" ] || fail "$package is packed"
done
ok "the packages pack without a warning"

# What a package's page shows.
for package in feed/*.nupkg; do
    unzip -p "$package" '*.nuspec' >nuspec
    for entry in '<icon>icon.png</icon>' '<readme>README.md</readme>' '<license type="expression">MIT</license>' "<projectUrl>$address</projectUrl>" "url=\"$address\""; do
        grep -qF "$entry" nuspec || fail "$package says $entry" nuspec
    done
    unzip -l "$package" >list
    for file in icon.png README.md NOTICE.md; do grep -q " $file\$" list || fail "$package holds $file" list; done
    ! unzip -p "$package" README.md | grep -nE '\]\((\.|[^:)]*\))' >log || fail "$package: its page has no relative links" log
done
ok "the packages have icon, page, license, notices and addresses"

cat >"$work/nuget.config" <<XML
<configuration>
  <config><add key="globalPackagesFolder" value="$work/packages" /></config>
  <packageSources><add key="storysync" value="$work/feed" /></packageSources>
  <fallbackPackageFolders><add key="usual" value="$cache" /></fallbackPackageFolders>
</configuration>
XML
before=$(hashes)

# The command line, as `dotnet tool install --global` installs it.
quietly dotnet tool install StorySync.Tool --version "$version" --tool-path tool --configfile nuget.config
[ -z "$(find tool -path '*storybook*' -name goldens)" ] || fail "the tool's model comes without its test data"
tool/storysync draw "a fox" --steps 1 --device cpu --output drawn >log 2>&1 || fail "the tool draws" log
tool/storysync draw --from drawn/image-1.png --device cpu --output drawn >out 2>log || fail "the tool makes its image again" log
grep -q 'the largest pixel difference is 0' out || fail "the tool makes its image again" out
rm -rf tool drawn "feed/StorySync.Tool.$rid.$version.nupkg"
ok "the tool installs, draws, and makes its image again"

program App StorySync
quietly dotnet build App
expect "dotnet run, with the StorySync package alone" dotnet run --no-build --project App
[ -z "$(find App/bin -path '*storybook*' -name goldens)" ] || fail "the model comes without its test data"
[ "$(ls App/bin/*/*/models)" = storybook ] || fail "the StorySync package brings one model" <(ls App/bin/*/*/models)
! grep -rlF "$root/" packages/storysync* --include '*.dll' || fail "the packages hold no path of the machine that built them"
rm -rf App/bin

quietly dotnet publish App -o published
expect "published, depending on the framework" dotnet published/App.dll
rm -rf published App/bin

# The runtime that a self-contained program carries is a package too, which a machine that is cut off may lack.
if dotnet restore App --use-current-runtime -p:SelfContained=true >log 2>&1; then
    quietly dotnet publish App -o published --self-contained --use-current-runtime
    expect "published self-contained" published/App
    rm -rf published App/bin

    quietly dotnet publish App -o published --self-contained --use-current-runtime -p:PublishSingleFile=true
    expect "published as a single file" published/App
    rm -rf published App/bin
elif grep -q 'Microsoft.NETCore.App.Runtime' log; then
    echo "skip - published self-contained: the runtime's package is not available here"
else
    fail "restore for a self-contained program" log
fi

# What is not supported is said when it is asked for, not when the program runs.
for property in PublishTrimmed PublishAot; do
    if dotnet build App --no-restore -p:$property=true >log 2>&1; then fail "$property is refused"; fi
    grep -q 'error STORYSYNC001.*PublishTrimmed and PublishAot' log || fail "$property is refused in words" log
done
ok "trimming and native compilation are refused in words"

sed -i 's|net10.0|net8.0|' App/App.csproj
if dotnet restore App >log 2>&1; then fail "a program for .NET 8 is refused" log; fi
grep -q "NU1202.*StorySync $version is not compatible with net8.0" log || fail "a program for .NET 8 is refused by NuGet" log
ok "a program for .NET 8 is refused by NuGet"

program Bare StorySync.Pipelines
quietly dotnet build Bare
if dotnet run --no-build --project Bare >out 2>&1; then fail "a program without a backend cannot multiply" out; fi
grep -q 'Add one backend package .*TorchSharp-cpu' out || fail "without a backend, the exception names the packages to add" out
! grep -q LoadNativeBackend out || fail "without a backend, there is no trace" out
[ -z "$(find Bare/bin -name '*torch_cpu*')" ] || fail "without a backend, nothing is copied out of the NuGet cache"
ok "without a backend, the exception names the packages to add"

program Sharp StorySync
mv Sharp/Sharp.csproj Sharp/Sharp.fsproj
sed -i 's|  <ItemGroup>|  <ItemGroup><Compile Include="Program.fs" />|' Sharp/Sharp.fsproj
rm Sharp/Program.cs
cat >Sharp/Program.fs <<'FS'
open System
open System.IO
open TorchSharp

let processor = StorySync.Attention.PlainAttention.Instance
let product = torch.ones(2L, 3L).matmul(torch.ones(3L, 4L))
printfn "sum %g" (product.sum().item<float32>())
printfn "model %O" (File.Exists(Path.Combine(AppContext.BaseDirectory, "models", "storybook", "model_index.json")))
FS
quietly dotnet build Sharp
expect "an F# program that uses a type of StorySync's first" dotnet run --no-build --project Sharp

# A program of one file has no project, and is compiled ahead of time unless it says otherwise.
sed "s|^#:project .*|#:package StorySync@$version|" "$root/samples/OneFile/hello.cs" >hello.cs
mkdir data
XDG_DATA_HOME="$work/data" dotnet run hello.cs >out 2>&1 || fail "a program of one file" out
grep -qx 'hello.png: a rabbit in the snow' out && [ -s hello.png ] || fail "a program of one file" out
rm -rf data
ok "a program of one file"

quietly dotnet new install "feed/StorySync.Templates.$version.nupkg" --debug:custom-hive "$work/hive"
for template in console webapi; do
    quietly dotnet new "storysync-$template" -o "My.$template" --debug:custom-hive "$work/hive"
    quietly dotnet build "My.$template"
done
(cd My.console && dotnet run --no-build -- 1) >out 2>&1 || fail "a program of the template" out
grep -qx 'scene-3.png: a rabbit jumping in the snow' out && [ -s My.console/scene-3.png ] || fail "a program of the template" out
ok "a program of the template"

(cd My.webapi && exec dotnet bin/Debug/net10.0/My.webapi.dll --urls http://127.0.0.1:0) >web.log 2>&1 &
web=$!
for _ in $(seq 120); do
    port=$(sed -n 's|.*Now listening on: http://127.0.0.1:\([0-9]*\).*|\1|p' web.log)
    if [ -n "$port" ] || ! kill -0 "$web"; then break; fi
    sleep 0.5
done
[ -n "$port" ] || fail "a web API of the template starts" web.log
body='{"prompt":"a fox","seed":7,"steps":1}'
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'POST /images HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' "${#body}" "$body" >&3
cat <&3 >answer
exec 3>&-
kill "$web"
wait "$web" || true
web=
grep -aq '^HTTP/1.1 200' answer && grep -aq 'PNG' answer || fail "a web API of the template draws" web.log
ok "a web API of the template draws"
rm -rf My.console My.webapi

program Hosted StorySync
hosting=$(sed -n 's|.*"Microsoft.Extensions.Hosting" Version="\(.*\)".*|\1|p' "$root/Directory.Packages.props")
sed -i "s|  </ItemGroup>|    <PackageReference Include=\"StorySync.Extensions\" Version=\"$version\" />\n    <PackageReference Include=\"Microsoft.Extensions.Hosting\" Version=\"$hosting\" />\n&|" Hosted/Hosted.csproj
cat >Hosted/Program.cs <<'CS'
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using StorySync.Extensions;
using StorySync.Pipelines;

var builder = Host.CreateApplicationBuilder();
builder.Services.AddStorySync("storybook", options => options.LoadAtStart = true);
using var host = builder.Build();
await host.StartAsync();
var model = host.Services.GetRequiredService<StorySyncModel>();
using var result = await model.GenerateAsync(new GenerationRequest { Prompts = ["a fox"], Steps = 1, Height = 64, Width = 64 });
Console.WriteLine($"sum {result.Images[0].Pixels.Length / 512}");
Console.WriteLine($"model {model.IsLoaded}");
CS
quietly dotnet build Hosted
expect "a host with a model of StorySync.Extensions" dotnet run --no-build --project Hosted

# The other models, one program for both.
program Models StorySync
sed -i "s|  </ItemGroup>|    <PackageReference Include=\"StorySync.Models.StorybookFlux\" Version=\"$version\" />\n    <PackageReference Include=\"StorySync.Models.StorybookKandinsky3\" Version=\"$version\" />\n&|" Models/Models.csproj
cat >Models/Program.cs <<'CS'
using StorySync.Pipelines;

var pixels = 0;
foreach (var name in (string[])["storybook-flux", "storybook-kandinsky3"])
{
    using var pipeline = DiffusionPipeline.Load(name, new PipelineOptions { Device = "cpu" });
    using var result = pipeline.Generate(new GenerationRequest { Prompts = ["a fox"], Steps = 1 });
    pixels += result.Images[0].Pixels.Length;
}

Console.WriteLine($"sum {pixels / 4096}");
Console.WriteLine($"model {Directory.GetDirectories(Path.Combine(AppContext.BaseDirectory, "models")).Length == 3}");
CS
quietly dotnet build Models
[ -z "$(find Models/bin -path '*storybook*' -name goldens)" ] || fail "the models come without their test data"
expect "the models of the other architectures, found by name" dotnet run --no-build --project Models

[ "$before" = "$(hashes)" ] || fail "the NuGet cache is as it was"
ok "the NuGet cache is as it was"
