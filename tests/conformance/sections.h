// SPDX-License-Identifier: MIT
#pragma once

#include "tests/conformance/collection.h"
#include "tests/conformance/report.h"

namespace bitnetd::conformance {

// One function per section of a collection; each runs whatever cases it finds there.

void run_codecs(collection& cases, report& into);     ///< codecs/: tensor bytes and their values
void run_bad_files(collection& cases, report& into);  ///< bad/: refused or accepted
void run_models(collection& cases, report& into);     ///< models/, hf/: loads, payload included
void run_tokenizers(collection& cases, report& into); ///< tokenizers/: text to ids
void run_chat(collection& cases, report& into);       ///< chat/: messages to text and ids
void run_bitlinear(collection& cases, report& into);  ///< bitlinear/: one projection, bit-exact
void run_layers(collection& cases, report& into);     ///< layers/: one layer, teacher-forced
void run_golden(collection& cases, report& into);     ///< golden/: logits, greedy, embeddings
/// A bitnet-b1.58 model renamed to bitnet-25 must compute the same bits.
void run_renamed(collection& cases, report& into);

} // namespace bitnetd::conformance
