# The development shell for those who have Nix: `nix develop`, `nix run .#worker`, `nix flake check`.
# Python packages come from locks/ as everywhere else; Nix brings the programs around them.
{
  description = "Content Worker's development shell";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { nixpkgs, ... }:
    let
      settings = builtins.fromTOML (builtins.readFile ./worker.toml);

      forEachSystem =
        make:
        nixpkgs.lib.genAttrs [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ] (
          system: make (shellOf nixpkgs.legacyPackages.${system})
        );

      shellOf =
        pkgs:
        let
          inherit (pkgs) lib;
          pythons = map (
            version: pkgs."python${lib.replaceStrings [ "." ] [ "" ] version}"
          ) settings.python.versions;
          python = lib.last pythons;
          # Not pkgs.nox, which is another program, nor python3Packages.nox, which is older than noxfile.py
          # asks for: noxfile.py brings the nox of locks/nox.txt.
          nox = pkgs.writeShellScriptBin "nox" ''
            exec ${python}/bin/python3 noxfile.py "$@"
          '';
          # Not pkgs.pre-commit: the hooks are tools of locks/lint.txt, and it would not find them.
          pre-commit = pkgs.writeShellScriptBin "pre-commit" ''
            [ -x .nox/lint/bin/pre-commit ] || nox -s lint -- --hook || exit
            PATH="$PWD/.nox/lint/bin:$PATH" exec .nox/lint/bin/pre-commit "$@"
          '';
        in
        {
          inherit pkgs;
          # The newest Python first: it is `python3`.
          tools = lib.reverseList pythons ++ [
            nox
            pre-commit
            pkgs.git
            pkgs.openssl # the tests of TLS make their certificates with it
            pkgs.redis
            pkgs.uv
          ];
          variables = {
            UV_PYTHON = "${python}/bin/python3";
            UV_PYTHON_DOWNLOADS = "never"; # a Python built for other systems does not run on NixOS
          }
          // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
            # Wheels with native code expect the C++ runtime where other systems have it.
            LD_LIBRARY_PATH = lib.makeLibraryPath [
              pkgs.stdenv.cc.cc.lib
              pkgs.zlib
            ];
          };
        };

      session =
        { pkgs, tools, variables }:
        name:
        let
          script = pkgs.writeShellApplication {
            name = "content-worker-${name}";
            runtimeInputs = tools;
            runtimeEnv = variables;
            text = ''
              if [ ! -f noxfile.py ]; then
                echo "Run this in a checkout of Content Worker: there is no noxfile.py in $PWD" >&2
                exit 1
              fi
              exec nox -s ${name} -- "$@"
            '';
          };
        in
        {
          type = "app";
          program = "${script}/bin/content-worker-${name}";
        };
    in
    {
      devShells = forEachSystem (
        { pkgs, tools, variables }:
        {
          default = pkgs.mkShell (
            variables
            // {
              packages = tools;
              # Nix's Python puts its own site-packages there, and every environment of ours would see them.
              shellHook = "unset PYTHONPATH";
            }
          );
        }
      );

      apps = forEachSystem (
        shell:
        let
          worker = session shell "worker";
        in
        {
          inherit worker;
          default = worker;
        }
      );

      checks = forEachSystem (
        { pkgs, tools, ... }:
        {
          # Each Python of worker.toml runs and can make an environment, and so do the other programs.
          tools = pkgs.runCommand "content-worker-tools" { nativeBuildInputs = tools; } ''
            for version in ${toString settings.python.versions}; do
              python$version -c "import ensurepip, venv"
            done
            python3 -c 'import sys; assert sys.version.startswith("${pkgs.lib.last settings.python.versions}."), sys.version'
            git --version
            openssl version
            redis-server --version
            uv --version
            type nox pre-commit
            touch $out
          '';
        }
      );
    };
}
