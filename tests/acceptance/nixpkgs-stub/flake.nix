# Stands in for nixpkgs where that cannot be downloaded: its packages are links to programs of this machine,
# which the test writes into programs.json. Evaluation and shell are real; a package that flake.nix names
# and this file does not is an error, as it is with nixpkgs.
{
  outputs =
    { self }:
    let
      programs = builtins.fromJSON (builtins.readFile ./programs.json);

      lib = {
        genAttrs =
          names: make:
          builtins.listToAttrs (
            map (name: {
              inherit name;
              value = make name;
            }) names
          );
        last = list: builtins.elemAt list (builtins.length list - 1);
        makeLibraryPath = packages: builtins.concatStringsSep ":" (map (package: "${package}/lib") packages);
        optionalAttrs = condition: attributes: if condition then attributes else { };
        replaceStrings = builtins.replaceStrings;
        reverseList =
          list:
          builtins.genList (index: builtins.elemAt list (builtins.length list - 1 - index)) (builtins.length list);
      };

      packagesOf =
        system:
        let
          search = packages: builtins.concatStringsSep ":" (map (package: "${package}/bin") packages);
          build =
            name: script: variables:
            derivation (
              variables
              // {
                inherit name system;
                builder = programs.bash;
                # Nix kills a builder that closes its output, as the programs that Bash would become do
                # when they end; so that Bash becomes none, its own command is the last.
                args = [
                  "-ec"
                  "${script}\n:"
                ];
                PATH = search variables.nativeBuildInputs or [ ] + ":" + programs.PATH;
              }
            );
          links =
            name: names:
            build name "mkdir -p $out/bin; ${
              toString (map (program: "ln -s '${programs.${program}}' $out/bin/${program};") names)
            }" { };
          script =
            name: text:
            build name ''
              mkdir -p $out/bin
              printf '#!${programs.bash}\n%s\n' "$text" >$out/bin/${name}
              chmod +x $out/bin/${name}
            '' { inherit text; };
          python =
            version:
            build "python${version}" ''
              mkdir -p $out/bin
              for name in python3 python${version}; do
                printf '#!${programs.bash}\nexec %s "$@"\n' '${programs."python${version}"}' >$out/bin/$name
                chmod +x $out/bin/$name
              done
            '' { };
        in
        {
          inherit lib;
          bashInteractive = links "bash" [ "bash" ];
          git = links "git" [ "git" ];
          # Says what it would look at, as this machine has none: the public workflow runs the real one.
          nixfmt = script "nixfmt" ''ls "$@"; printf 'nixfmt %s\n' "$*" >&2'';
          openssl = links "openssl" [ "openssl" ];
          python311 = python "3.11";
          python312 = python "3.12";
          python313 = python "3.13";
          redis = links "redis" [ "redis-server" ];
          stdenv = {
            cc.cc.lib = build "lib" "mkdir -p $out/lib" { };
            hostPlatform.isLinux = builtins.match ".*-linux" system != null;
          };
          uv = links "uv" [ "uv" ];
          zlib = build "zlib" "mkdir -p $out/lib" { };

          mkShell =
            { packages, ... }@attributes:
            build "shell" "exit 1" (
              attributes
              // {
                outputs = [ "out" ];
                stdenv = build "stdenv" ''
                  mkdir -p $out
                  printf '%s\n' 'for package in $packages; do path=''${path-}$package/bin:; done' \
                    'PATH=$path${programs.PATH}' >$out/setup
                '' { };
              }
            );
          runCommand =
            name: variables: text:
            build name text variables;
          writeShellApplication =
            {
              name,
              runtimeInputs,
              runtimeEnv,
              text,
            }:
            script name ''
              set -euo pipefail
              ${toString (
                map (variable: "export ${variable}='${runtimeEnv.${variable}}';") (builtins.attrNames runtimeEnv)
              )}
              export PATH=${search runtimeInputs}:$PATH
              ${text}
            '';
          writeShellScriptBin = script;
        };
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ] packagesOf;
    };
}
