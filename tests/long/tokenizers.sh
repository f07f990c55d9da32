#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The tokenizers against independent ones on 120,000 generated strings: Google's SentencePiece, a BPE
# written with Python's regex package, and npm's Llama-3 tokenizer. Needs BITNETD_FIXTURES (published
# vocabularies) and, for npm, the network.
set -euo pipefail
cd "$(dirname "$0")/../.."
. .ci/packages.sh
: "${BITNETD_FIXTURES:?name the folder of the conformance fixtures}"

ensure_packages "${build_packages[@]}" python3 python3-sentencepiece python3-regex
command -v npm >/dev/null || ensure_packages nodejs npm # other builds of Node bring it along
configure release
cmake --build build/release --target bitnet_model
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
npm install --silent --no-fund --no-audit --ignore-scripts --prefix "$scratch" llama3-tokenizer-js@1
cp tests/long/tokenizers.mjs "$scratch/"
/usr/bin/python3 tests/long/tokenizers.py build/release/clients/bitnet_model/bitnet-model \
  "$BITNETD_FIXTURES/tokenizers" "$scratch" "${TOKENIZER_STRINGS:-24000}"
