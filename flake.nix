# The development shell for Nix: `nix develop`, `nix run .#worker`, `nix flake check`.
# Python packages come from locks/, as everywhere else; Nix provides the programs around them.
{
  description = "Content Worker's development shell";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { nixpkgs, ... }:
    let
      settings = builtins.fromTOML (builtins.readFile ./worker.toml);
      nixFiles = [
        "flake.nix"
        "tests/acceptance/nixpkgs-stub/flake.nix"
      ];

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
          # pkgs.nox is another program, and python3Packages.nox is older than noxfile.py allows:
          # noxfile.py installs the nox of locks/nox.txt.
          nox = pkgs.writeShellScriptBin "nox" ''
            folder=$PWD
            until [ -f "$folder/noxfile.py" ] || [ "$folder" = / ]; do folder=$(dirname "$folder"); done
            exec ${python}/bin/python3 "$folder/noxfile.py" "$@"
          '';
          # pkgs.pre-commit would not find the hooks' tools, which come from locks/lint.txt.
          pre-commit = pkgs.writeShellScriptBin "pre-commit" ''
            [ -x .venv/bin/pre-commit ] || nox -s lint --install-only || exit
            PATH="$PWD/.venv/bin:$PATH" exec .venv/bin/pre-commit "$@"
          '';
        in
        {
          inherit pkgs nox;
          # The newest Python comes first: it is `python3`.
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
            # Wheels with native code look for the C++ runtime where other systems have it.
            LD_LIBRARY_PATH = lib.makeLibraryPath [
              pkgs.stdenv.cc.cc.lib
              pkgs.zlib
            ];
          };
        };

      session =
        {
          pkgs,
          tools,
          variables,
          ...
        }:
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
        {
          pkgs,
          nox,
          tools,
          variables,
        }:
        {
          default = pkgs.mkShell (
            variables
            // {
              packages = tools;
              # Nix's Python adds its own site-packages there, which all our environments would see.
              # `celery` and the rest of the environment, once a session has made it; but our nox, as that
              # of the environment finds no noxfile.py in a subfolder.
              shellHook = ''
                unset PYTHONPATH
                export PATH="${nox}/bin:$PWD/.venv/bin:$PATH"
              '';
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

      # `nix fmt`
      formatter = forEachSystem (
        { pkgs, ... }:
        pkgs.writeShellScriptBin "content-worker-format" ''
          case "$*" in "" | .) set -- ${toString nixFiles} ;; esac
          exec ${pkgs.nixfmt}/bin/nixfmt "$@"
        ''
      );

      checks = forEachSystem (
        { pkgs, tools, ... }:
        {
          format = pkgs.runCommand "content-worker-format" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
            cd ${./.}
            nixfmt --check ${toString nixFiles}
            touch $out
          '';
          # Each Python of worker.toml runs and can make an environment; the other programs run.
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
